#!/usr/bin/env python3
"""Fits the weights of pipeline/stages/difference_weights.h: logistic regression with one weight vector for both
directions, a pixel counting by the direction that scores higher.

usage: train_difference.py EVIDENCE [seed]
EVIDENCE: float32 records [label, 15 evidences of "appeared", 15 of "disappeared"], as `real_pairs --evidence` writes
them. label: -1 not known, 0 no change, 1 change of unknown direction, 2 appeared, 3 disappeared. Tune data only.
The constant is set so that probability 0.5 is the threshold of the best pixel F1 on the data given.
"""
import sys

import numpy as np

COUNT = 15


def main():
    rows = np.fromfile(sys.argv[1], np.float32).reshape(-1, 2 * COUNT + 1)
    rows = rows[rows[:, 0] >= 0]
    label, up, down = rows[:, 0], rows[:, 1:1 + COUNT].astype(np.float64), rows[:, 1 + COUNT:].astype(np.float64)
    scale = np.maximum(up.std(0), 1e-3)
    scale[0] = 1
    weights = np.zeros(COUNT)
    weights[1] = weights[2] = weights[5] = 1
    changed = label > 0
    # Balanced classes: change is rare, and the constant is set afterwards anyway.
    balance = np.where(changed, 0.5 / max(1, changed.sum()), 0.5 / max(1, (~changed).sum()))
    for _ in range(200):
        zu, zd = up @ (weights / scale), down @ (weights / scale)
        use_up = np.where(label == 2, True, np.where(label == 3, False, zu >= zd))
        x = np.where(use_up[:, None], up, down) / scale
        p = 1 / (1 + np.exp(-np.clip(np.where(use_up, zu, zd), -30, 30)))
        gradient = x.T @ (balance * (p - changed)) + 1e-3 * weights * (np.arange(COUNT) > 0)
        hessian = (x * (balance * p * (1 - p))[:, None]).T @ x + np.diag(np.full(COUNT, 1e-3))
        step = np.linalg.solve(hessian, gradient)
        weights -= 0.5 * step
        if np.abs(step).max() < 1e-4:
            break
    weights /= scale
    score = np.maximum(up @ weights, down @ weights)
    best = (0, 0)
    for t in np.quantile(score, np.linspace(0.5, 0.9995, 1000)):
        found = score > t
        tp = (found & changed).sum()
        best = max(best, (2 * tp / (found.sum() + changed.sum()), t))
    weights[0] -= best[1]
    print("F1 %.3f" % best[0])
    print(", ".join("%.3fF" % w for w in weights))


main()
