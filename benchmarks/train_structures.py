#!/usr/bin/env python3
"""Trains the small networks of structures: guard posts and buildings.

    structures_bench --samples SERIES…                     --posts|--places (writes SERIES/KIND.samples)
    train_structures.py posts|places OUT.h SERIES…  [--held-out SERIES…] [--epochs N] [--easy-share S]
        [--hard-share S] [--threads N] [--from OLD.h]

The series must be simulated ones of `tune` seeds. The held-out series are not trained on: the line that makes log-odds
of the network's first output, and the figures printed, come from them. Needs Debian's python3-torch and python3-numpy.
The network's shape is that of kernels/patch_net.h.
"""
import re
import sys

import numpy as np
import torch
from torch import nn

SIZE, INPUTS, HEAD = 30, 3, 24
# extras, outputs, where the extras start in the head, which of them says that there is colour
KINDS = {"posts": (6, 3, 8, 4), "places": (7, 7, 10, 4)}


def load(kind, folder):
    record = np.dtype([("head", "<f4", HEAD), ("patch", "i1", SIZE * SIZE * INPUTS)])
    data = np.fromfile(f"{folder}/{kind}.samples", record)
    return data["head"].copy(), data["patch"].reshape(-1, SIZE, SIZE, INPUTS)


class Net(nn.Module):
    def __init__(self, extras, outputs):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(INPUTS, 16, 3), nn.Conv2d(16, 32, 3)
        self.conv3, self.conv4 = nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 4)
        self.extra = nn.Linear(extras, 32, bias=False)
        self.last = nn.Linear(32, outputs)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.1)

    def forward(self, x, e):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = torch.relu(self.conv3(x))
        x = torch.relu(self.conv4(x)[:, :, 0, 0] + self.extra(e))
        return self.last(self.drop(x))


def batch_of(kind, head, patch, rng, augment):
    """Pixels, extras, label, targets, weight of the targets."""
    extras, outputs, first, colour = KINDS[kind]
    x = torch.from_numpy(patch).float().permute(0, 3, 1, 2) / 32
    e = torch.from_numpy(head[:, first:first + extras].copy())
    t = torch.from_numpy(head[:, 3:2 + outputs].copy())
    y = torch.from_numpy(head[:, 2].copy())
    n = len(x)
    if augment:
        gain = torch.from_numpy(rng.uniform(0.65, 1.5, (n, 1, 1, 1)).astype(np.float32))
        shift = torch.from_numpy(rng.normal(0, 0.12, (n, INPUTS, 1, 1)).astype(np.float32))
        x = x * gain + shift + 0.04 * torch.randn(x.shape)
        # A panchromatic band weighs the colours otherwise than their mean does.
        grey = torch.from_numpy(rng.random(n) < 0.35)
        mix = torch.from_numpy(rng.uniform(-0.3, 0.3, (n, 2, 1, 1)).astype(np.float32))
        x[grey, 0] += (mix * x[:, 1:])[grey].sum(1)
        x[grey, 1:] = 0
        e[grey, colour] = 0
        # What was panchromatic stays without colour.
        pan = e[:, colour] == 0
        x[pan, 1:] = 0
        # Without a sun position the window may lie any way round.
        turned = rng.integers(1, 4, n) * (rng.random(n) < 0.12)
        for k in (1, 2, 3):
            at = torch.from_numpy(turned == k)
            e[at, 0] = 0
            e[at, 3] = 0
            for _ in range(k):
                x[at] = torch.rot90(x[at], 1, [2, 3])
                e[at, 1], e[at, 2] = e[at, 2].clone(), -e[at, 1].clone()
                t[at, 0], t[at, 1] = t[at, 1].clone(), -t[at, 0].clone()
                if kind == "places":
                    t[at, 4:] = -t[at, 4:]
        # The sun's axis is one of symmetry.
        flip = torch.from_numpy(rng.random(n) < 0.5)
        x[flip] = x[flip].flip(3)
        e[flip, 1] = -e[flip, 1]
        t[flip, 0] = -t[flip, 0]
        if kind == "places":
            t[flip, 5] = -t[flip, 5]
    return x, e, y, t, (y > 0.5).float()


