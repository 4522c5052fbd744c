#!/usr/bin/env python3
"""Forward passes of Qwen2-VL and Qwen2.5-VL in NumPy float64: the witness of vlm.json and windows.json. Needs NumPy and nothing of this
tree but the folder that `make_tiny qwen2_vl FOLDER` or `make_tiny qwen2_5_vl FOLDER` writes. Usage: vlm.py FOLDER > vlm.json"""
import json
import math
import struct
import sys

import numpy as np

MEAN, DEVIATION = np.array([0.5, 0.45, 0.4]), np.array([0.25, 0.26, 0.27])


def tensors(folder):
    data = open(folder + "/model.safetensors", "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    out = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4")
        out[name] = raw.reshape(entry["shape"]).astype(np.float64)
    return out


def picture(height, width, seed):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    raw = (7 * y + 13 * x + 29 * c + (3 + seed) * x * y + 17 * seed) % 256
    return ((raw / 255.0 - MEAN) / DEVIATION).astype(np.float32).astype(np.float64)  # the host keeps pixels as float32


def linear(x, w, name):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def layer_norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * w[name + ".weight"] + w[name + ".bias"]


def rms_norm(x, gain):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gain


def rotate(x, angles):
    """x [rows, heads, d], angles [rows, d / 2]"""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    c, s = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def erf(x):
    return np.vectorize(math.erf)(x)


