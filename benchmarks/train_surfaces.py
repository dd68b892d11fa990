#!/usr/bin/env python3
"""Trains the network of surfaces (pipeline/stages/structures_maps.onnx): roofs, their borders, the line, guard posts.

    train_surfaces.py worlds FOLDER FIRST COUNT          random small scenarios of tune seeds 3000 + k, for `fenceline simulate`
    structures_bench --samples --surfaces SERIES…        writes SERIES/surface_K.bin, registered by the truth
    structures_bench --rio DATA/spacenet1_rio --samples --surfaces FOLDER
    train_surfaces.py pack OUT.bin FILES…                squeezes scenes (lossy, as a photograph) into one file
    train_surfaces.py train SECONDS OUT.npz PACKS…       on a GPU where there is one (an H100: 300 s)
    train_surfaces.py export IN.npz OUT.onnx             batch norms folded in, for OpenCV's DNN module

Held out, and never trained on: worlds 300 to 329 and the series whose seed begins with 40. Needs numpy, OpenCV for
Python and PyTorch (Debian's python3-torch exports; it trains too, slowly). What it was shown: surfaces_model_card.md.
"""
import datetime
import json
import math
import os
import random
import struct
import sys
import time

import numpy as np

INPUTS, OUTPUTS = 8, 4
ROOF, BORDER, LINE, POST, NOBODY_KNOWS, ROOFS_ONLY = 1, 2, 4, 8, 16, 32
HEAD = "<ii6fiiii"  # width, height, the five extras and "has colour", lengths of name, luminance, colours, labels


# --- worlds

def world(k):
    """A scenario of some 450 m: every season, sun, view, band, resolution and kind of line, much of it built up."""
    r = random.Random(f"net{k}")
    here = os.path.dirname(os.path.abspath(__file__))
    s = json.load(open(os.path.join(here, "../configs/scenarios/panchromatic.json")))
    s.update(id=f"net{k}", name="training", family="training", seed=3000 + k)
    s["place"] = {"lon": r.uniform(124.5, 130.5), "lat": r.uniform(34, 43.5)}
    side = r.uniform(380, 520)
    s["area"] = {"width_m": side, "height_m": side, "margin_m": 12}
    s["land"] = {"texture": r.uniform(0.6, 2.2), "relief_m": r.uniform(5, 60), "forest": r.uniform(0.02, 0.5),
                 "fields": r.uniform(0.1, 0.7), "villages": r.choice([1, 1, 2, 3]), "houses_per_village": r.randint(8, 40)}
    kind = r.choices(["wall", "double_fence", "none"], [0.72, 0.2, 0.08])[0]
    gsd = r.choice([0.5, 0.5, 0.5, 0.55, 0.6, 0.6, 0.7, 0.8, 1.0])
    area = r.uniform(0.1, 0.32) * side * side
    if kind == "none":
        s["line"], s["line_changes"], s["post_changes"] = {"kind": "none"}, [], []
    else:
        s["line"] = {"kind": kind, "height_m": r.uniform(2, 4.5), "thickness_m": r.uniform(0.3, 0.9),
                     "strip_m": r.choice([0, 4, 6, 8, 8, 10, 14]), "patrol_path": r.random() < 0.5, "area_m2": area,
                     "length_m": r.uniform(1.05, 1.3) * 3.545 * area**0.5, "aspect": r.uniform(0.6, 1.7),
                     "posts": r.randint(4, 14), "gates": r.randint(0, 2), "known": True}
        u, span = r.random(), r.uniform(100, 180)
        change = {"at": "2015-03-15T00:00:00Z", "length_m": 0}
        if u < 0.45:
            change.update(kind="expansion", area_m2=area * r.uniform(1.15, 1.45), direction_deg=r.uniform(0, 360),
                          span_deg=span, posts=r.randint(0, 4))
        elif u < 0.7:
            change.update(kind="contraction", area_m2=area * r.uniform(0.68, 0.88), direction_deg=r.uniform(0, 360),
                          span_deg=span, posts=r.randint(0, 3))
        s["line_changes"] = [change] if u < 0.7 else []
        s["post_changes"] = [{"at": "2016-06-01T00:00:00Z", "added": r.randint(0, 3), "removed": r.randint(0, 2)}]
    s["buildings"] = {"barracks": r.randint(2, 14), "workshops": r.randint(1, 9), "houses": r.randint(4, 30),
                      "offices": r.randint(1, 7)}
    s["building_changes"] = [{"at": "2015-06-01T00:00:00Z", "added": r.randint(0, 4), "removed": r.randint(0, 2),
                              "rebuilt": r.randint(0, 2), "direction_deg": -1}]
    s["distractors"] = {"vehicles": r.randint(0, 25), "haystacks": r.randint(0, 40), "ponds": r.randint(0, 3),
                        "repainted_roofs": r.randint(0, 4), "felled_patches": r.randint(0, 3), "pylons": r.randint(0, 8)}
    s.pop("variants", None)
    s["scenes"] = []
    for j, year in enumerate((2014, 2015, 2017)):
        t = datetime.datetime(year, 1, 1, 2, 20) + datetime.timedelta(days=r.randint(1, 365) - 1,
                                                                      minutes=r.uniform(-70, 200))
        if j == 1 and t.month < 4:
            t = t.replace(month=5)
        snow = r.uniform(0.05, 0.9) if t.month in (12, 1, 2, 3) and r.random() < 0.6 else 0
        gain = r.uniform(0.6, 1.0) if snow > 0.3 else r.uniform(0.8, 1.15)
        bands = r.choices(["rgb", "pan", "bgrn"], [0.75, 0.17, 0.08])[0]
        scene = {"datetime": t.strftime("%Y-%m-%dT%H:%M:%SZ"), "sensor": f"S{j}", "gsd_m": gsd, "bands": bands,
                 "bits": r.choice([8, 11]), "blur_px": r.uniform(0.28, 0.75), "noise": r.uniform(0.5, 2.6),
                 "off_nadir_deg": r.uniform(0, 30), "view_azimuth_deg": r.uniform(0, 360), "haze": r.uniform(0.02, 0.35),
                 "soil_moisture": r.uniform(0.1, 0.7), "snow": snow, "cloud": 0,
                 "registration": {"dx_m": r.uniform(-4, 4), "dy_m": r.uniform(-4, 4), "rotation_mrad": r.uniform(-0.4, 0.4),
                                  "scale_ppm": r.uniform(-250, 250), "local_px": r.uniform(0.2, 0.8)}}
        if bands != "pan":
            scene["gain"] = [gain * r.uniform(0.94, 1.06) for _ in range(3 if bands == "rgb" else 4)]
        s["scenes"].append(scene)
    return s


