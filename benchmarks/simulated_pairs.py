#!/usr/bin/env python3
"""`fenceline compare` on pairs of simulated series, against their truth:
/usr/bin/python3 benchmarks/simulated_pairs.py SERIES... [--pairs N] (needs python3-gdal)

Of each series the N (default 2) pairs of consecutive used scenes that lie farthest apart in what stands are compared, both ways
round, and its first scene with itself and with itself moved by half a pixel, with another gain and noise.
Prints, pooled over the series: F1 of structures that appeared or went (intersection over union >= 0.5, one to one), false
objects per km2 (structures; ground and vegetation apart), how well the swapped pair mirrors, objects of the pairs that
do not differ. Buildings only: a guard post is smaller than what compare looks for.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
ogr.UseExceptions()
STRUCTURES = ("new_building", "removed_building", "modified_building")


def geometry(value):
    return ogr.CreateGeometryFromJson(json.dumps(value)).Buffer(0)


class Frame:
    """Moves truth to where it appears in a scene: a scene's georeference is metres off, and what is found of a pair lies in
    BEFORE's. Displacements as truth.json tells them (`simulation.displacement`), the lattice bilinear."""

    def __init__(self, truth, scene):
        self.shift = next((s["displacement"] for s in truth["simulation"]["scenes"]
                           if s["id"] == scene and "displacement" in s), None)
        lonlat, grid = osr.SpatialReference(), osr.SpatialReference()
        lonlat.ImportFromEPSG(4326)
        grid.SetFromUserInput(truth["grid"]["crs"])
        for system in (lonlat, grid):
            system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        self.there = osr.CoordinateTransformation(lonlat, grid)
        self.back = osr.CoordinateTransformation(grid, lonlat)

    def moved(self, x, y):
        s = self.shift
        u, v = x - s["centre"][0], y - s["centre"][1]
        dx = s["dx_m"] + s["linear"][0] * u + s["linear"][1] * v
        dy = s["dy_m"] + s["linear"][2] * u + s["linear"][3] * v
        lattice = s.get("lattice")
        if lattice and lattice["columns"] > 1 and lattice["rows"] > 1:
            c, r = lattice["columns"], lattice["rows"]
            i = min(max((x - lattice["origin"][0]) / lattice["spacing_m"], 0), c - 1)
            j = min(max((lattice["origin"][1] - y) / lattice["spacing_m"], 0), r - 1)
            i0, j0 = min(int(i), c - 2), min(int(j), r - 2)
            for a, wa in ((0, 1 - (i - i0)), (1, i - i0)):
                for b, wb in ((0, 1 - (j - j0)), (1, j - j0)):
                    k = (j0 + b) * c + i0 + a
                    dx += wa * wb * lattice["dx_m"][k]
                    dy += wa * wb * lattice["dy_m"][k]
        return x + dx, y + dy

    def __call__(self, geometry):
        if self.shift is None:
            return geometry
        rings = []
        for ring in geometry["coordinates"]:
            points = [self.moved(*p[:2]) for p in self.there.TransformPoints([q[:2] for q in ring])]
            rings.append([list(p[:2]) for p in self.back.TransformPoints(points)])
        return {"type": "Polygon", "coordinates": rings}