def encode(image, w, config):
    v = config["vision_config"]
    windows = "window_size" in v
    p, m, t, heads, width = v["patch_size"], v["spatial_merge_size"], v["temporal_patch_size"], v["num_heads"], v.get("embed_dim", v["hidden_size"])
    rows, columns = image.shape[0] // p, image.shape[1] // p
    frames = np.stack([image] * t).transpose(0, 3, 1, 2)  # [frames, channels, height, width]
    # As the processor cuts it: one grid of frames, blocks of m x m patches.
    cut = frames.reshape(1, t, 3, rows // m, m, p, columns // m, m, p).transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    patches = cut.reshape(rows * columns, 3 * t * p * p)
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    order = lambda a: a.reshape(rows // m, m, columns // m, m).transpose(0, 2, 1, 3).reshape(-1)
    head = width // heads
    inverse = 10000.0 ** (-np.arange(0, head // 2, 2) / (head // 2))
    angles = np.concatenate([np.outer(order(y), inverse), np.outer(order(x), inverse)], -1)
    h = patches @ w["visual.patch_embed.proj.weight"].reshape(width, -1).T
    norm = (lambda x, w, name: rms_norm(x, w[name + ".weight"])) if windows else layer_norm
    for layer in range(v["depth"]):
        at = f"visual.blocks.{layer}."
        qkv = linear(norm(h, w, at + "norm1"), w, at + "attn.qkv").reshape(-1, 3, heads, head)
        q, k, value = rotate(qkv[:, 0], angles), rotate(qkv[:, 1], angles), qkv[:, 2]
        # A patch sees those of its own window, or all: rows need not be moved for that.
        of = (order(y) // (v["window_size"] // p), order(x) // (v["window_size"] // p)) if windows else None
        apart = windows and layer not in v["fullatt_block_indexes"]
        seen = (of[0][:, None] == of[0]) & (of[1][:, None] == of[1]) if apart else np.ones((len(h), len(h)), bool)
        scores = softmax(np.where(seen, np.einsum("ihd,jhd->hij", q, k) / np.sqrt(head), -np.inf))
        h = h + linear(np.einsum("hij,jhd->ihd", scores, value).reshape(-1, width), w, at + "attn.proj")
        if windows:
            n = norm(h, w, at + "norm2")
            gate = linear(n, w, at + "mlp.gate_proj")
            h = h + linear(gate / (1 + np.exp(-gate)) * linear(n, w, at + "mlp.up_proj"), w, at + "mlp.down_proj")
            continue
        up = linear(layer_norm(h, w, at + "norm2"), w, at + "mlp.fc1")
        h = h + linear(up / (1 + np.exp(-1.702 * up)), w, at + "mlp.fc2")
    merged = norm(h, w, "visual.merger.ln_q").reshape(-1, width * m * m)
    hidden = linear(merged, w, "visual.merger.mlp.0")
    hidden = hidden / 2 * (1 + erf(hidden / np.sqrt(2)))
    return linear(hidden, w, "visual.merger.mlp.2")


def positions(tokens, grids, image_token):
    """Three rows: of time, of height, of width. Each image's tokens begin one behind the largest position before them."""
    out, grids, i = [], list(grids), 0
    while i < len(tokens):
        following = max(map(max, out)) + 1 if out else 0
        if tokens[i] != image_token:
            out.append((following, following, following))
            i += 1
            continue
        rows, columns = grids.pop(0)
        out += [(following, following + r, following + c) for r in range(rows) for c in range(columns)]
        i += rows * columns
    return np.array(out, dtype=np.float64)


def logits(tokens, images, w, config):
    heads, kv_heads, hidden = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]
    head, p, m = hidden // heads, config["vision_config"]["patch_size"], config["vision_config"]["spatial_merge_size"]
    tokens = np.array(tokens)
    x = w["model.embed_tokens.weight"][tokens]
    if images:
        x[tokens == config["image_token_id"]] = np.concatenate([encode(image, w, config) for image in images])
    at3 = positions(list(tokens), [(i.shape[0] // (p * m), i.shape[1] // (p * m)) for i in images], config["image_token_id"])
    inverse = config["rope_theta"] ** (-np.arange(0, head, 2) / head)
    sections = np.repeat(np.arange(3), config["rope_scaling"]["mrope_section"])
    angles = at3[:, sections] * inverse
    causal = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        n = rms_norm(x, w[at + "input_layernorm.weight"])
        q = rotate(linear(n, w, at + "self_attn.q_proj").reshape(-1, heads, head), angles)
        k = rotate(linear(n, w, at + "self_attn.k_proj").reshape(-1, kv_heads, head), angles)
        v = linear(n, w, at + "self_attn.v_proj").reshape(-1, kv_heads, head)
        k, v = np.repeat(k, heads // kv_heads, 1), np.repeat(v, heads // kv_heads, 1)
        scores = softmax(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(head) + causal)
        x = x + linear(np.einsum("hij,jhd->ihd", scores, v).reshape(-1, hidden), w, at + "self_attn.o_proj")
        n = rms_norm(x, w[at + "post_attention_layernorm.weight"])
        gate = linear(n, w, at + "mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(n, w, at + "mlp.up_proj"), w, at + "mlp.down_proj")
    return rms_norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def image_tokens(height, width):
    return [301] + [300] * (height * width // 64) + [302]


CASES = [
    ("one image", [1, 9, 77] + image_tokens(16, 24) + [5, 40, 41], [(16, 24, 1)]),
    ("the largest image", [1] + image_tokens(32, 48) + [12, 60], [(32, 48, 2)]),
    ("two images", [1, 9] + image_tokens(24, 16) + [88, 7] + image_tokens(32, 32) + [30, 31, 32], [(24, 16, 3), (32, 32, 4)]),
    ("texts alone", [1, 9, 77, 200, 5, 40, 41, 99, 3, 120], []),
]


def main():
    w, config = tensors(sys.argv[1]), json.load(open(sys.argv[1] + "/config.json"))
    out = {"model": config["model_type"], "witness": "NumPy " + np.__version__ + ", float64", "cases": []}
    for name, prompt, pictures in CASES:
        images = [picture(*p) for p in pictures]
        rows = logits(prompt, images, w, config)
        tokens, margin = [], np.inf
        for _ in range(12):
            last = logits(prompt + tokens, images, w, config)[-1]
            best = np.sort(last)[-2:]
            margin = min(margin, best[1] - best[0])
            tokens.append(int(last.argmax()))
        out["cases"].append({
            "name": name, "prompt": prompt, "images": [{"height": h, "width": x, "seed": s} for h, x, s in pictures],
            "tokens": tokens, "smallest_margin": round(float(margin), 4),
            "last_row": [round(float(v), 6) for v in rows[-1]],
            "rows_sums": [round(float(v), 5) for v in np.abs(rows).sum(-1)],
        })
    head = json.dumps({k: v for k, v in out.items() if k != "cases"})[:-1]
    print(head + ', "cases": [\n' + ",\n".join(json.dumps(case) for case in out["cases"]) + "\n]}")


if __name__ == "__main__":
    main()
