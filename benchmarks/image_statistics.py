#!/usr/bin/python3
"""Statistics of simulated images beside real ones: histogram, gradients, power spectrum.

    image_statistics.py --simulated DIR_OR_FILES... [--real DIR_OR_FILES...] [--half tune|report] [--markdown FILE]

Real tiles default to $FENCELINE_DATA (or ../shared/data), three sources: SpaceNet Rio (0.5 m), Joplin before and after
(0.6 m, two products). Sources differ from each other by up to 35 times in power near the Nyquist frequency (Joplin's
first product is resampled, its second is not), so each counts as one, whatever its number of tiles: simulated medians are
held against the geometric mean of the sources' medians, and every source is shown. Each image is cut into 400 px tiles; tiles with no-data are skipped. Values are luminance over its mean, so that
exposure does not matter. --half takes every other real image of each source: `tune` for work on the simulator, `report` for
tables. A median over few scenes moves by a quarter with what lies in them: take eight places and some forty scenes. Needs python3-numpy and python3-gdal.
"""
import argparse
import glob
import os
import sys

import numpy as np
from osgeo import gdal

gdal.UseExceptions()
TILE = 400


def images(names):
    for name in names:
        if os.path.isdir(name):
            yield from sorted(glob.glob(os.path.join(name, "**", "*.tif"), recursive=True))
        else:
            yield name


def tiles(path):
    pixels = gdal.Open(path).ReadAsArray().astype(np.float64)
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.shape[0] == 4:
        pixels = pixels[:3]
    valid = (pixels > 0).all(axis=0)
    grey = pixels.mean(axis=0)
    for y in range(0, grey.shape[0] - TILE + 1, TILE):
        for x in range(0, grey.shape[1] - TILE + 1, TILE):
            if valid[y : y + TILE, x : x + TILE].mean() > 0.98:
                yield grey[y : y + TILE, x : x + TILE], pixels[:, y : y + TILE, x : x + TILE]


BANDS = [(0.01, 0.02), (0.02, 0.04), (0.04, 0.08), (0.08, 0.16), (0.16, 0.30), (0.30, 0.45)]  # cycles per pixel


def measure(path):
    rows = []
    for grey, pixels in tiles(path):
        mean = grey.mean()
        z = grey / mean
        gy, gx = np.gradient(z)
        gradient = np.hypot(gx, gy)
        window = np.hanning(TILE)[:, None] * np.hanning(TILE)[None]
        power = np.abs(np.fft.fftshift(np.fft.fft2((z - z.mean()) * window))) ** 2 / (window**2).sum()
        f = np.fft.fftshift(np.fft.fftfreq(TILE))
        radius = np.hypot(f[:, None], f[None])
        spectrum = [power[(radius >= a) & (radius < b)].mean() for a, b in BANDS]
        axis = np.exp(np.polyfit(np.log([np.sqrt(a * b) for a, b in BANDS]), np.log(spectrum), 1)[0])
        low, median, high = np.percentile(z, [2, 50, 98])
        rows.append(
            dict(
                mean=mean,
                contrast=z.std(),
                p2=low,
                p50=median,
                p98=high,
                gradient_mean=gradient.mean(),
                gradient_p50=np.percentile(gradient, 50),
                gradient_p99=np.percentile(gradient, 99),
                kurtosis=((gx - gx.mean()) ** 4).mean() / gx.var() ** 2,
                slope=np.log(axis),
                **{f"power_{a}-{b}": p for (a, b), p in zip(BANDS, spectrum)},
                **({"red_over_green": pixels[0].mean() / pixels[1].mean(), "blue_over_green": pixels[2].mean() / pixels[1].mean()} if len(pixels) >= 3 else {}),
            )
        )
    return rows


def table(paths):
    rows = [row for path in paths for row in measure(path)]
    if not rows:
        return {}, 0
    keys = rows[0].keys()
    return {k: np.percentile([r[k] for r in rows if k in r], [25, 50, 75]) for k in keys}, len(rows)


# Colour depends on the products' colour balance, percentiles on what lies in the picture: shown, not judged.
JUDGED = ["mean", "contrast", "gradient_mean", "gradient_p50", "gradient_p99", "kurtosis"] + [f"power_{a}-{b}" for a, b in BANDS]
FACTOR = 1.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", nargs="+", required=True)
    parser.add_argument("--real", nargs="+", help="folders or files, one source each")
    parser.add_argument("--half", choices=["tune", "report"], help="every other real image, beginning with the first or the second")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    data = os.environ.get("FENCELINE_DATA", "../shared/data")
    sources = options.real or [f"{data}/spacenet1_rio/images", f"{data}/joplin/pre", f"{data}/joplin/post"]
    tables = {}
    for source in sources:
        paths = [p for p in images([source]) if os.path.exists(p)]
        if options.half:
            paths = paths[options.half == "report" :: 2]
        found, n = table(paths)
        if n:
            tables["/".join(os.path.normpath(source).split("/")[-2:])] = (found, n)
    if not tables:
        print("skipped: no real data", file=sys.stderr)
        return
    simulated, n = table(list(images(options.simulated)))
    names = list(tables)
    lines = [
        f"medians over {n} simulated tiles of {TILE} px and " + ", ".join(f"{tables[k][1]} of {k}" for k in names),
        "",
        "| figure | simulated (quartiles) | " + " | ".join(names) + " | mean of the sources | ratio to it |",
        "|---" * (4 + len(names)) + "|",
    ]
    missed = []
    for k, s in simulated.items():
        real = [tables[source][0][k][1] for source in names if k in tables[source][0]]
        if not real:
            continue
        additive = k == "slope"
        mean = np.mean(real) if additive else np.exp(np.mean(np.log(real)))
        ratio = s[1] - mean if additive else s[1] / mean
        judged = k in JUDGED
        good = max(ratio, 1 / ratio) <= FACTOR if judged else True
        if not good:
            missed.append(k)
        shown = f"{ratio:+.2f}" if additive else f"{ratio:.2f}"
        lines.append(f"| {k} | {s[1]:.4g} ({s[0]:.3g}–{s[2]:.3g}) | " + " | ".join(f"{r:.4g}" for r in real) + f" | {mean:.4g} | {shown}{'' if good else ' **missed**'}{'' if judged else ' (not judged)'} |")
    lines += ["", f"within a factor of {FACTOR} of the sources' mean: {len(JUDGED) - len(missed)} of {len(JUDGED)}" + (f"; missed: {', '.join(missed)}" if missed else "")]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        with open(options.markdown, "w") as out:
            out.write(text)


if __name__ == "__main__":
    main()