def compare(program, before, after, folder):
    out = os.path.join(folder, "out")
    done = subprocess.run([program, "compare", before, after, "--out", out, "--overwrite", "--quiet"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip()
    with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    image = gdal.Open(os.path.join(out, "change.tif"))
    return (report, image.GetRasterBand(1).ReadAsArray()), ""


def stands(structure, scene):
    for look in structure["observations"]:
        if look["scene"] == scene:
            return {"present": True, "absent": False}.get(look["seen"])
    return None


def truth_of(truth, before, after):
    """Footprints that appeared or went, and those that are not to be told (hidden in one look)."""
    changed, unclear = [], []
    frame = Frame(truth, before)
    for structure in truth["structures"]:
        if structure["kind"] != "building":
            continue
        first, second = stands(structure, before), stands(structure, after)
        if first is None or second is None:
            unclear.append(geometry(frame(structure["geometry"])))
        elif first != second:
            changed.append((geometry(frame(structure["geometry"])), "new" if second else "removed"))
    return changed, unclear


def overlap(a, b):
    if not a.Intersects(b):
        return 0.0
    both = a.Intersection(b).Area()
    return both / (a.Area() + b.Area() - both)


def score(report, truth, before, after):
    changed, unclear = truth_of(truth, before, after)
    changes = [c for c in report["changes"] if c["kind"] in STRUCTURES]
    found = [geometry(c["geometry"]) for c in changes]
    pairs = sorted(((overlap(f, t), i, j) for i, f in enumerate(found) for j, (t, _) in enumerate(changed)),
                   reverse=True)
    used_found, used_truth = set(), set()
    for value, i, j in pairs:
        # A building rebuilt on its place is one that went and one that came: "modified" says both, each once.
        claim = (i, changed[j][1] if changes[i]["kind"] == "modified_building" else "")
        if value >= 0.5 and claim not in used_found and j not in used_truth:
            used_found.add(claim)
            used_truth.add(j)
    used_found = {i for i, _ in used_found}
    touched = sum(any(f.Intersects(t) for f in found) for t, _ in changed)
    false = [f for i, f in enumerate(found) if i not in used_found and not any(f.Intersects(u) for u in unclear)]
    # What overlaps a true change, at whatever share, is not a false alarm but a bad outline.
    alarms = [f for f in false if not any(f.Intersects(t) for t, _ in changed)]
    return dict(hits=len(used_truth), right=len(used_found), touched=touched, truth=len(changed),
                found=len(used_found) + len(false), alarms=len(alarms))


def moved(path, folder, rng):
    image = gdal.Open(path)
    data = image.ReadAsArray().astype(np.float32)
    data = data if data.ndim == 3 else data[None]
    k = np.array([-0.0625, 0.5625, 0.5625, -0.0625], np.float32)  # Keys, half a pixel
    for axis in (1, 2):
        data = sum(w * np.roll(data, 1 - i, axis) for i, w in enumerate(k))
    top = 255 if image.GetRasterBand(1).DataType == gdal.GDT_Byte else 65535
    spread = data.std()
    data = 0.9 * data + 0.02 * spread + rng.normal(0, 0.03 * spread, data.shape)
    out = os.path.join(folder, "moved_20300101.tif")
    copy = gdal.GetDriverByName("GTiff").CreateCopy(out, image)
    for b in range(data.shape[0]):
        copy.GetRasterBand(b + 1).WriteArray(np.clip(np.rint(data[b]), 1, top))
    copy = None
    return out


def mirrored(a, b):
    """Share of the pixels called changed one way round that are called the opposite the other way round, there or one pixel
    beside: both maps lie on their own grids and are brought together by whole pixels."""
    swap = np.array([0, 2, 1, 3, 4, 5, 6] + [7] * 248 + [255])

    def found(p, q):
        there = np.zeros(p.shape, bool)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                there |= swap[p.astype(int)] == np.roll(q, (i, j), (0, 1))
        return there
    one, two = np.isin(a, (1, 2, 3)), np.isin(b, (1, 2, 3))
    return found(a, b)[one].sum() + found(b, a)[two].sum(), one.sum() + two.sum()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("series", nargs="+")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--program", default="build/release/fenceline")
    parser.add_argument("--tests", default="pairs,swap,self", help="which of pairs, swap and self")
    options = parser.parse_args()
    total = dict(hits=0, right=0, touched=0, truth=0, found=0, alarms=0, ground=0)
    km2 = quiet_km2 = quiet_objects = quiet_ground = 0.0
    same = of = self_objects = self_runs = 0
    rng = np.random.default_rng(1)
    for series in options.series:
        with open(os.path.join(series, "truth.json"), encoding="utf-8") as file:
            truth = json.load(file)
        scenes = [s for s in truth["scenes"] if s["role"] != "left_out"]
        path = {s["id"]: os.path.join(series, s["source"]) for s in scenes}
        ids = [s["id"] for s in scenes]
        consecutive = list(zip(ids, ids[1:]))
        consecutive.sort(key=lambda p: -len(truth_of(truth, *p)[0]))
        with tempfile.TemporaryDirectory() as folder:
            for before, after in consecutive[:options.pairs] if "pairs" in options.tests else []:
                done, reason = compare(options.program, path[before], path[after], folder)
                if done is None:
                    print("%s %s-%s refused: %s" % (series, before, after, reason), file=sys.stderr)
                    continue
                report, classes = done
                grid = report["grid"]
                area = (classes != 255).sum() * grid["gsd_m"] ** 2 / 1e6
                ground = sum(c["kind"] not in STRUCTURES for c in report["changes"])
                figures = score(report, truth, before, after)
                print("%s %s-%s: %d of %d changed buildings at IoU .5 (%d touched), %d structures found, %d where none "
                      "changed, %d ground or vegetation, %.2f km2, registration %s" %
                      (series, before, after, figures["hits"], figures["truth"], figures["touched"], figures["found"],
                       figures["alarms"], ground, area, report["scenes"][1]["registration"]["status"]))
                if figures["truth"] == 0:
                    quiet_km2 += area
                    quiet_objects += figures["found"]
                    quiet_ground += ground
                else:
                    km2 += area
                    for key, value in figures.items():
                        total[key] += value
                    total["ground"] += ground
                if "swap" in options.tests:
                    back, _ = compare(options.program, path[after], path[before], folder)
                    if back is not None and back[1].shape == classes.shape:
                        # The other map lies on the other image: whole pixels are enough to compare them.
                        shift = report["scenes"][1]["registration"]
                        columns, rows = (round(shift["dx_m"] / grid["gsd_m"]), -round(shift["dy_m"] / grid["gsd_m"]))
                        g1, g2 = grid["geotransform"], back[0]["grid"]["geotransform"]
                        columns += round((g1[0] - g2[0]) / grid["gsd_m"])
                        rows += round((g2[3] - g1[3]) / grid["gsd_m"])
                        right, all_of = max(mirrored(classes, np.roll(back[1], (i, j), (0, 1)))
                                            for i in (rows, -rows) for j in (columns, -columns))
                        same += int(right)
                        of += int(all_of)
            if "self" in options.tests:
                for other in (path[ids[0]], moved(path[ids[0]], folder, rng)):
                    done, reason = compare(options.program, path[ids[0]], other, folder)
                    count = len(done[0]["changes"]) if done else -1
                    print("%s against itself%s: %s" % (series, " moved" if other != path[ids[0]] else "",
                                                      "%d objects" % count if done else reason))
                    self_runs += 1
                    self_objects += max(0, count)
    if total["truth"] > 0:
        p = total["right"] / max(1, total["found"])
        r = total["hits"] / total["truth"]
        print("pooled: precision %.2f, recall %.2f (%.2f touched), F1 %.2f (bar .80); %.2f false structures per km2 "
              "(bar 1), %.2f ground or vegetation per km2" %
              (p, r, total["touched"] / total["truth"], 2 * p * r / max(1e-9, p + r), total["alarms"] / km2,
               total["ground"] / km2))
    if quiet_km2 > 0:
        print("pairs without change: %.2f structures, %.2f ground or vegetation per km2 (bar 2 together)" %
              (quiet_objects / quiet_km2, quiet_ground / quiet_km2))
    if of > 0:
        print("swapped: %.3f of the pixels of changed structures are mirrored" % (same / of))
    if self_runs > 0:
        print("against itself: %d objects in %d runs (bar 0)" % (self_objects, self_runs))


if __name__ == "__main__":
    main()
