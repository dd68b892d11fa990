#!/usr/bin/env python3
"""Trains the model of guard posts: small gradient boosted trees over the cues of one look.

    benchmarks/train_posts.py OUT.h SERIES=FILE.cues[,FILE.cues...] ...

Each SERIES is one simulated series (a seed); a .cues file is what a program that calls post_cues writes for one of its
scenes, one line a place: kind (cand: found there; look: forced at a true post, standing or not yet; other: forced
at what another scene of the series found), label, post, distance to the nearest standing post in metres,
distance to the nearest post of any date, x, y, then the cues. With one series left out in turn the figures
of the model card are printed; then the model of all of them is written as a C++ table.
Needs numpy.
"""
import sys

import numpy as np

OFFSET, SUNWARD, SCENE_CUES = 32, 33, (35, 36)  # as post_cues orders them
TREES, DEPTH, RATE, BINS, LEAF_L2, MIN_LEAF, SUBSAMPLE = 70, 3, 0.12, 32, 8.0, 12.0, 0.7


def load(files):
    kind, label, dist, any_post, cues = [], [], [], [], []
    for file in files:
        for line in open(file):
            w = line.split()
            kind.append(w[0])
            label.append(int(w[1]))
            dist.append(float(w[3]))
            any_post.append(float(w[4]))
            cues.append([float(v) for v in w[7:]])
    return (np.array(kind), np.array(label), np.array(dist), np.array(any_post), np.array(cues, np.float32))


def training_rows(data):
    """Rows that say clearly post or no post."""
    kind, label, dist, any_post, cues = data
    found = kind == "cand"
    post = np.where(found, dist < 2.5, (label == 1) & (dist < 4))
    bare = np.where(found, dist > 5, label == 0)
    use = post | bare
    return cues[use], post[use].astype(float)


def without_the_series(x, rng):
    """Cues as the model may know them: a traced line is off by a metre or two, so the distance to it is blurred;
    what names the scene (sun height, view lean) is the same in every series and is left out."""
    x = x.copy()
    shift = rng.normal(0, 1.5, len(x)).astype(np.float32)
    x[:, OFFSET] = np.abs(x[:, OFFSET] + shift)
    x[:, SUNWARD] += rng.normal(0, 1.5, len(x)).astype(np.float32)
    x[:, SCENE_CUES] = 0
    return x


def fit(x, y, seed=0):
    rng = np.random.default_rng(seed)
    x = without_the_series(x, rng)
    edges = [np.unique(np.quantile(x[:, f], np.linspace(0, 1, BINS + 1)[1:-1]).astype(np.float32))
             for f in range(x.shape[1])]
    binned = np.stack([np.searchsorted(e, x[:, f], side="left") for f, e in enumerate(edges)], 1)
    start = np.log(y.mean() / (1 - y.mean()))
    score, trees = np.full(len(y), start), []
    for _ in range(TREES):
        p = 1 / (1 + np.exp(-score))
        chosen = rng.random(len(y)) < SUBSAMPLE
        g, h = (y - p) * chosen, p * (1 - p) * chosen
        node = np.zeros(len(y), int)
        features, cuts = [], []
        for level in range(DEPTH):
            level_features, level_cuts = [], []
            new = np.zeros(len(y), int)
            for k in range(2 ** level):
                at = np.flatnonzero(node == k)
                best, f_best, c_best = 1e-9, 0, np.float32(3e38)
                gs, hs = g[at].sum(), h[at].sum()
                for f, e in enumerate(edges):
                    if len(e) == 0:
                        continue
                    gl = np.cumsum(np.bincount(binned[at, f], g[at], len(e) + 1))[:-1]
                    hl = np.cumsum(np.bincount(binned[at, f], h[at], len(e) + 1))[:-1]
                    nl = np.cumsum(np.bincount(binned[at, f], chosen[at], len(e) + 1))[:-1]
                    gain = gl ** 2 / (hl + LEAF_L2) + (gs - gl) ** 2 / (hs - hl + LEAF_L2) - gs ** 2 / (hs + LEAF_L2)
                    gain[(nl < MIN_LEAF) | (chosen[at].sum() - nl < MIN_LEAF)] = 0
                    i = int(np.argmax(gain))
                    if gain[i] > best:
                        best, f_best, c_best = gain[i], f, e[i]
                level_features.append(f_best)
                level_cuts.append(c_best)
                new[at] = 2 * k + (x[at, f_best] > c_best)
            features += level_features
            cuts += level_cuts
            node = new
        leaves = np.array([g[node == k].sum() / (h[node == k].sum() + LEAF_L2) for k in range(2 ** DEPTH)]) * RATE
        trees.append((features, cuts, leaves))
        score = score + leaves[node]
    return start, trees


def predict(model, x):
    start, trees = model
    score = np.full(len(x), start)
    for features, cuts, leaves in trees:
        node = np.zeros(len(x), int)
        first = 0
        for level in range(DEPTH):
            f, c = np.array(features)[first + node], np.array(cuts, np.float32)[first + node]
            first += 2 ** level
            node = 2 * node + (x[np.arange(len(x)), f] > c)
        score += leaves[node]
    return score