def worlds(folder, first, count):
    os.makedirs(folder, exist_ok=True)
    for k in range(int(first), int(first) + int(count)):
        json.dump(world(k), open(f"{folder}/{k}.json", "w"))


# --- packs

def read_surface(path):
    """Channels (3, h, w; 128 + 32 value), labels (h, w), the extras and whether there is colour."""
    data = open(path, "rb").read()
    w, h = np.frombuffer(data[:8], np.int32)
    extras = np.frombuffer(data[8:32], np.float32)
    image = np.frombuffer(data[32:32 + 3 * w * h], np.uint8).reshape(3, h, w)
    return image, np.frombuffer(data[32 + 3 * w * h:], np.uint8).reshape(h, w), extras


def packed(path):
    import cv2
    image, labels, extras = read_surface(path)
    h, w = labels.shape
    if max(h, w) > 1000:  # the part with most to see
        mass = cv2.boxFilter(((labels & (ROOF | LINE | POST)) > 0).astype(np.float32), -1, (960, 960), normalize=False,
                             borderType=cv2.BORDER_CONSTANT)
        inner = mass[min(480, h // 2):max(h - 480, h // 2 + 1), min(480, w // 2):max(w - 480, w // 2 + 1)]
        y, x = np.unravel_index(np.argmax(inner), inner.shape)
        y, x = max(0, min(y, h - 960)), max(0, min(x, w - 960))
        image, labels = image[:, y:y + 960, x:x + 960], labels[y:y + 960, x:x + 960]
        h, w = labels.shape
    if ((labels & NOBODY_KNOWS) > 0).mean() > 0.7:
        return b""
    luminance = cv2.imencode(".webp", np.ascontiguousarray(image[0]), [cv2.IMWRITE_WEBP_QUALITY, 85])[1].tobytes()
    half = np.hstack([cv2.resize(image[k], ((w + 1) // 2, (h + 1) // 2), interpolation=cv2.INTER_AREA) for k in (1, 2)])
    colours = cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes() if extras[5] > 0 else b""
    bits = np.ascontiguousarray(np.dstack([labels & 15, (labels >> 4) & 3, labels * 0])) * 8
    marks = cv2.imencode(".webp", bits, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    name = "/".join(path.split("/")[-2:]).encode()
    return struct.pack(HEAD, w, h, *extras, len(name), len(luminance), len(colours), len(marks)) + name + luminance + colours + marks


def pack(out, *files):
    with open(out, "wb") as f:
        for path in files:
            f.write(packed(path))


# --- the network

def surface_net():
    import torch.nn.functional as F
    from torch import nn

    def block(i, o, stride=1, dilation=1):
        return nn.Sequential(nn.Conv2d(i, o, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(o),
                             nn.ReLU(inplace=True))

    class SurfaceNet(nn.Module):
        """Four halvings with skips; four values per output map and 2 × 2 cells (depth to space is left to the caller)."""

        def __init__(self, a=24, b=40, c=64, d=96):
            super().__init__()
            self.stem, self.e1 = block(INPUTS, a, 2), block(a, a)
            self.down2, self.e2 = block(a, b, 2), block(b, b)
            self.down3, self.e3 = block(b, c, 2), nn.Sequential(block(c, c), block(c, c))
            self.down4, self.e4 = block(c, d, 2), nn.Sequential(block(d, d), block(d, d, 1, 2), block(d, d))
            self.up3, self.d3 = nn.Conv2d(d, c, 1), block(c, c)
            self.up2, self.d2 = nn.Conv2d(c, b, 1), block(b, b)
            self.up1, self.d1 = nn.Conv2d(b, a, 1), block(a, a)
            self.head = nn.Conv2d(a, 4 * OUTPUTS, 3, 1, 1)

        def forward(self, x):
            def up(t):
                return F.interpolate(t, scale_factor=2, mode="nearest")
            e1 = self.e1(self.stem(x))
            e2 = self.e2(self.down2(e1))
            e3 = self.e3(self.down3(e2))
            x = self.e4(self.down4(e3))
            x = self.d3(up(self.up3(x)) + e3)
            x = self.d2(up(self.up2(x)) + e2)
            return self.head(self.d1(up(self.up1(x)) + e1))

    return SurfaceNet()


def load(net, path):
    import torch
    net.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(path).items()})
    return net


def export(path, out):
    import torch
    from torch import nn

    def fold(module):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Sequential) and len(child) == 3 and isinstance(child[0], nn.Conv2d):
                setattr(module, name, nn.Sequential(torch.nn.utils.fuse_conv_bn_eval(child[0], child[1]), nn.ReLU()))
            else:
                fold(child)

    net = load(surface_net().eval(), path)
    fold(net)
    torch.onnx.export(net, torch.zeros(1, INPUTS, 512, 512), out, opset_version=11, do_constant_folding=True,
                      input_names=["cells"], output_names=["log_odds"])


# --- training

SIDE, BOX, CROP = 1000, 480, 256  # of the atlas' tiles, of what is cut out of one, of a sample; cells


def records(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        w, h, *rest = struct.unpack_from(HEAD, data, at)
        at += struct.calcsize(HEAD)
        parts = []
        for n in rest[6:]:
            parts.append(data[at:at + n])
            at += n
        yield w, h, rest[:6], parts


def decoded(record):
    import cv2
    w, h, extras, (name, luminance, colours, marks) = record
    tile = np.full((4, SIDE, SIDE), 128, np.uint8)
    tile[3] = NOBODY_KNOWS
    w, h = min(w, SIDE), min(h, SIDE)
    tile[0, :h, :w] = cv2.imdecode(np.frombuffer(luminance, np.uint8), 0)[:h, :w]
    if colours:
        both = cv2.imdecode(np.frombuffer(colours, np.uint8), 0)
        n = both.shape[1] // 2
        for i in (0, 1):
            tile[1 + i, :h, :w] = cv2.resize(both[:, i * n:(i + 1) * n], (2 * n, 2 * both.shape[0]))[:h, :w]
    bits = cv2.imdecode(np.frombuffer(marks, np.uint8), 1)
    tile[3, :h, :w] = ((bits[..., 0] // 8) | ((bits[..., 1] // 8) << 4))[:h, :w]
    return tile, extras, name.decode(), w, h


def is_held_out(name):
    if name[0] == "n" and name[1].isdigit():
        return 300 <= int(name[1:].split("/")[0]) < 330
    return "-40" in name


def train(seconds, out, *packs):
    from concurrent.futures import ThreadPoolExecutor

    import torch
    import torch.nn.functional as F
    begun, seconds = time.time(), float(seconds)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with ThreadPoolExecutor(16) as pool:
        tiles = list(pool.map(decoded, [r for p in packs for r in records(p)]))
    names = [t[2] for t in tiles]
    held = np.array([is_held_out(n) for n in names])
    atlas = torch.from_numpy(np.stack([t[0] for t in tiles])).to(device)
    extras = torch.tensor([t[1] for t in tiles]).to(device)
    size = torch.tensor([[t[3], t[4]] for t in tiles]).to(device)
    weight = torch.tensor([0.0 if h else 6.0 if n.startswith("rio") else 1.0 for n, h in zip(names, held)]).to(device)
    print(f"{len(tiles)} scenes, {held.sum()} held out, decoded in {time.time() - begun:.1f} s", flush=True)
    rng = torch.Generator(device=device)
    rng.manual_seed(1)

    def uniform(n, low, high):
        return low + (high - low) * torch.rand(n, device=device, generator=rng)

    def normal(shape):
        return torch.randn(shape, device=device, generator=rng)

    def batch(n):
        """Crops turned, flipped and scaled at will; sun and lean turn with them."""
        k = torch.multinomial(weight, n, True, generator=rng)
        e, extent = extras[k], size[k].float()
        angle, scale = uniform(n, 0, 2 * math.pi), torch.exp(uniform(n, -0.2, 0.2))
        flip = torch.where(uniform(n, 0, 1) < 0.5, -1.0, 1.0)
        c, s = torch.cos(angle), torch.sin(angle)
        turn = torch.stack([torch.stack([c * flip, -s], 1), torch.stack([s * flip, c], 1)], 1)
        margin = 110.0
        middle = torch.stack([margin + (extent[:, i] - 2 * margin).clamp(min=1) * uniform(n, 0, 1) for i in (0, 1)], 1)
        line = torch.arange(CROP, device=device) - (CROP - 1) / 2
        gy, gx = torch.meshgrid(line, line, indexing="ij")
        places = torch.stack([gx, gy], -1).reshape(1, -1, 2) @ (turn * scale[:, None, None]).transpose(1, 2) + middle[:, None]
        corner = (middle - BOX / 2).long().clamp(min=0, max=SIDE - BOX)
        run = torch.arange(BOX, device=device)
        box = atlas[k[:, None, None, None], torch.arange(4, device=device)[None, :, None, None],
                    (corner[:, 1:2] + run)[:, None, :, None], (corner[:, 0:1] + run)[:, None, None, :]]
        off = places - corner[:, None].float()
        grid = ((off + 0.5) / BOX * 2 - 1).reshape(n, CROP, CROP, 2)
        image = F.grid_sample((box[:, :3].float() - 128) / 32, grid, mode="bilinear", padding_mode="border", align_corners=False)
        inside = ((off >= 0) & (off <= BOX - 1)).all(-1).reshape(n, CROP, CROP)
        labels = F.grid_sample(box[:, 3:].float(), grid, mode="nearest", padding_mode="border",
                               align_corners=False)[:, 0].round().long()
        labels = torch.where(inside, labels, torch.full_like(labels, NOBODY_KNOWS))
        back = torch.inverse(turn)
        sun, lean = (back @ e[:, 0:2, None])[:, :, 0], (back @ e[:, 3:5, None])[:, :, 0]
        flag, colour = e[:, 2].clone(), e[:, 5] > 0
        # Other sensors: contrast, colour balance, a panchromatic band, blur, noise, uneven light.
        grey = (uniform(n, 0, 1) < 0.25) | ~colour
        mix = uniform(2 * n, -0.3, 0.3).reshape(n, 2, 1, 1)
        image = image.clone()
        image[:, 0] = torch.where((grey & colour)[:, None, None], image[:, 0] + (mix * image[:, 1:]).sum(1), image[:, 0])
        image[:, 0] = image[:, 0] * torch.exp(uniform(n, math.log(0.6), math.log(1.6)))[:, None, None] + 0.1 * normal((n, 1, 1))
        image[:, 1:] = image[:, 1:] * torch.exp(uniform(n, -0.5, 0.4))[:, None, None, None] + 0.1 * normal((n, 2, 1, 1))
        light = F.interpolate(normal((n, 3, 4, 4)), size=(CROP, CROP), mode="bicubic")
        image = image + light * (uniform(n, 0, 0.2) * (uniform(n, 0, 1) < 0.5))[:, None, None, None]
        blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
        image = torch.where((uniform(n, 0, 1) < 0.2)[:, None, None, None], blurred, image)
        image = image + normal(image.shape) * (uniform(n, 0, 0.12) * (uniform(n, 0, 1) < 0.6))[:, None, None, None]
        image[:, 1:] = torch.where(grey[:, None, None, None], torch.zeros_like(image[:, 1:]), image[:, 1:])
        image = image.clamp(-4, 4)
        known_sun = uniform(n, 0, 1) >= 0.12
        lean = lean * (uniform(n, 0, 1) > 0.2)[:, None]
        constant = torch.cat([sun * known_sun[:, None], (flag * known_sun)[:, None], lean], 1)
        return torch.cat([image, constant[:, :, None, None].expand(-1, -1, CROP, CROP)], 1), labels

    def targets(labels):
        wanted = torch.stack([(labels >> b) & 1 for b in range(OUTPUTS)], 1).float()
        known = ((labels & NOBODY_KNOWS) == 0).float()[:, None].expand(-1, OUTPUTS, -1, -1).clone()
        known[:, 2:] *= ((labels & ROOFS_ONLY) == 0).float()[:, None]
        return wanted, known

    positive = torch.tensor([1.5, 1.5, 2.5, 6.0], device=device)[None, :, None, None]
    entropy_share = torch.tensor([4, 4, 8, 20.0], device=device)
    dice_share = torch.tensor([0.5, 0.3, 0.5, 0.5], device=device)
    map_share = torch.tensor([1.0, 0.5, 1.2, 1.0], device=device)

    def loss_of(y, labels):
        wanted, known = targets(labels)
        entropy = F.binary_cross_entropy_with_logits(y, wanted, reduction="none", pos_weight=positive)
        entropy = (entropy * known).sum((0, 2, 3)) / known.sum((0, 2, 3)).clamp(min=1)
        p, t = torch.sigmoid(y) * known, wanted * known
        dice = 1 - (2 * (p * t).sum((0, 2, 3)) + 1) / (p.sum((0, 2, 3)) + t.sum((0, 2, 3)) + 1)
        return ((entropy * entropy_share + dice * dice_share) * map_share).sum()

    def evaluate(model):
        model.eval()
        rows = {}
        with torch.no_grad():
            for k in np.nonzero(held)[0]:
                w, h = int(size[k, 0]) // 16 * 16, int(size[k, 1]) // 16 * 16
                image = (atlas[k, :3, :h, :w].float()[None] - 128) / 32
                if extras[k, 5] == 0:
                    image[:, 1:] = 0
                x = torch.cat([image, extras[k, :5][None, :, None, None].expand(-1, -1, h, w)], 1)
                y = torch.sigmoid(F.pixel_shuffle(model(x), 2))
                wanted, known = targets(atlas[k, 3, :h, :w].long()[None])
                for c in range(OUTPUTS):
                    for level in (0.3, 0.5, 0.7, 0.9):
                        shown, true = (y[:, c] > level) * known[:, c], wanted[:, c] * known[:, c]
                        counts = np.array([(shown * true).sum().item(), shown.sum().item(), true.sum().item()])
                        for group in (names[k].split("-")[0] if "-" in names[k] else "worlds", "all"):
                            rows[group, c, level] = rows.get((group, c, level), 0) + counts
        for group in sorted({r[0] for r in rows}):
            print(group, "F1", " | ".join(
                name + " " + " ".join(f"{level}:{2 * a / max(1, b + d):.3f}" for level in (0.3, 0.5, 0.7, 0.9)
                                      for a, b, d in [rows[group, c, level]])
                for c, name in enumerate(("roof", "border", "line", "post"))), flush=True)

    torch.manual_seed(1)
    net, kept = surface_net().to(device).to(memory_format=torch.channels_last), surface_net().to(device)
    kept.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=2e-3)
    start, told, step = time.time(), time.time(), 0
    while (done := (time.time() - start) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, step / 300) * 0.5 * (1 + math.cos(math.pi * done)) + 1e-6
        net.train()
        x, labels = batch(48 if device == "cuda" else 4)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            y = F.pixel_shuffle(net(x.to(memory_format=torch.channels_last)), 2)
        loss = loss_of(y.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        share = 1 - min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(kept.state_dict().values(), net.state_dict().values()):
                a.lerp_(b, share) if a.dtype.is_floating_point else a.copy_(b)
        step += 1
        if time.time() - told > 15:
            told = time.time()
            print(f"step {step}, {told - start:.0f} s: loss {loss.item():.4f}", flush=True)
    evaluate(kept)
    np.savez(out, **{k: v.cpu().numpy() for k, v in kept.state_dict().items()})
    print(f"{step} steps", flush=True)


if __name__ == "__main__":
    commands = {"worlds": worlds, "pack": pack, "train": train, "export": export}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
