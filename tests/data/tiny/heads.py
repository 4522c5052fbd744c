#!/usr/bin/env python3
"""What heads that draft say, by the book: heads.py FOLDER [FOLDER ...] > heads.json

A forward pass in plain Python, whose floats are doubles, over the folders that `make_tiny head_...` writes: the model's as the classes of the
transformers library compute it, and behind it its head as vLLM's classes of such heads do. Whole sequences at once, no cache; it shares
nothing with the rest of this tree. Of each prompt: the head over all of it, each token's state beside the token that follows, the last of
which is given; then three runs more, each with one token further beside what the run before handed on.
"""
import json
import math
import struct
import sys


def read_folder(folder):
    config = json.load(open(folder + "/config.json"))
    raw = open(folder + "/model.safetensors", "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = struct.unpack(f"<{(end - begin) // 4}f", raw[8 + size + begin:8 + size + end])
        width = entry["shape"][-1]
        tensors[name] = list(flat) if len(entry["shape"]) == 1 else [list(flat[i:i + width]) for i in range(0, len(flat), width)]
    return config, tensors


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softmax(row):
    most = max(row)
    e = [math.exp(x - most) for x in row]
    total = sum(e)
    return [x / total for x in e]


def dot(a, b):
    return sum(map(float.__mul__, a, b))


def rms(row, gain, epsilon):
    root = math.sqrt(dot(row, row) / len(row) + epsilon)
    return [x / root * g for x, g in zip(row, gain)]


def added(a, b):
    return [[x + y for x, y in zip(r, s)] for r, s in zip(a, b)]


def cut(row, parts):
    width = len(row) // parts
    return [row[i * width:(i + 1) * width] for i in range(parts)]


def turned(vector, position, columns, theta, neighbours):
    """The first `columns` turn: halves together, or neighbours."""
    out, half = list(vector), columns // 2
    for i in range(half):
        angle = position * theta ** (-2 * i / columns)
        a, b = (2 * i, 2 * i + 1) if neighbours else (i, i + half)
        x, y = vector[a], vector[b]
        out[a], out[b] = x * math.cos(angle) - y * math.sin(angle), y * math.cos(angle) + x * math.sin(angle)
    return out


def attend(q, k, v, scale):
    """[T][heads][d] each, keys and values perhaps of fewer heads: causal."""
    share, out = len(q[0]) // len(k[0]), []
    for t, heads in enumerate(q):
        row = []
        for h, query in enumerate(heads):
            weights = softmax([dot(query, k[s][h // share]) * scale for s in range(t + 1)])
            row += [sum(w * v[s][h // share][i] for s, w in enumerate(weights)) for i in range(len(v[0][0]))]
        out.append(row)
    return out


class Model:
    LESS_ONE = False  # norms store their gain less 1

    def __init__(self, config, tensors):
        self.c, self.t = config, tensors
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head = config.get("head_dim") or config["hidden_size"] // self.heads

    def linear(self, rows, name):
        matrix, bias = self.t[name + ".weight"], self.t.get(name + ".bias")
        out = [[dot(row, column) for column in matrix] for row in rows]
        return added(out, [bias] * len(out)) if bias else out

    def norm(self, rows, name):
        gain = self.t[name + ".weight"]
        return [rms(row, [1 + g for g in gain] if self.LESS_ONE else gain, self.c["rms_norm_eps"]) for row in rows]

    def gated(self, rows, at):
        gate, up = self.linear(rows, at + "gate_proj"), self.linear(rows, at + "up_proj")
        return self.linear([[silu(g) * u for g, u in zip(a, b)] for a, b in zip(gate, up)], at + "down_proj")

    def split(self, rows, name, heads):
        return [cut(row, heads) for row in self.linear(rows, name)]

    def columns(self):
        return int(self.head * self.c.get("partial_rotary_factor", 1))

    def queries_and_keys(self, y, at):
        return self.split(y, at + "q_proj", self.heads), self.split(y, at + "k_proj", self.kv_heads)

    def attention(self, y, at):
        q, k = self.queries_and_keys(y, at)
        turn = lambda x: [[turned(h, t, self.columns(), self.c["rope_theta"], False) for h in row] for t, row in enumerate(x)]
        return self.linear(attend(turn(q), turn(k), self.split(y, at + "v_proj", self.kv_heads), self.head ** -0.5), at + "o_proj")

    def ffn(self, y, i, at):
        return self.gated(y, at + "mlp.")

    def layer(self, x, i, at):
        x = added(x, self.attention(self.norm(x, at + "input_layernorm"), at + "self_attn."))
        return added(x, self.ffn(self.norm(x, at + "post_attention_layernorm"), i, at))

    def routed(self, y, at, scores_of):
        """`scores_of(logits)`: what the chosen weigh, what they are chosen by."""
        c, out = self.c, []
        for row in y:
            scores, by = scores_of(self.linear([row], at + "gate")[0])
            best = sorted(range(len(by)), key=lambda e: -by[e])[:c["num_experts_per_tok"]]
            total = sum(scores[e] for e in best) if c["norm_topk_prob"] else 1
            mixed = [0.0] * len(row)
            for e in best:
                weight = scores[e] / total * c.get("routed_scaling_factor", 1)
                mixed = [m + weight * x for m, x in zip(mixed, self.gated([row], f"{at}experts.{e}.")[0])]
            out.append(mixed)
        return out


class Sigmoid(Model):
    """Experts by sigmoid and a correction, in one group, and one that all tokens go through."""

    def ffn(self, y, i, at):
        if i < self.c["first_k_dense_replace"]:
            return self.gated(y, at + "mlp.")
        correction = self.t[at + "mlp.gate.e_score_correction_bias"]

        def scores_of(logits):
            scores = [sigmoid(x) for x in logits]
            return scores, [s + c for s, c in zip(scores, correction)]

        return added(self.routed(y, at + "mlp.", scores_of), self.gated(y, at + "mlp.shared_experts."))


class DeepSeekV3(Sigmoid):
    def attention(self, y, at):
        c = self.c
        nope, rope, rank, theta = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["kv_lora_rank"], c["rope_theta"]
        inner = lambda rows, name: [rms(row, self.t[at + name + ".weight"], 1e-6) for row in rows]
        q = [cut(row, self.heads) for row in self.linear(inner(self.linear(y, at + "q_a_proj"), "q_a_layernorm"), at + "q_b_proj")]
        low = self.linear(y, at + "kv_a_proj_with_mqa")
        kv = [cut(row, self.heads) for row in self.linear(inner([row[:rank] for row in low], "kv_a_layernorm"), at + "kv_b_proj")]
        q = [[h[:nope] + turned(h[nope:], t, rope, theta, True) for h in row] for t, row in enumerate(q)]
        k = [[h[:nope] + turned(low[t][rank:], t, rope, theta, True) for h in row] for t, row in enumerate(kv)]
        return self.linear(attend(q, k, [[h[nope:] for h in row] for row in kv], (nope + rope) ** -0.5), at + "o_proj")


class Qwen3Next(Model):
    LESS_ONE = True

    def delta_net(self, y, at):
        c = self.c
        keys, heads, width, value = (c["linear_num_key_heads"], c["linear_num_value_heads"], c["linear_key_head_dim"],
                                     c["linear_value_head_dim"])
        each, taps = heads // keys, c["linear_conv_kernel_dim"]
        q, k, v, z, b, a = ([] for _ in range(6))
        for row, small in zip(self.linear(y, at + "in_proj_qkvz"), self.linear(y, at + "in_proj_ba")):
            parts, pairs = cut(row, keys), cut(small, keys)  # of each key head
            take = lambda first, n: [x for p in parts for x in p[first:first + n]]
            q.append(take(0, width)), k.append(take(width, width))
            v.append(take(2 * width, each * value)), z.append(take(2 * width + each * value, each * value))
            b.append([x for p in pairs for x in p[:each]]), a.append([x for p in pairs for x in p[each:]])
        joint, kernel = [x + y + w for x, y, w in zip(q, k, v)], self.t[at + "conv1d.weight"]
        mixed = [[silu(sum(kernel[ch][j] * joint[t - taps + 1 + j][ch] for j in range(taps) if t - taps + 1 + j >= 0))
                  for ch in range(len(joint[0]))] for t in range(len(y))]
        unit = lambda x: [e / math.sqrt(dot(x, x) + 1e-6) for e in x]
        states, out = [[[0.0] * value for _ in range(width)] for _ in range(heads)], []
        for t, row in enumerate(mixed):
            given = []
            for h in range(heads):
                of = h // each
                query = [e * width ** -0.5 for e in unit(row[of * width:(of + 1) * width])]
                key = unit(row[keys * width + of * width:keys * width + (of + 1) * width])
                values = row[2 * keys * width + h * value:2 * keys * width + (h + 1) * value]
                step = math.log1p(math.exp(a[t][h] + self.t[at + "dt_bias"][h]))
                decay = math.exp(-math.exp(self.t[at + "A_log"][h]) * step)
                state = [[decay * s for s in line] for line in states[h]]
                error = [(values[i] - sum(key[j] * state[j][i] for j in range(width))) * sigmoid(b[t][h]) for i in range(value)]
                states[h] = [[s + key[j] * e for s, e in zip(line, error)] for j, line in enumerate(state)]
                read = [sum(query[j] * states[h][j][i] for j in range(width)) for i in range(value)]
                normed = rms(read, self.t[at + "norm.weight"], c["rms_norm_eps"])
                given += [n * silu(g) for n, g in zip(normed, z[t][h * value:(h + 1) * value])]
            out.append(given)
        return self.linear(out, at + "out_proj")

    def attention(self, y, at):
        both = self.split(y, at + "q_proj", self.heads)
        of_heads = lambda rows, name: [self.norm(row, at + name) for row in rows]
        q = of_heads([[h[:self.head] for h in row] for row in both], "q_norm")
        k = of_heads(self.split(y, at + "k_proj", self.kv_heads), "k_norm")
        turn = lambda x: [[turned(h, t, self.columns(), self.c["rope_theta"], False) for h in row] for t, row in enumerate(x)]
        o = attend(turn(q), turn(k), self.split(y, at + "v_proj", self.kv_heads), self.head ** -0.5)
        gates = [[sigmoid(x) for h in row for x in h[self.head:]] for row in both]
        return self.linear([[x * g for x, g in zip(r, s)] for r, s in zip(o, gates)], at + "o_proj")

    def ffn(self, y, i, at):
        m = at + "mlp."
        scores_of = lambda logits: (softmax(logits),) * 2
        gate, shared = self.linear(y, m + "shared_expert_gate"), self.gated(y, m + "shared_expert.")
        return added(self.routed(y, m, scores_of), [[sigmoid(g[0]) * x for x in row] for g, row in zip(gate, shared)])

    def layer(self, x, i, at):
        kinds, y = self.c["layer_types"], self.norm(x, at + "input_layernorm")
        linear = i < len(kinds) and kinds[i] == "linear_attention"
        x = added(x, self.delta_net(y, at + "linear_attn.") if linear else self.attention(y, at + "self_attn."))
        return added(x, self.ffn(self.norm(x, at + "post_attention_layernorm"), i, at))


# Class; what the names of the layer and of what joins begin with (None: the layer behind the model's); norms of the token, of the model, and
# the last; the projection; (model | token); the last norm stands before what is handed on; a token at position 0 counts as zeros.
HEADS = {
    "deepseek_v3": (DeepSeekV3, None, None, ("enorm", "hnorm", "shared_head.norm"), "eh_proj", False, False, True),
    "glm4_moe": (Sigmoid, None, None, ("enorm", "hnorm", "shared_head.norm"), "eh_proj", False, False, True),
    "mimo": (Model, "model.mtp_layers.0.", "model.mtp_layers.0.", ("token_layernorm", "hidden_layernorm", "final_layernorm"), "input_proj",
             True, True, True),
    "qwen3_next": (Qwen3Next, "mtp.layers.0.", "mtp.", ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"), "fc", False, True, False),
}


class Drafter:
    def __init__(self, folder):
        config, tensors = read_folder(folder)
        kind, layer, joining, self.norms, self.projection, self.model_first, self.normed, self.blank = HEADS[config["model_type"]]
        self.m, self.number = kind(config, tensors), config["num_hidden_layers"]
        behind = f"model.layers.{self.number}."
        self.layer, self.joining = layer or behind, joining or behind

    def hidden(self, ids):
        x = [list(self.m.t["model.embed_tokens.weight"][i]) for i in ids]
        for i in range(self.number):
            x = self.m.layer(x, i, f"model.layers.{i}.")
        return self.m.norm(x, "model.norm")

    def run(self, tokens, taken):
        """Logits of the last position and what is handed on there."""
        m = self.m
        embedded = [list(m.t["model.embed_tokens.weight"][i]) for i in tokens]
        if self.blank:
            embedded[0] = [0.0] * len(embedded[0])
        token, model = m.norm(embedded, self.joining + self.norms[0]), m.norm(taken, self.joining + self.norms[1])
        joined = [b + a if self.model_first else a + b for a, b in zip(token, model)]
        x = m.layer(m.linear(joined, self.joining + self.projection), self.number, self.layer)
        last = m.norm(x[-1:], self.joining + self.norms[2])
        return m.linear(last, "lm_head")[0], last[0] if self.normed else x[-1]


PROMPTS = [[1], [1, 9, 77, 200, 5, 40], [1] + [(37 * i + 11 * i * i) % 300 + 3 for i in range(24)]]
NEXT = [57, 203, 8, 119]


def main():
    cases = []
    for folder in sys.argv[1:]:
        drafter = Drafter(folder)
        for prompt in PROMPTS:
            taken, tokens, rows = drafter.hidden(prompt), prompt[1:], []
            for following in NEXT:
                tokens = tokens + [following]
                logits, handed = drafter.run(tokens, taken)
                rows.append([round(v, 5) for v in logits])
                taken = taken + [handed]  # beside it the next run's token
            cases.append({"model": folder.rstrip("/").split("/")[-1], "prompt": prompt, "next": NEXT, "rows": rows})
    print('{"witness": "heads.py, doubles", "cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}")


if __name__ == "__main__":
    main()