def area_under(score, y):
    order = np.argsort(score, kind="stable")
    rank = np.empty(len(y))
    rank[order] = np.arange(1, len(y) + 1)
    p = y.sum()
    return (rank[y > 0].sum() - p * (p + 1) / 2) / (p * (len(y) - p))


def report(name, score, data):
    kind, label, dist, any_post, cues = data
    cand, look = kind == "cand", kind == "look"
    old = cues[:, 0]
    y, n = (dist < 2.5) & cand, (dist > 5) & cand
    for what, s in (("old", old), ("new", score)):
        at = []
        for false in (10, 30, 70):
            t = np.sort(s[n])[::-1][min(false, n.sum() - 1)]
            at.append(f"{int((s[y] > t).sum())}@{false}")
        lp, ln = s[look & (label == 1)], s[look & (label == 0)]
        auc = area_under(np.r_[lp, ln], np.r_[np.ones(len(lp)), np.zeros(len(ln))])
        print(f"{name} {what}: posts found at so many false {' '.join(at)} of {y.sum()} candidates; forced looks AUC {auc:.3f}")
    forced = ~cand & (~(label == 1) | (dist < 4))
    for what, s in (("old", old), ("new", score)):
        s, t = s[forced], label[forced].astype(float)
        print(f"   forced looks, true places and other scenes' finds: {what} AUC {area_under(s, t):.3f} of {int(t.sum())}/{len(t)}")
    p = 1 / (1 + np.exp(-score[y | n]))
    t = y[y | n]
    print("   calibration:", " ".join(
        f"{lo:.2f}-{hi:.2f}: {p[(p >= lo) & (p < hi)].mean():.2f}/{t[(p >= lo) & (p < hi)].mean():.2f} ({((p >= lo) & (p < hi)).sum()})"
        for lo, hi in ((0, .1), (.1, .3), (.3, .6), (.6, .9), (.9, 1.01)) if ((p >= lo) & (p < hi)).any()))


def write(path, model, names, rows, posts):
    start, trees = model
    with open(path, "w") as out:
        out.write("#pragma once\n\n// Written by benchmarks/train_posts.py from the series " + ", ".join(names) +
                  f":\n// {rows} places, {posts} of them posts. Model card: benchmarks/posts_model_card.md\n\n"
                  "namespace fenceline {\n\n/// A tree of depth 3: the cue and the cut of its 7 nodes, top down (above the "
                  "cut: right), and its\n/// 8 leaves in units of log-odds.\nstruct PostTree {\n    unsigned char cue[7];\n"
                  "    float cut[7];\n    float leaf[8];\n};\n\n")
        out.write(f"constexpr float kPostModelStart = {start:.4f}F;\n\n// clang-format off\nconstexpr PostTree kPostModel[] = {{\n")
        for features, cuts, leaves in trees:
            out.write("    {{" + ", ".join(str(f) for f in features) + "}, {" +
                      ", ".join(f"{c:.5e}F" if abs(c) < 1e30 else "3e38F" for c in cuts) + "}, {" +
                      ", ".join(f"{v:.4f}F" for v in leaves) + "}},\n")
        text = "};\n// clang-format on\n\n}  // namespace fenceline\n"
        out.write(text)


def main():
    series = {a.split("=")[0]: load(a.split("=")[1].split(",")) for a in sys.argv[2:]}
    held = []
    if len(series) > 1:
        for left_out in series:
            parts = [training_rows(d) for name, d in series.items() if name != left_out]
            model = fit(np.vstack([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
            score = predict(model, series[left_out][4])
            report(left_out, score, series[left_out])
            kind, label = series[left_out][:2]
            held.append((score[kind != "cand"], label[kind != "cand"]))
        s, t = np.concatenate([h[0] for h in held]), np.concatenate([h[1] for h in held])
        cuts = [-99, -5, -4, -3, -2, -1, 0, 1, 2, 3, 99]
        print("held out, forced looks: score: ln p(score | there) - ln p(score | not)")
        for lo, hi in zip(cuts[:-1], cuts[1:]):
            at = (s >= lo) & (s < hi)
            p, n = (at & (t == 1)).sum(), (at & (t == 0)).sum()
            if p + n:
                print(f"   {s[at].mean():6.2f}: {np.log((p + .5) / (t.sum() + 1) / ((n + .5) / ((1 - t).sum() + 1))):6.2f}  ({p}/{n})")
    parts = [training_rows(d) for d in series.values()]
    x, y = np.vstack([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    model = fit(x, y)
    used = np.zeros(x.shape[1], int)
    for features, _, _ in model[1]:
        for f in features:
            used[f] += 1
    print("nodes by cue:", " ".join(f"{f}:{n}" for f, n in enumerate(used)))
    write(sys.argv[1], model, list(series), len(y), int(y.sum()))


main()
