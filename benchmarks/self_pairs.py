#!/usr/bin/env python3
"""`fenceline compare` of images with themselves:
/usr/bin/python3 benchmarks/self_pairs.py IMAGE... [--shift .5,.5] [--gain 1.1,.9] [--noise .01,.03] (needs python3-gdal)

Each image is compared with itself, and with itself moved by half a pixel in x and y (a phase ramp on the mirrored image, so
no blur), with another gain and offset, and noise whose deviation is that share of the 2-98 % range of the band. Values are
clipped to the type, as a sensor would. Every object that is found is false. --keep FOLDER keeps the worst pairs.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from osgeo import gdal

gdal.UseExceptions()


def compare(program, before, after, out, extra):
    done = subprocess.run([program, "compare", before, after, "--out", out, "--overwrite", "--quiet"] + extra,
                          capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1]
    with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
        return json.load(file), ""


def shifted(band, dx, dy):
    """Band limited shift; mirrored, so that its ends meet."""
    h, w = band.shape
    twice = np.block([[band, band[:, ::-1]], [band[::-1], band[::-1, ::-1]]])
    fx, fy = np.fft.fftfreq(2 * w), np.fft.fftfreq(2 * h)
    ramp = np.exp(-2j * np.pi * (fx[None, :] * dx + fy[:, None] * dy))
    return np.fft.ifft2(np.fft.fft2(twice) * ramp).real[:h, :w]


def variant(path, out, shift, gain, offset, noise, rng):
    image = gdal.Open(path)
    data = image.ReadAsArray().astype(np.float64)
    data = data if data.ndim == 3 else data[None]
    kind = image.GetRasterBand(1).DataType
    top = 255 if kind == gdal.GDT_Byte else 65535
    nodata = image.GetRasterBand(1).GetNoDataValue()
    empty = (data == (0 if nodata is None else nodata)).all(0)
    copy = gdal.GetDriverByName("GTiff").CreateCopy(out, image)
    for b in range(data.shape[0]):
        seen = data[b][~empty]
        low, high = np.percentile(seen, (2, 98)) if seen.size else (0, 1)
        moved = shifted(data[b], *shift) if shift != (0, 0) else data[b]
        value = gain * moved + offset * (high - low) + rng.normal(0, noise * (high - low), moved.shape)
        value = np.clip(np.rint(value), 1, top)
        value[empty] = 0 if nodata is None else nodata
        copy.GetRasterBand(b + 1).WriteArray(value)
    copy = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+")
    parser.add_argument("--gain", default="1.1,0.9")
    parser.add_argument("--noise", default="0.01,0.03")
    parser.add_argument("--shift", type=float, default=0.5)
    parser.add_argument("--program", default="build/release/fenceline")
    parser.add_argument("--keep")
    parser.add_argument("--seed", type=int, default=1)
    options, extra = parser.parse_known_args()
    pairs = objects = bad = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = options.keep or folder
        os.makedirs(folder, exist_ok=True)
        for number, path in enumerate(options.images):
            rng = np.random.default_rng(options.seed + number)
            line = []
            cases = [None] + [(float(g), float(n)) for g in options.gain.split(",") for n in options.noise.split(",")]
            for case in cases:
                other, name = path, "itself"
                if case:
                    gain, noise = case
                    name = "%g/%g" % case
                    other = os.path.join(folder, "%d_%g_%g_20300101.tif" % (number, gain, noise))
                    offset = 0.02 if gain > 1 else -0.02
                    variant(path, other, (options.shift, options.shift), gain, offset, noise, rng)
                report, reason = compare(options.program, path, other, os.path.join(folder, "out"), extra)
                if report is None:
                    refused += 1
                    line.append("%s refused (%s)" % (name, reason[-90:]))
                    continue
                count = len(report["changes"])
                pairs += 1
                objects += count
                bad += count > 0
                kinds = sorted({c["kind"] for c in report["changes"]})
                line.append("%s %d%s" % (name, count, " (%s)" % ",".join(kinds) if kinds else ""))
                if case and not (options.keep and count):
                    os.remove(other)
            print("%s: %s" % (path, "; ".join(line)), flush=True)
    print("%d pairs, %d objects in %d of them (bar 0), %d refused" % (pairs, objects, bad, refused))
    return 0


if __name__ == "__main__":
    sys.exit(main())
