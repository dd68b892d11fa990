#!/usr/bin/env python3
"""Fits how the scores of an object's looks scatter (pipeline/stages/track_looks.cpp) and what a shadow says of a roof.

    structures_bench --looks LOOKS.csv SERIES…
    fit_looks.py LOOKS.csv

SERIES: simulated ones of `tune` seeds. Needs Debian's python3-numpy. Printed, per kind: mean and spread of the objects'
levels (what the looks' own noise adds is taken out), the spread of looks around them, and the share of looks that
neither explains; for buildings, a logistic regression of "stands there" on the score and the shadow's depth.
"""
import collections
import csv
import sys

import numpy as np

rows = list(csv.reader(open(sys.argv[1])))


def logistic(x, y, ridge=0.03):
    b = np.zeros(x.shape[1])
    penalty = ridge * np.eye(x.shape[1])
    penalty[-1, -1] = 0  # the constant
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ b))
        b += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, x.T @ (y - p) - penalty @ b)
    return b


# A look's log-likelihood ratio, there against not: a line on either side of its zero.
ZERO = {}
for kind in ("post", "building"):
    score = np.array([float(r[4]) for r in rows if r[1] == kind and r[5] in "012"])
    there = np.array([r[5] == "0" for r in rows if r[1] == kind and r[5] in "012"], float)
    prior = np.log(there.mean() / (1 - there.mean()))
    b = logistic(np.stack([score, np.ones_like(score)], 1), there, 1e-6)
    ZERO[kind] = zero = (prior - b[1]) / b[0]
    slopes = []
    for side in (score >= zero, score < zero):
        x = (score - zero)[:, None] * side[:, None]
        g = b[0]  # slope through the zero, by Newton's method
        for _ in range(40):
            p = 1 / (1 + np.exp(-np.clip(g * x[side, 0] + prior, -40, 40)))
            step = (x[side, 0] * (there[side] - p)).sum() / ((x[side, 0] ** 2 * p * (1 - p)).sum() + 1e-6)
            g = min(max(g + min(max(step, -0.1), 0.1), 0.05), 3.0)
        slopes.append(g)
    print(f"{kind}: ratio {slopes[0]:.2f} above, {slopes[1]:.2f} below a score of {zero:.2f} ({int(there.sum())} there, {int((1 - there).sum())} not)")
    # What a place shows before or after its object stood there, and what places of nothing show.
    then = np.array([float(r[4]) for r in rows if r[1] == kind and r[5] == "1"])
    never = np.array([float(r[4]) for r in rows if r[1] == kind and r[5] == "2"])
    edges = [-12.01, -11.5, -10, -8, -6, -4, -2, 0, 12]
    for what, values in (("at other times", then), ("never", never)):
        if len(values):
            shares = np.histogram(values, edges)[0] / len(values)
            print(f"{kind}, {what} ({len(values)}): share " + ", ".join(f"{lo}…{hi}: {v:.3f}" for lo, hi, v in zip(edges, edges[1:], shares)))
    stands = np.array([float(r[4]) for r in rows if r[1] == kind and r[5] == "0"])
    print(f"{kind}, stands ({len(stands)}): below −8 {np.mean(stands < -8):.4f}, −6 {np.mean(stands < -6):.4f}, −4 {np.mean(stands < -4):.4f}")
for kind in ("post", "building"):
    looks = collections.defaultdict(list)
    for r in rows:
        if r[1] == kind and r[5] == "0":
            looks[r[0], r[2]].append(float(r[4]))
    full = [np.array(v) for v in looks.values() if len(v) >= 3]
    if not full:
        continue
    rest = np.concatenate([(v - np.median(v)) * np.sqrt(len(v) / (len(v) - 1)) for v in full])
    noise = 1.4826 * np.median(np.abs(rest))
    inside = rest[np.abs(rest) < 4 * noise]
    noise = inside.std()
    level = np.array([np.median(v) for v in full])
    own = np.mean([noise**2 * 1.57 / len(v) for v in full])
    print(f"{kind}: {len(full)} objects, {len(rest)} looks: level {level.mean():.2f} ± {np.sqrt(max(0.1, level.var() - own)):.2f}, "
          f"look {noise:.2f}, outliers {np.mean(np.abs(rest) >= 4 * noise):.3f}")


# Existence: what stands out at the border is the shadow, or the step of a roof brighter than the ground; a post stands
# beside its line (1 up to 4 m from it, 0 from 8 m on); large: 0 up to 150 m², 1 from 300 m² on. That a post needs two looks is not left to the few examples.
for kind in ("post", "building"):
    zero = ZERO[kind]
    objects = collections.defaultdict(list)
    for r in rows:
        if r[1] == kind:
            border = max(float(r[9]), 1.5 * float(r[12]) if float(r[11]) > 0 else 0.0)
            beside = min(max((8 - float(r[16])) / 4, 0.0), 1.0)
            objects[r[0], r[2]].append((int(r[3]), float(r[4]), r[5], beside if kind == "post" else min(max(border, 0.0), 1.5),
                                        min(max((float(r[6]) - 150) / 150, 0.0), 1.0)))
    x, y = [], []
    for looks in objects.values():
        looks.sort()
        shown = [i for i, look in enumerate(looks) if look[1] > zero]
        if shown:
            span = looks[shown[0]:shown[-1] + 1]
            x.append((np.mean([max(-6, look[1]) for look in span]), len(shown) > 1, np.median([look[3] for look in span]), span[0][4], 1))
            y.append(any(look[2] == "0" for look in span))
    x, y = np.array(x), np.array(y, float)
    for names, columns in ((("level", "twice", ""), [0, 1, 4]), (("level", "twice", "beside" if kind == "post" else "border", ""), [0, 1, 2, 4]),
                           (("level", "twice", "border", "large", ""), [0, 1, 2, 3, 4])):
        b = logistic(x[:, columns], y, 1 if kind == "post" else 0.03)
        p = 1 / (1 + np.exp(-x[:, columns] @ b))
        off = sum(abs((p[k] - y[k]).sum()) for k in [np.minimum((10 * p).astype(int), 9) == i for i in range(10)]) / len(p)
        print(f"{kind}: {len(y)} objects, {int(y.sum())} real: existence " +
              " + ".join(f"{v:.2f} {n}" for v, n in zip(b, names)) + f", ECE {off:.3f}")

data = np.array([[float(r[4]), float(r[9]), r[5] == "0"] for r in rows if r[1] == "building" and r[5] in "02" and float(r[15]) > 0])
if len(data):
    for low, high in ((-4, -2), (-2, 0), (0, 2), (2, 4), (4, 8)):
        some = data[(data[:, 0] >= low) & (data[:, 0] < high)]
        for what, at in (("stands", some[some[:, 2] > 0, 1]), ("never", some[some[:, 2] == 0, 1])):
            if len(at):
                print(f"score {low}…{high}, {what} ({len(at)}): shadow depth", np.percentile(at, (5, 25, 50, 75, 95)).round(2))
    b = logistic(np.stack([data[:, 0].clip(-6, 8), data[:, 1].clip(-1, 3), np.ones(len(data))], 1), data[:, 2])
    print("buildings: log-odds = %.2f score + %.2f depth + %.2f" % tuple(b))