def loss_of(kind, out, y, t, w):
    first = nn.functional.binary_cross_entropy_with_logits(out[:, 0], y)
    rest = (nn.functional.smooth_l1_loss(out[:, 1:], t, reduction="none", beta=0.2).mean(1) * w).sum() / w.sum().clamp(min=1)
    return first + 0.7 * rest


def predict(kind, net, head, patch):
    net.eval()
    rows = []
    with torch.no_grad():
        for i in range(0, len(head), 4096):
            x, e, _, _, _ = batch_of(kind, head[i:i + 4096], patch[i:i + 4096], None, False)
            rows.append(net(x, e).numpy())
    return np.concatenate(rows)


def read(path, net):
    """The weights of a header that write() has made."""
    tables = [np.array(re.findall(r"[-+.\de]+(?=F)", t), np.float32)
              for t in re.findall(r"Weights\[\d+\] = \{(.*?)\}", open(path).read(), re.S)]
    flat, at = tables[0], 0
    def take(tensor, shape, order):
        nonlocal at
        count = int(np.prod(shape))
        tensor.data = torch.from_numpy(flat[at:at + count].reshape(shape).transpose(order).copy())
        at += count
    for layer in (net.conv1, net.conv2, net.conv3, net.conv4):
        o, i, h, w = layer.weight.shape
        take(layer.weight, (h, w, i, o), (3, 2, 0, 1))
        take(layer.bias, (o,), (0,))
    o, i = net.last.weight.shape
    take(net.last.weight, (i, o), (1, 0))
    take(net.last.bias, (o,), (0,))
    net.extra.weight.data = torch.from_numpy(tables[1].reshape(-1, 32).T.copy())


