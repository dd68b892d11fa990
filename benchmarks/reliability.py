#!/usr/bin/env python3
"""Reliability of the stated probabilities that structures exist, over finished series of benchmarks/accuracy.sh.

    reliability.py [--svg FILE] SERIES…      each with truth.json and report/report.json

A guard post is real when a true one ever stood within 3 m, a building when a true one's footprint shares a fifth of the
union with it; the truth is moved by the reference scene's shift, which is what the report's positions are in, and ends at its area of
interest: what is reported beyond that is not judged. --svg draws the reliability diagram. Printed, per kind: the table said / true (count) in ten bins, the expected calibration error (ECE: mean of
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


def inside(p, corners):
    odd = False
    for a, b in zip(corners, corners[1:] + corners[:1]):
        if (a[1] > p[1]) != (b[1] > p[1]) and p[0] < a[0] + (p[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]):
            odd = not odd
    return odd


svg = None
if sys.argv[1:2] == ["--svg"]:
    svg = sys.argv[2]
    del sys.argv[1:3]
tables = collections.defaultdict(lambda: [[0, 0.0, 0] for _ in range(10)])
for folder in sys.argv[1:]:
    truth, report = json.load(open(folder + "/truth.json")), json.load(open(folder + "/report/report.json"))
    reference = next(s["id"] for s in report["scenes"] if s["role"] == "reference")
    off = next(s["displacement"] for s in truth["simulation"]["scenes"] if s["id"] == reference)
    truth, said, site = truth["structures"], report["structures"], truth["site"]["geometry"]
    family = os.path.basename(os.path.dirname(os.path.abspath(folder)))
    for s in said:
        at = s["geometry"]["coordinates"] if s["geometry"]["type"] == "Point" else s["geometry"]["coordinates"][0][0]
        own = ring(s["geometry"], at)
        area_of_truth = [(x + off["dx_m"], y + off["dy_m"]) for x, y in ring(site, at)]
        if not inside((sum(p[0] for p in own) / len(own), sum(p[1] for p in own) / len(own)), area_of_truth):
            continue
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

if svg:
    # One panel per kind: said against true, dots as large as their bins are full.
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="540" height="290" font-family="sans-serif" font-size="12">']
    for k, (kind, name) in enumerate((("guard_post", "guard posts"), ("building", "buildings"))):
        rows = [r for r in tables[kind, "all"] if r[0]]
        count = sum(r[0] for r in rows)
        error = sum(abs(r[1] - r[2]) for r in rows) / count if count else 0
        left = 40 + 265 * k
        at = lambda x, y: f"{left + 200 * x:.1f},{230 - 200 * y:.1f}"
        parts.append(f'<text x="{left}" y="20">{name}: {count}, ECE {error:.3f}</text>'
                     f'<path d="M{at(0, 0)} {at(1, 0)} {at(1, 1)} {at(0, 1)}Z" fill="none" stroke="#888"/>'
                     f'<path d="M{at(0, 0)} {at(1, 1)}" stroke="#aaa" stroke-dasharray="4"/>'
                     f'<path d="M{" ".join(at(r[1] / r[0], r[2] / r[0]) for r in rows)}" fill="none" stroke="#06c"/>')
        for r in rows:
            x, y = at(r[1] / r[0], r[2] / r[0]).split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="{2 + 1.2 * math.log(r[0] + 1):.1f}" fill="#06c" fill-opacity=".5"/>')
        for v in (0, 0.5, 1):
            x, y = at(v, v).split(",")
            parts.append(f'<text x="{float(x) - 6:.1f}" y="246">{v:g}</text><text x="{left - 20}" y="{float(y) + 4:.1f}">{v:g}</text>')
        parts.append(f'<text x="{left + 60}" y="266">probability said</text>')
    parts.append('<text x="12" y="140" transform="rotate(-90 12 140)">share that is real</text></svg>')
    with open(svg, "w") as out:
        out.write("\n".join(parts) + "\n")
