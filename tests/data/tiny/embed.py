# Records embeddings.json: what encoders of tests/support/tiny_encoders.cpp make of a few texts, in float64, written apart from everything in
# this tree. By hand, never in CI: python3 embed.py > embeddings.json
import json
import math

import numpy as np

HIDDEN, FFN, HEADS, VOCAB, SEED = 32, 48, 4, 64, 17
MASK = (1 << 64) - 1


def draws(name, count):
    """The integers that tests/support/tiny_random.cpp draws for a tensor."""
    state = 0xCBF29CE484222325
    for c in name.encode():
        state = ((state ^ c) * 0x100000001B3) & MASK
    state ^= (SEED * 0x9E3779B97F4A7C15) & MASK
    out = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(((z ^ (z >> 31)) >> 40) - (1 << 23))
    return out


def tensor(name, *shape):
    raw = draws(name, math.prod(shape))
    f32 = np.float32
    if len(shape) == 1 and name.endswith(".weight"):
        # integers divided as C does, towards zero
        values = [f32((1 << 23) + (1 if d >= 0 else -1) * (abs(d) * 100 // 1000)) / f32(1 << 23) for d in raw]
    else:
        half = f32(0.25)
        if "embeddings" in name and len(shape) == 2:
            half = f32(1)
        elif len(shape) == 2:
            half = f32(2 if "q" in name else 1) * np.sqrt(f32(3) / f32(shape[1]))
        unit = half / f32(1 << 23)
        values = [f32(d) * unit for d in raw]
    return np.array(values, dtype=np.float32).astype(np.float64).reshape(shape)


def linear(x, name, out, bias=True):
    y = x @ tensor(name + ".weight", out, x.shape[1]).T
    return y + tensor(name + ".bias", out) if bias else y


def norm(x, name, epsilon, bias=True):
    centred = x - x.mean(axis=1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon) * tensor(name + ".weight", x.shape[1])
    return y + tensor(name + ".bias", x.shape[1]) if bias else y


def gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def attend(q, k, v, most_away=None):
    n, d = q.shape[0], q.shape[1] // HEADS
    out = np.zeros_like(v)
    apart = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    for h in range(HEADS):
        cols = slice(h * d, (h + 1) * d)
        scores = q[:, cols] @ k[:, cols].T / math.sqrt(d)
        if most_away is not None:
            scores[apart > most_away] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[:, cols] = weights / weights.sum(axis=1, keepdims=True) @ v[:, cols]
    return out


def rotate(x, theta):
    d = x.shape[1] // HEADS
    angles = np.arange(x.shape[0])[:, None] * theta ** (-2.0 * np.arange(d // 2) / d)[None, :]
    out = x.copy()
    for h in range(HEADS):
        a, b = x[:, h * d : h * d + d // 2], x[:, h * d + d // 2 : (h + 1) * d]
        out[:, h * d : h * d + d // 2] = a * np.cos(angles) - b * np.sin(angles)
        out[:, h * d + d // 2 : (h + 1) * d] = b * np.cos(angles) + a * np.sin(angles)
    return out


def bert(ids, first, positions, types, epsilon):
    at = np.array(ids)
    x = tensor("embeddings.word_embeddings.weight", VOCAB, HIDDEN)[at]
    x = x + tensor("embeddings.position_embeddings.weight", positions, HIDDEN)[first + np.arange(len(ids))]
    x = x + tensor("embeddings.token_type_embeddings.weight", types, HIDDEN)[0]
    x = norm(x, "embeddings.LayerNorm", epsilon)
    for i in range(2):
        p = f"encoder.layer.{i}."
        q, k, v = (linear(x, p + "attention.self." + part, HIDDEN) for part in ("query", "key", "value"))
        x = norm(x + linear(attend(q, k, v), p + "attention.output.dense", HIDDEN), p + "attention.output.LayerNorm", epsilon)
        y = linear(gelu(linear(x, p + "intermediate.dense", FFN)), p + "output.dense", HIDDEN)
        x = norm(x + y, p + "output.LayerNorm", epsilon)
    return x


def distilbert(ids):
    x = tensor("embeddings.word_embeddings.weight", VOCAB, HIDDEN)[np.array(ids)]
    x = x + tensor("embeddings.position_embeddings.weight", 40, HIDDEN)[: len(ids)]
    x = norm(x, "embeddings.LayerNorm", 1e-12)
    for i in range(2):
        p = f"transformer.layer.{i}."
        q, k, v = (linear(x, p + "attention." + part, HIDDEN) for part in ("q_lin", "k_lin", "v_lin"))
        x = norm(x + linear(attend(q, k, v), p + "attention.out_lin", HIDDEN), p + "sa_layer_norm", 1e-12)
        y = linear(gelu(linear(x, p + "ffn.lin1", FFN)), p + "ffn.lin2", HIDDEN)
        x = norm(x + y, p + "output_layer_norm", 1e-12)
    return x


def modernbert(ids):
    x = norm(tensor("embeddings.tok_embeddings.weight", VOCAB, HIDDEN)[np.array(ids)], "embeddings.norm", 1e-5, False)
    for i in range(4):
        p = f"layers.{i}."
        whole = i % 3 == 0
        y = x if i == 0 else norm(x, p + "attn_norm", 1e-5, False)
        q, k, v = np.split(linear(y, p + "attn.Wqkv", 3 * HIDDEN, False), 3, axis=1)
        theta = 160000.0 if whole else 10000.0
        x = x + linear(attend(rotate(q, theta), rotate(k, theta), v, None if whole else 4), p + "attn.Wo", HIDDEN, False)
        up, gate = np.split(linear(norm(x, p + "mlp_norm", 1e-5, False), p + "mlp.Wi", 2 * FFN, False), 2, axis=1)
        x = x + linear(gelu(up) * gate, p + "mlp.Wo", HIDDEN, False)
    return norm(x, "final_norm", 1e-5, False)


ENCODERS = {
    "bert": lambda ids: bert(ids, 0, 40, 2, 1e-12),
    "contriever": lambda ids: bert(ids, 0, 40, 2, 1e-12),
    "distilbert": distilbert,
    "modernbert": modernbert,
    "xlm_roberta": lambda ids: bert(ids, 2, 42, 1, 1e-5),
}
POOLINGS = {"first": lambda x: x[0], "mean": lambda x: x.mean(axis=0), "last": lambda x: x[-1]}

if __name__ == "__main__":
    texts = [[(start + 7 * i + i * i) % VOCAB for i in range(length)] for start, length in ((5, 1), (11, 6), (2, 19), (40, 40))]
    cases = []
    for name, encode in ENCODERS.items():
        for ids in texts:
            rows = encode(ids)
            vectors = {how: [round(float(v), 9) for v in pool(rows)] for how, pool in POOLINGS.items()}
            cases.append({"model": name, "tokens": ids, **vectors})
    print('{"cases": [')
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")
