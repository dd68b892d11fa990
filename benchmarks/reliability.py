#!/usr/bin/env python3
"""Reliability of the stated probabilities that structures exist, over finished series of benchmarks/accuracy.sh.

    reliability.py SERIES…      each with truth.json and report/report.json

A guard post is real when a true one ever stood within 3 m, a building when a true one's footprint shares a fifth of the
union with it; the truth is moved by the reference scene's shift, which is what the report's positions are in. Printed, per kind: the table said / true (count) in ten bins, the expected calibration error (ECE: mean of
|said - true| over the bins, weighted by count), and the same for every family (the folder above the series).
"""
import collections
import json
import math
import os
import sys


def ring(geometry, at):
    points = geometry["coordinates"]
    points = [points] if geometry["type"] == "Point" else points[0][:-1]
    return [((x - at[0]) * 111320 * math.cos(math.radians(at[1])), (y - at[1]) * 110940) for x, y in points]


def area(p):
    return 0.5 * sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(p, p[1:] + p[:1]))


def shared(a, b):
    """Area that two convex rings share (Sutherland & Hodgman 1974)."""
    turn = 1 if area(b) > 0 else -1
    for p, q in zip(b, b[1:] + b[:1]):
        inside = [turn * ((q[0] - p[0]) * (c[1] - p[1]) - (q[1] - p[1]) * (c[0] - p[0])) for c in a]
        kept = []
        for i, c in enumerate(a):
            d, here, there = a[(i + 1) % len(a)], inside[i], inside[(i + 1) % len(a)]
            if here >= 0:
                kept.append(c)
            if here * there < 0:
                t = here / (here - there)
                kept.append((c[0] + t * (d[0] - c[0]), c[1] + t * (d[1] - c[1])))
        a = kept
        if len(a) < 3:
            return 0.0
    return abs(area(a))


tables = collections.defaultdict(lambda: [[0, 0.0, 0] for _ in range(10)])
for folder in sys.argv[1:]:
    truth, report = json.load(open(folder + "/truth.json")), json.load(open(folder + "/report/report.json"))
    reference = next(s["id"] for s in report["scenes"] if s["role"] == "reference")
    off = next(s["displacement"] for s in truth["simulation"]["scenes"] if s["id"] == reference)
    truth, said = truth["structures"], report["structures"]
    family = os.path.basename(os.path.dirname(os.path.abspath(folder)))
    for s in said:
        at = s["geometry"]["coordinates"] if s["geometry"]["type"] == "Point" else s["geometry"]["coordinates"][0][0]
        own = ring(s["geometry"], at)
        real = False
        for t in truth:
            if t["kind"] != s["kind"]:
                continue
            other = [(x + off["dx_m"], y + off["dy_m"]) for x, y in ring(t["geometry"], at)]
            if s["kind"] == "guard_post":
                real = real or math.dist(own[0], other[0]) <= 3
            elif math.dist(own[0], other[0]) < 200:
                both = shared(own, other)
                real = real or both >= 0.2 * (abs(area(own)) + abs(area(other)) - both)
        for key in ((s["kind"], "all"), (s["kind"], family)):
            row = tables[key][min(9, int(10 * s["confidence"]))]
            row[0] += 1
            row[1] += s["confidence"]
            row[2] += real
for (kind, family), rows in sorted(tables.items()):
    count = sum(r[0] for r in rows)
    error = sum(abs(r[1] - r[2]) for r in rows) / count
    print(f"{kind}, {family}: ECE {error:.3f} of {count}; said/true (count): " +
          " ".join(f"{r[1] / r[0]:.2f}/{r[2] / r[0]:.2f} ({r[0]})" for r in rows if r[0]))