def train(kind, head, patch, epochs, start, seed=1):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = Net(*KINDS[kind][:2])
    if start:
        read(start, net)
    size, steps = 256, epochs * (len(head) // 256)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3 if start else 4e-3, total_steps=steps + 1)
    for epoch in range(epochs):
        net.train()
        order = rng.permutation(len(head))
        total = 0.0
        for i in range(0, len(order) - size + 1, size):
            k = np.sort(order[i:i + size])
            x, e, y, t, w = batch_of(kind, head[k], patch[k], rng, True)
            optimiser.zero_grad()
            loss = loss_of(kind, net(x, e), y, t, w)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * size
        print(f"epoch {epoch}: loss {total / len(order):.4f}", flush=True)
    return net


def area_under(score, y):
    order = np.argsort(score, kind="stable")
    rank = np.empty(len(y))
    rank[order] = np.arange(1, len(y) + 1)
    p = y.sum()
    return (rank[y > 0].sum() - p * (p + 1) / 2) / max(1, p * (len(y) - p))


def fit_line(score, y):
    """Gain and offset of log-odds (Platt 1999), by Newton's method."""
    x = np.stack([score, np.ones_like(score)], 1)
    b = np.array([1.0, 0.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ b))
        g, h = x.T @ (y - p), (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        b += np.linalg.solve(h, g)
    return b


def write(path, kind, net, gain, offset, names, count):
    name = {"posts": "Post", "places": "Place"}[kind]
    parts = []
    for layer in (net.conv1, net.conv2, net.conv3, net.conv4):
        parts += [layer.weight.detach().numpy().transpose(2, 3, 1, 0).ravel(), layer.bias.detach().numpy()]
    parts += [net.last.weight.detach().numpy().T.ravel(), net.last.bias.detach().numpy()]
    extra = net.extra.weight.detach().numpy().T.ravel()

    def table(values):
        words, lines, line = [f"{v:.4g}" for v in values], [], "    "
        for w in words:
            w = w if any(c in w for c in ".e") else w + "."
            if len(line) + len(w) + 3 > 100:
                lines.append(line.rstrip())
                line = "    "
            line += w + "F, "
        return "\n".join(lines + [line.rstrip()])

    weights = np.concatenate(parts)
    with open(path, "w") as out:
        out.write("#pragma once\n\n// Written by benchmarks/train_structures.py " + kind + " from " +
                  ", ".join(names) + f":\n// {count} samples. Model card: benchmarks/structures_model_card.md\n\n"
                  "namespace fenceline {\n\n"
                  f"inline constexpr double k{name}CalibrationGain = {gain:.4f}, k{name}CalibrationOffset = {offset:.4f};\n"
                  "// clang-format off\n"
                  f"inline constexpr float k{name}Weights[{len(weights)}] = {{\n{table(weights)}\n}};\n"
                  f"inline constexpr float k{name}ExtraWeights[{len(extra)}] = {{\n{table(extra)}\n}};\n"
                  "// clang-format on\n\n}  // namespace fenceline\n")


def main():
    words = sys.argv[1:]
    kind, path = words[0], words[1]
    epochs, share, hard_share, threads, start, held, folders, into = 12, 1.0, 1.0, 2, None, [], [], None
    i = 2
    while i < len(words):
        if words[i] == "--epochs":
            epochs, i = int(words[i + 1]), i + 2
        elif words[i] == "--easy-share":
            share, i = float(words[i + 1]), i + 2
        elif words[i] == "--hard-share":
            hard_share, i = float(words[i + 1]), i + 2
        elif words[i] == "--from":
            start, i = words[i + 1], i + 2
        elif words[i] == "--threads":
            threads, i = int(words[i + 1]), i + 2
        elif words[i] == "--held-out":
            into, i = held, i + 1
        else:
            (folders if into is None else into).append(words[i])
            i += 1
    torch.set_num_threads(threads)
    # Of the easy ones (nothing stands there, taken at random) and of the hard ones (the former model saw something, or a roof
    # of another size stands there) a share is enough. What is left out is not kept in memory.
    data, chance = [], np.random.default_rng(1)
    for folder in folders:
        some_head, some_patch = load(kind, folder)
        nothing = some_head[:, 2] < 0.2
        shares = np.where(nothing & (some_head[:, 1] == 0), share, np.where(nothing & (some_head[:, 1] == 1), hard_share, 1.0))
        keep = chance.random(len(shares)) < shares
        data.append((some_head[keep], some_patch[keep]))
    head, patch = np.concatenate([d[0] for d in data]), np.concatenate([d[1] for d in data])
    data = None
    real = head[:, 2] >= 0.5
    print(f"{len(head)} samples, {int(real.sum())} of them real")
    net = train(kind, head, patch, epochs, start)
    gain, offset = 1.0, 0.0
    if held:
        data = [load(kind, f) for f in held]
        hhead, hpatch = np.concatenate([d[0] for d in data]), np.concatenate([d[1] for d in data])
        out = predict(kind, net, hhead, hpatch)
        y = (hhead[:, 2] >= 0.5).astype(float)
        start = 0
        for folder, d in zip(held, data):
            part = slice(start, start + len(d[0]))
            start += len(d[0])
            print(f"held out, {folder.rstrip('/').split('/')[-1]}: AUC {area_under(out[part, 0], y[part]):.4f}, "
                  f"log loss {np.mean(np.logaddexp(0, np.where(y[part] > 0, -1, 1) * out[part, 0])):.4f}")
        for k, what in enumerate(("random or candidate", "found by the former model", "forced")):
            at = hhead[:, 1] == k
            if at.sum() > 10 and 0 < y[at].sum() < at.sum():
                print(f"held out, {what}: AUC {area_under(out[at, 0], y[at]):.4f} ({int(y[at].sum())} of {int(at.sum())})")
        at = hhead[:, 1] != 2  # forced samples are not what is met in practice
        if 0 < y[at].sum():
            gain, offset = fit_line(out[at, 0].astype(float), y[at])
        if kind == "posts":
            p = y > 0
            err = np.hypot(*(out[p, 1:3] - hhead[p, 3:5]).T) * 2
            print(f"foot: median error {np.median(err):.2f} m")
        print(f"log-odds = {gain:.3f} x + {offset:.3f}")
        for t in (0.0, -2.0, -4.0):
            s = gain * out[:, 0] + offset > t
            print(f"  above {t}: found {s[y > 0].mean():.3f} of the real, {int(s[y == 0].sum())} of {int((y == 0).sum())} others")
    write(path, kind, net, gain, offset, [f.rstrip('/').split('/')[-1] for f in folders], len(head))


main()
