#!/usr/bin/env python3
"""What a model of tests/support is by the book: witness.py FOLDER [FOLDER ...] < GOLDENS > NEW

A forward pass in NumPy, float64 from end to end, over config.json and model.safetensors, for the classes in MODELS. Each was written from
the class of the transformers library (of Kimi-Linear from its authors' modeling file) and shares nothing with the rest of this tree: whole
sequences at once, no cache, no state that outlives a pass. For each FOLDER (its last part is the model's name) three cases are recorded and
put in the place of those that GOLDENS has of this model with the witness "float64"; README.md beside this says what a case is.
With --check the cases of GOLDENS that another engine witnessed are compared with this one, too, and the largest differences printed.
"""
import json
import math
import struct
import sys

import numpy as np


def read_folder(folder):
    config = json.load(open(folder + "/config.json"))
    raw = open(folder + "/model.safetensors", "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = np.frombuffer(raw[8 + size + begin:8 + size + end], np.float32).astype(np.float64)
        tensors[name] = values.reshape(entry["shape"])
    return config, tensors


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.logaddexp(0, x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rms(x, gain, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * gain


class Pass:
    """One model; `logits(ids)` are those of every position."""

    def __init__(self, config, tensors):
        self.c, self.t = config, tensors
        self.hidden = config["hidden_size"]
        self.heads = config.get("num_attention_heads", 1)
        self.kv_heads = config.get("num_key_value_heads", 1)
        self.head = config.get("head_dim") or self.hidden // self.heads

    def w(self, name):
        return self.t[name]

    def linear(self, x, name, bias=False):
        y = x @ self.w(name + ".weight").T
        return y + self.w(name + ".bias") if bias else y

    def norm(self, x, name):
        return rms(x, self.w(name + ".weight"), self.epsilon())

    def epsilon(self):
        return self.c["rms_norm_eps"]

    # --- pieces that several classes share

    def rope(self, x, columns=None, theta=None):
        """x [T, heads, head]: the first `columns` of each head turn, halves together."""
        columns = columns or x.shape[-1]
        inverse = (theta or self.c["rope_theta"]) ** (-np.arange(0, columns, 2) / columns)
        angle = np.outer(np.arange(len(x)), inverse)[:, None, :]
        a, b = x[..., :columns // 2], x[..., columns // 2:columns]
        turned = np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)
        return np.concatenate([turned, x[..., columns:]], -1)

    def attend(self, q, k, v, scale):
        """[T, heads, d] each, keys and values with fewer heads: causal."""
        group = q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) * scale
        scores = np.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -np.inf)
        return np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(q), -1)

    def split(self, x, name, heads, bias=False):
        return self.linear(x, name, bias).reshape(len(x), heads, -1)

    def conv(self, x, name, bias=True):
        """Every channel by itself, over its last tokens."""
        w = self.w(name + ".weight")[:, 0, :]
        taps = w.shape[1]
        padded = np.concatenate([np.zeros((taps - 1, x.shape[1])), x])
        y = sum(padded[j:j + len(x)] * w[:, j] for j in range(taps))
        return y + self.w(name + ".bias") if bias else y

    def gated(self, x, at, names=("gate_proj", "up_proj", "down_proj")):
        gate, up, down = names
        return self.linear(silu(self.linear(x, at + gate)) * self.linear(x, at + up), at + down)

    def scan(self, x, b, c, dt, a):
        """The recurrence of Mamba, token by token: x [T, H, P], b and c [T, H, N], dt [T, H], a [H, N]."""
        state = np.zeros((x.shape[1], x.shape[2], b.shape[2]))
        out = np.zeros_like(x)
        for t in range(len(x)):
            decay = np.exp(dt[t][:, None] * a)
            state = state * decay[:, None, :] + (dt[t][:, None] * x[t])[..., None] * b[t][:, None, :]
            out[t] = np.einsum("hpn,hn->hp", state, c[t])
        return out

    def mamba1(self, x, at, state, rank, norms=None):
        both = self.linear(x, at + "in_proj")
        inner = both.shape[1] // 2
        h, gate = both[:, :inner], both[:, inner:]
        h = silu(self.conv(h, at + "conv1d"))
        low = self.linear(h, at + "x_proj")
        dt, b, c = low[:, :rank], low[:, rank:rank + state], low[:, rank + state:]
        if norms:
            dt, b, c = norms(dt, b, c)
        dt = softplus(self.linear(dt, at + "dt_proj", bias=True))
        shared = lambda m: np.repeat(m[:, None, :], inner, 1)
        y = self.scan(h[..., None], shared(b), shared(c), dt, -np.exp(self.w(at + "A_log")))[..., 0]
        return self.linear((y + h * self.w(at + "D")) * silu(gate), at + "out_proj")

    def mamba2(self, x, at, heads, groups, state, norm, factors=(1, 1, 1, 1, 1)):
        """`norm(y, gate)` gates what the scan gives, and norms it."""
        all_parts = self.linear(x, at + "in_proj")
        inner = (all_parts.shape[1] - heads - 2 * groups * state) // 2
        widths = np.cumsum([inner, inner, groups * state, groups * state])
        gate, h, b, c, dt = [p * f for p, f in zip(np.split(all_parts, widths, 1), factors)]
        joint = silu(self.conv(np.concatenate([h, b, c], 1), at + "conv1d"))
        h, b, c = np.split(joint, [inner, inner + groups * state], 1)
        of_heads = lambda m: np.repeat(m.reshape(len(x), groups, state), heads // groups, 1)
        dt = softplus(dt + self.w(at + "dt_bias"))
        h = h.reshape(len(x), heads, -1)
        a = np.repeat(-np.exp(self.w(at + "A_log"))[:, None], state, 1)
        y = self.scan(h, of_heads(b), of_heads(c), dt, a) + h * self.w(at + "D")[:, None]
        return self.linear(norm(y.reshape(len(x), inner), gate), at + "out_proj")

    def group_norm(self, y, name, groups):
        parts = y.reshape(len(y), groups, -1)
        return rms(parts, self.w(name + ".weight").reshape(groups, -1), self.epsilon()).reshape(y.shape)

    def route(self, scores, chosen_by, k):
        """Indices of the k best by `chosen_by`, and their `scores`."""
        best = np.argsort(-chosen_by, -1, kind="stable")[:, :k]
        return best, np.take_along_axis(scores, best, -1)

    def experts(self, x, best, weights, expert):
        out = None
        for row in range(len(x)):
            y = sum(weight * expert(int(e), x[row:row + 1]) for e, weight in zip(best[row], weights[row]))
            out = y if out is None else np.concatenate([out, y])
        return out

    # --- the frame

    EMBEDDING, FINAL, LAYER = "model.embed_tokens", "model.norm", "model.layers."
    EMBEDDING_FACTOR = LOGIT_FACTOR = 1

    def logits(self, ids):
        x = self.w(self.EMBEDDING + ".weight")[ids] * self.factor("embedding")
        for i in range(self.c["num_hidden_layers"]):
            x = self.layer(x, i, f"{self.LAYER}{i}.")
        x = self.norm(x, self.FINAL)
        head = self.w(self.EMBEDDING + ".weight") if self.c.get("tie_word_embeddings") else self.w("lm_head.weight")
        return x @ head.T * self.factor("logits")

    def factor(self, what):
        return 1

    def layer(self, x, i, at):
        raise NotImplementedError


class Mamba(Pass):
    EMBEDDING, FINAL, LAYER = "backbone.embeddings", "backbone.norm_f", "backbone.layers."

    def epsilon(self):
        return self.c["layer_norm_epsilon"]

    def norms(self):
        return None

    def layer(self, x, i, at):
        y = self.norm(x, at + "norm")
        return x + self.mamba1(y, at + "mixer.", self.c["state_size"], self.c["time_step_rank"], self.norms())


class FalconMamba(Mamba):
    def norms(self):
        return lambda *parts: [rms(p, 1, self.c["mixer_rms_eps"]) for p in parts]


class Mamba2(Mamba):
    def layer(self, x, i, at):
        c, groups = self.c, self.c["n_groups"]
        norm = lambda y, gate: self.group_norm(y * silu(gate), at + "mixer.norm", groups)
        return x + self.mamba2(self.norm(x, at + "norm"), at + "mixer.", c["num_heads"], groups, c["state_size"], norm)


class Jamba(Pass):
    FINAL = "model.final_layernorm"

    def layer(self, x, i, at):
        c = self.c
        y = self.norm(x, at + "input_layernorm")
        if i % c["attn_layer_period"] == c["attn_layer_offset"]:
            a = at + "self_attn."
            q, k, v = self.split(y, a + "q_proj", self.heads), self.split(y, a + "k_proj", self.kv_heads), self.split(y, a + "v_proj", self.kv_heads)
            x = x + self.linear(self.attend(q, k, v, self.head ** -0.5), a + "o_proj")
        else:
            m = at + "mamba."
            norms = lambda dt, b, s: (self.norm(dt, m + "dt_layernorm"), self.norm(b, m + "b_layernorm"), self.norm(s, m + "c_layernorm"))
            x = x + self.mamba1(y, m, c["mamba_d_state"], c["mamba_dt_rank"], norms)
        y = self.norm(x, at + "pre_ff_layernorm")
        f = at + "feed_forward."
        if i % c["expert_layer_period"] != c["expert_layer_offset"]:
            return x + self.gated(y, f)
        scores = softmax(self.linear(y, f + "router"))
        best, weights = self.route(scores, scores, c["num_experts_per_tok"])
        return x + self.experts(y, best, weights, lambda e, row: self.gated(row, f"{f}experts.{e}."))


class Bamba(Pass):
    FINAL = "model.final_layernorm"

    def layer(self, x, i, at):
        c = self.c
        y = self.norm(x, at + "input_layernorm")
        if i in c["attn_layer_indices"]:
            a, columns = at + "self_attn.", self.head // 2
            q, k, v = self.split(y, a + "q_proj", self.heads), self.split(y, a + "k_proj", self.kv_heads), self.split(y, a + "v_proj", self.kv_heads)
            x = x + self.linear(self.attend(self.rope(q, columns), self.rope(k, columns), v, self.head ** -0.5), a + "o_proj")
        else:
            norm = lambda y, gate: self.norm(y * silu(gate), at + "mamba.norm")
            x = x + self.mamba2(y, at + "mamba.", c["mamba_n_heads"], c["mamba_n_groups"], c["mamba_d_state"], norm)
        return x + self.gated(self.norm(x, at + "pre_ff_layernorm"), at + "feed_forward.")


class FalconH1(Pass):
    FINAL = "model.final_layernorm"

    def factor(self, what):
        return self.c["embedding_multiplier" if what == "embedding" else "lm_head_multiplier"]

    def layer(self, x, i, at):
        c = self.c
        y = self.norm(x, at + "input_layernorm")

        def norm(s, gate):
            if not c["mamba_rms_norm"]:
                return s * silu(gate)
            if c["mamba_norm_before_gate"]:
                return self.group_norm(s, at + "mamba.norm", c["mamba_n_groups"]) * silu(gate)
            return self.group_norm(s * silu(gate), at + "mamba.norm", c["mamba_n_groups"])

        mixed = self.mamba2(y * c["ssm_in_multiplier"], at + "mamba.", c["mamba_n_heads"], c["mamba_n_groups"], c["mamba_d_state"], norm,
                            c["ssm_multipliers"]) * c["ssm_out_multiplier"]
        a, z = at + "self_attn.", y * c["attention_in_multiplier"]
        q, v = self.split(z, a + "q_proj", self.heads), self.split(z, a + "v_proj", self.kv_heads)
        k = self.split(z, a + "k_proj", self.kv_heads) * c["key_multiplier"]
        attended = self.linear(self.attend(self.rope(q), self.rope(k), v, self.head ** -0.5), a + "o_proj") * c["attention_out_multiplier"]
        x = x + (mixed + attended)
        y, f = self.norm(x, at + "pre_ff_layernorm"), at + "feed_forward."
        inner = self.linear(y, f + "up_proj") * silu(self.linear(y, f + "gate_proj") * c["mlp_multipliers"][0])
        return x + self.linear(inner, f + "down_proj") * c["mlp_multipliers"][1]


class NemotronH(Pass):
    EMBEDDING, FINAL, LAYER = "backbone.embeddings", "backbone.norm_f", "backbone.layers."

    def epsilon(self):
        return self.c["layer_norm_epsilon"]

    def mlp(self, x, at):
        return self.linear(np.maximum(self.linear(x, at + "up_proj"), 0) ** 2, at + "down_proj")

    def layer(self, x, i, at):
        c, m = self.c, at + "mixer."
        kind, y = c["hybrid_override_pattern"][i], self.norm(x, at + "norm")
        if kind == "-":
            return x + self.mlp(y, m)
        if kind == "*":
            q, k, v = self.split(y, m + "q_proj", self.heads), self.split(y, m + "k_proj", self.kv_heads), self.split(y, m + "v_proj", self.kv_heads)
            return x + self.linear(self.attend(q, k, v, self.head ** -0.5), m + "o_proj")
        if kind == "M":
            groups = c["n_groups"]
            norm = lambda s, gate: self.group_norm(s * silu(gate), m + "norm", groups)
            return x + self.mamba2(y, m, c["mamba_num_heads"], groups, c["ssm_state_size"], norm)
        scores = sigmoid(self.linear(y, m + "gate"))
        best, weights = self.route(scores, grouped(scores + self.w(m + "gate.e_score_correction_bias"), c["n_group"], c["topk_group"]),
                                   c["num_experts_per_tok"])
        if c["norm_topk_prob"]:
            weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
        z = self.linear(y, m + "fc1_latent_proj") if c.get("moe_latent_size") else y
        z = self.experts(z, best, weights * c["routed_scaling_factor"], lambda e, row: self.mlp(row, f"{m}experts.{e}."))
        z = self.linear(z, m + "fc2_latent_proj") if c.get("moe_latent_size") else z
        return x + z + self.mlp(y, m + "shared_experts.")


def grouped(chosen_by, groups, kept):
    """What experts are chosen by, nothing outside the best groups; a group is worth its two best."""
    if groups <= 1:
        return chosen_by
    parts = chosen_by.reshape(len(chosen_by), groups, -1)
    worth = np.sort(parts, -1)[..., -2:].sum(-1)
    best = np.argsort(-worth, -1, kind="stable")[:, :kept]
    mask = np.zeros(worth.shape, bool)
    np.put_along_axis(mask, best, True, -1)
    return np.where(mask[..., None], parts, 0).reshape(chosen_by.shape)


class GraniteMoe(Pass):
    def factor(self, what):
        return self.c["embedding_multiplier"] if what == "embedding" else 1 / self.c["logits_scaling"]

    def attention(self, y, at):
        a = at + "self_attn."
        q, k, v = self.split(y, a + "q_proj", self.heads), self.split(y, a + "k_proj", self.kv_heads), self.split(y, a + "v_proj", self.kv_heads)
        if self.c.get("position_embedding_type", "rope") == "rope":
            q, k = self.rope(q), self.rope(k)
        return self.linear(self.attend(q, k, v, self.c["attention_multiplier"]), a + "o_proj")

    def half_gated(self, x, into, out):
        gate, up = np.split(x @ into.T, 2, -1)
        return (silu(gate) * up) @ out.T

    def ffn(self, y, at):
        b = at + "block_sparse_moe."
        logits = self.linear(y, b + "router.layer")
        best, chosen = self.route(logits, logits, self.c["num_experts_per_tok"])
        into, out = self.w(b + "input_linear.weight"), self.w(b + "output_linear.weight")
        return self.experts(y, best, softmax(chosen), lambda e, row: self.half_gated(row, into[e], out[e]))

    def mixer(self, y, i, at):
        return self.attention(y, at)

    def layer(self, x, i, at):
        by = self.c["residual_multiplier"]
        x = x + by * self.mixer(self.norm(x, at + "input_layernorm"), i, at)
        return x + by * self.ffn(self.norm(x, at + "post_attention_layernorm"), at)


class GraniteHybrid(GraniteMoe):
    def mixer(self, y, i, at):
        c = self.c
        if c["layer_types"][i] == "attention":
            return self.attention(y, at)
        norm = lambda s, gate: self.norm(s * silu(gate), at + "mamba.norm")
        return self.mamba2(y, at + "mamba.", c["mamba_n_heads"], c["mamba_n_groups"], c["mamba_d_state"], norm)

    def ffn(self, y, at):
        shared = self.half_gated(y, self.w(at + "shared_mlp.input_linear.weight"), self.w(at + "shared_mlp.output_linear.weight"))
        return super().ffn(y, at) + shared if self.c["num_local_experts"] else shared


class Lfm2(Pass):
    FINAL = "model.embedding_norm"

    def epsilon(self):
        return self.c["norm_eps"]

    def attends(self, i):
        return i in self.c["full_attn_idxs"]

    def ffn(self, y, i, f):
        return self.gated(y, f, ("w1", "w3", "w2"))

    def layer(self, x, i, at):
        y = self.norm(x, at + "operator_norm")
        if self.attends(i):
            a = at + "self_attn."
            q = self.norm(self.split(y, a + "q_proj", self.heads), a + "q_layernorm")
            k = self.norm(self.split(y, a + "k_proj", self.kv_heads), a + "k_layernorm")
            v = self.split(y, a + "v_proj", self.kv_heads)
            x = x + self.linear(self.attend(self.rope(q), self.rope(k), v, self.head ** -0.5), a + "out_proj")
        else:
            b, c, z = np.split(self.linear(y, at + "conv.in_proj"), 3, 1)
            x = x + self.linear(c * self.conv(b * z, at + "conv.conv", bias=False), at + "conv.out_proj")
        return x + self.ffn(self.norm(x, at + "ffn_norm"), i, at + "feed_forward.")


class Lfm2Moe(Lfm2):
    def attends(self, i):
        return self.c["layer_types"][i] == "full_attention"

    def ffn(self, y, i, f):
        c = self.c
        if i < c["num_dense_layers"]:
            return super().ffn(y, i, f)
        scores = sigmoid(self.linear(y, f + "gate"))
        best, weights = self.route(scores, scores + self.w(f + "expert_bias"), c["num_experts_per_tok"])
        if c["norm_topk_prob"]:
            weights = weights / (weights.sum(-1, keepdims=True) + 1e-6)
        expert = lambda e, row: self.gated(row, f"{f}experts.{e}.", ("w1", "w3", "w2"))
        return self.experts(y, best, weights * c["routed_scaling_factor"], expert)


def delta_rule(q, k, v, decay, write):
    """Token by token: q, k and decay [T, H, K], v [T, H, V], write [T, H]; a state [K, V] of each head."""
    q, k = (m / np.sqrt((m * m).sum(-1, keepdims=True) + 1e-6) for m in (q, k))
    q = q * q.shape[-1] ** -0.5
    state, out = np.zeros((q.shape[1], q.shape[2], v.shape[2])), np.zeros_like(v)
    for t in range(len(q)):
        state = state * decay[t][..., None]
        error = (v[t] - np.einsum("hkv,hk->hv", state, k[t])) * write[t][:, None]
        state = state + k[t][..., None] * error[:, None, :]
        out[t] = np.einsum("hkv,hk->hv", state, q[t])
    return out


class Qwen35Moe(Pass):
    def norm(self, x, name):
        return rms(x, 1 + self.w(name + ".weight"), self.epsilon())

    def delta_net(self, y, at):
        c = self.c
        keys, heads, width = c["linear_num_key_heads"], c["linear_num_value_heads"], c["linear_key_head_dim"]
        joint = silu(self.conv(self.linear(y, at + "in_proj_qkv"), at + "conv1d", bias=False))
        q, k, v = np.split(joint, [keys * width, 2 * keys * width], 1)
        of_heads = lambda m: np.repeat(m.reshape(len(y), keys, width), heads // keys, 1)
        decay = np.exp(-np.exp(self.w(at + "A_log")) * softplus(self.linear(y, at + "in_proj_a") + self.w(at + "dt_bias")))
        decay = np.repeat(decay[..., None], width, -1)
        o = delta_rule(of_heads(q), of_heads(k), v.reshape(len(y), heads, -1), decay, sigmoid(self.linear(y, at + "in_proj_b")))
        gate = self.split(y, at + "in_proj_z", heads)
        o = rms(o, self.w(at + "norm.weight"), self.epsilon()) * silu(gate)
        return self.linear(o.reshape(len(y), -1), at + "out_proj")

    def attention(self, y, a):
        both = self.split(y, a + "q_proj", self.heads)
        q, gate = both[..., :self.head], both[..., self.head:]
        columns = int(self.head * self.c["partial_rotary_factor"])
        q = self.rope(self.norm(q, a + "q_norm"), columns)
        k = self.rope(self.norm(self.split(y, a + "k_proj", self.kv_heads), a + "k_norm"), columns)
        o = self.attend(q, k, self.split(y, a + "v_proj", self.kv_heads), self.head ** -0.5)
        return self.linear(o * sigmoid(gate.reshape(len(y), -1)), a + "o_proj")

    def layer(self, x, i, at):
        c = self.c
        y = self.norm(x, at + "input_layernorm")
        linear = c["layer_types"][i] == "linear_attention"
        x = x + (self.delta_net(y, at + "linear_attn.") if linear else self.attention(y, at + "self_attn."))
        y, m = self.norm(x, at + "post_attention_layernorm"), at + "mlp."
        scores = softmax(self.linear(y, m + "gate"))
        best, weights = self.route(scores, scores, c["num_experts_per_tok"])
        into, out = self.w(m + "experts.gate_up_proj"), self.w(m + "experts.down_proj")

        def expert(e, row):
            gate, up = np.split(row @ into[e].T, 2, -1)
            return (silu(gate) * up) @ out[e].T

        z = self.experts(y, best, weights / weights.sum(-1, keepdims=True), expert)
        return x + z + sigmoid(self.linear(y, m + "shared_expert_gate")) * self.gated(y, m + "shared_expert.")


class KimiLinear(Pass):
    def kda(self, y, at):
        linear = self.c["linear_attn_config"]
        heads, T = linear["num_heads"], len(y)
        q, k, v = (silu(self.conv(self.linear(y, f"{at}{p}_proj"), f"{at}{p}_conv1d", bias=False)).reshape(T, heads, -1) for p in "qkv")
        steps = softplus(self.linear(self.linear(y, at + "f_a_proj"), at + "f_b_proj") + self.w(at + "dt_bias")).reshape(T, heads, -1)
        decay = np.exp(-np.exp(self.w(at + "A_log").reshape(heads, 1)) * steps)
        o = delta_rule(q, k, v, decay, sigmoid(self.linear(y, at + "b_proj")))
        gate = self.linear(self.linear(y, at + "g_a_proj"), at + "g_b_proj").reshape(T, heads, -1)
        o = rms(o, self.w(at + "o_norm.weight"), self.epsilon()) * sigmoid(gate)
        return self.linear(o.reshape(T, -1), at + "o_proj")

    def latent(self, y, at):
        c, T = self.c, len(y)
        nope, turned, rank = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["kv_lora_rank"]
        q = self.split(y, at + "q_proj", self.heads)
        low = self.linear(y, at + "kv_a_proj_with_mqa")
        kv = self.split(rms(low[:, :rank], self.w(at + "kv_a_layernorm.weight"), 1e-6), at + "kv_b_proj", self.heads)
        k = np.concatenate([kv[..., :nope], np.repeat(low[:, None, rank:], self.heads, 1)], -1)
        return self.linear(self.attend(q, k, kv[..., nope:], (nope + turned) ** -0.5), at + "o_proj")

    def layer(self, x, i, at):
        c = self.c
        y, a = self.norm(x, at + "input_layernorm"), at + "self_attn."
        x = x + (self.kda(y, a) if i + 1 in c["linear_attn_config"]["kda_layers"] else self.latent(y, a))
        y, b = self.norm(x, at + "post_attention_layernorm"), at + "block_sparse_moe."
        if i < c["first_k_dense_replace"]:
            return x + self.gated(y, at + "mlp.")
        scores = sigmoid(self.linear(y, b + "gate"))
        by = grouped(scores + self.w(b + "gate.e_score_correction_bias"), c["num_expert_group"], c["topk_group"])
        best, weights = self.route(scores, by, c["num_experts_per_token"])
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20) * c["routed_scaling_factor"]
        z = self.experts(y, best, weights, lambda e, row: self.gated(row, f"{b}experts.{e}.", ("w1", "w3", "w2")))
        return x + z + self.gated(y, b + "shared_experts.")


class Llama(Pass):
    """What Llama does, with the parts that its relatives do otherwise."""

    def rotated(self, i, q, k):
        return self.rope(q), self.rope(k)

    def window(self, i):
        return None

    def seen(self, i, n):
        return np.ones((n, n), bool)

    def qk(self, y, a):
        return self.split(y, a + "q_proj", self.heads), self.split(y, a + "k_proj", self.kv_heads)

    def attention(self, y, i, a):
        q, k = self.qk(y, a)
        v = self.split(y, a + "v_proj", self.kv_heads, bias=self.t.get(a + "v_proj.bias") is not None)
        q, k = self.rotated(i, q, k)
        group, w = self.heads // self.kv_heads, self.window(i)
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) * self.head ** -0.5
        far = np.arange(len(y))[:, None] - np.arange(len(y))
        seen = (far >= 0) & (far < (w or len(y))) & self.seen(i, len(y))
        context = np.einsum("hqk,khd->qhd", softmax(np.where(seen, scores, -np.inf)), v)
        return self.linear(context.reshape(len(y), -1), a + "o_proj")

    def ffn(self, y, at):
        return self.gated(y, at + "mlp.")

    def layer(self, x, i, at):
        x = x + self.attention(self.norm(x, at + "input_layernorm"), i, at + "self_attn.")
        return x + self.ffn(self.norm(x, at + "post_attention_layernorm"), at)

    def slides(self, i):
        return self.c["layer_types"][i] == "sliding_attention"

    def neighbours(self, x, columns):
        """Channels 2i and 2i + 1 turn together."""
        inverse = self.c["rope_theta"] ** (-np.arange(0, columns, 2) / columns)
        angle = np.outer(np.arange(len(x)), inverse)[:, None, :]
        out = x.copy()
        a, b = x[..., 0:columns:2], x[..., 1:columns:2]
        out[..., 0:columns:2] = a * np.cos(angle) - b * np.sin(angle)
        out[..., 1:columns:2] = b * np.cos(angle) + a * np.sin(angle)
        return out


class Behind(Llama):
    """Norms behind attention and FFN: OLMo 2 and what came after it."""

    def window(self, i):
        return self.c["sliding_window"] if self.slides(i) else None

    def layer(self, x, i, at):
        x = x + self.norm(self.attention(x, i, at + "self_attn."), at + "post_attention_layernorm")
        return x + self.norm(self.ffn(x, at), at + "post_feedforward_layernorm")


class Exaone4(Behind):
    def qk(self, y, a):
        q, k = super().qk(y, a)
        return self.norm(q, a + "q_norm"), self.norm(k, a + "k_norm")

    def rotated(self, i, q, k):
        return (self.rope(q), self.rope(k)) if self.slides(i) else (q, k)


class Olmo3(Behind):
    def qk(self, y, a):
        q = self.norm(self.linear(y, a + "q_proj"), a + "q_norm")
        k = self.norm(self.linear(y, a + "k_proj"), a + "k_norm")
        return q.reshape(len(y), self.heads, -1), k.reshape(len(y), self.kv_heads, -1)

    def yarn(self, x):
        s, d, base = self.c["rope_scaling"], self.head, self.c["rope_theta"]
        trained = s["original_max_position_embeddings"]
        plain = base ** (-np.arange(0, d, 2) / d)
        at = lambda turns: d * np.log(trained / (turns * 2 * np.pi)) / (2 * np.log(base))
        low, high = max(np.floor(at(s["beta_fast"])), 0), min(np.ceil(at(s["beta_slow"])), d - 1)
        ramp = np.clip((np.arange(d // 2) - low) / max(high - low, 0.001), 0, 1)
        inverse = plain / s["factor"] * ramp + plain * (1 - ramp)
        angle = np.outer(np.arange(len(x)), inverse)[:, None, :]
        cos, sin = np.cos(angle) * s["attention_factor"], np.sin(angle) * s["attention_factor"]
        a, b = x[..., :d // 2], x[..., d // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def rotated(self, i, q, k):
        return (self.rope(q), self.rope(k)) if self.slides(i) else (self.yarn(q), self.yarn(k))


class SmolLm3(Llama):
    def rotated(self, i, q, k):
        return (self.rope(q), self.rope(k)) if self.c["no_rope_layers"][i] else (q, k)


class Glm4(Llama):
    def qk(self, y, a):
        return self.split(y, a + "q_proj", self.heads, bias=True), self.split(y, a + "k_proj", self.kv_heads, bias=True)

    def rotated(self, i, q, k):
        columns = int(self.head * self.c["partial_rotary_factor"])
        return self.neighbours(q, columns), self.neighbours(k, columns)

    def ffn(self, y, at):
        gate, up = np.split(self.linear(y, at + "mlp.gate_up_proj"), 2, -1)
        return self.linear(silu(gate) * up, at + "mlp.down_proj")

    def layer(self, x, i, at):
        y = self.attention(self.norm(x, at + "input_layernorm"), i, at + "self_attn.")
        x = x + self.norm(y, at + "post_self_attn_layernorm")
        return x + self.norm(self.ffn(self.norm(x, at + "post_attention_layernorm"), at), at + "post_mlp_layernorm")


class Cohere2(Llama):
    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c["layer_norm_eps"]) * self.w(name + ".weight")

    def window(self, i):
        return self.c["sliding_window"] if self.slides(i) else None

    def rotated(self, i, q, k):
        return (self.neighbours(q, self.head), self.neighbours(k, self.head)) if self.slides(i) else (q, k)

    def factor(self, what):
        return self.c["logit_scale"] if what == "logits" else 1

    def layer(self, x, i, at):
        y = self.norm(x, at + "input_layernorm")
        return x + self.attention(y, i, at + "self_attn.") + self.ffn(y, at)


class MiniMaxM2(Llama):
    qk = Olmo3.qk

    def rotated(self, i, q, k):
        return self.rope(q, self.c["rotary_dim"]), self.rope(k, self.c["rotary_dim"])

    def ffn(self, y, at):
        b = at + "block_sparse_moe."
        scores = sigmoid(self.linear(y, b + "gate"))
        best, weights = self.route(scores, scores + self.w(b + "e_score_correction_bias"), self.c["num_experts_per_tok"])
        expert = lambda e, row: self.gated(row, f"{b}experts.{e}.", ("w1", "w3", "w2"))
        return self.experts(y, best, weights / weights.sum(-1, keepdims=True), expert)


class Qwen3VlMoe(Llama):
    def qk(self, y, a):
        q, k = super().qk(y, a)
        return self.norm(q, a + "q_norm"), self.norm(k, a + "k_norm")

    def ffn(self, y, at):
        m = at + "mlp."
        scores = softmax(self.linear(y, m + "gate"))
        best, weights = self.route(scores, scores, self.c["num_experts_per_tok"])
        into, out = self.w(m + "experts.gate_up_proj"), self.w(m + "experts.down_proj")

        def expert(e, row):
            gate, up = np.split(row @ into[e], 2, -1)
            return (silu(gate) * up) @ out[e]

        return self.experts(y, best, weights / weights.sum(-1, keepdims=True), expert)


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


class Biased(Llama):
    """Layer norms and linear layers, all with biases; FFNs without gates."""
    EPSILON, OUT, INTO, BACK = "norm_epsilon", "o_proj", "mlp.c_fc", "mlp.c_proj"

    def linear(self, x, name, bias=True):
        return super().linear(x, name.replace("o_proj", self.OUT), True)

    def split(self, x, name, heads, bias=True):
        return super().split(x, name, heads, True)

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c[self.EPSILON]) * self.w(name + ".weight") + self.w(name + ".bias")

    def ffn(self, y, at):
        return self.linear(gelu(self.linear(y, at + self.INTO)), at + self.BACK)


class StarCoder2(Biased):
    def window(self, i):
        return self.c["sliding_window"]


class Phi(Biased):
    EPSILON, OUT, INTO, BACK = "layer_norm_eps", "dense", "mlp.fc1", "mlp.fc2"
    FINAL = "model.final_layernorm"

    def rotated(self, i, q, k):
        columns = int(self.head * self.c["partial_rotary_factor"])
        return self.rope(q, columns), self.rope(k, columns)

    def layer(self, x, i, at):
        y = self.norm(x, at + "input_layernorm")
        return x + self.attention(y, i, at + "self_attn.") + self.ffn(y, at)

    def logits(self, ids):
        return super().logits(ids) + self.w("lm_head.bias")


class Llama4(Llama):
    """Layers that turn attend to chunks; those that do not have queries that grow. An expert's weight multiplies what it reads."""

    def turns(self, i):
        listed = self.c.get("no_rope_layers")
        return bool(listed[i]) if listed else (i + 1) % self.c["no_rope_layer_interval"] != 0

    def turned(self, x):
        s, d = self.c.get("rope_scaling"), self.head
        inverse = self.c["rope_theta"] ** (-np.arange(0, d, 2) / d)
        if s:
            length = 2 * np.pi / inverse
            low, high = (s["original_max_position_embeddings"] / s[key] for key in ("low_freq_factor", "high_freq_factor"))
            smooth = (s["original_max_position_embeddings"] / length - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
            between = (1 - smooth) * inverse / s["factor"] + smooth * inverse
            inverse = np.where(length > low, inverse / s["factor"], np.where(length < high, inverse, between))
        angle = np.exp(1j * np.outer(np.arange(len(x)), inverse))[:, None, :]
        pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * angle
        y = np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)
        return rms(y, 1, self.epsilon()) if self.c["use_qk_norm"] else y

    def rotated(self, i, q, k):
        if self.turns(i):
            return self.turned(q), self.turned(k)
        steps = np.floor((np.arange(len(q)) + 1) / self.c["floor_scale"])
        return q * (np.log(steps + 1) * self.c["attn_scale"] + 1)[:, None, None], k

    def seen(self, i, n):
        at = np.arange(n) // self.c["attention_chunk_size"]
        return at[:, None] == at if self.turns(i) else np.ones((n, n), bool)

    def ffn(self, y, at):
        f = at + "feed_forward."
        if f + "router.weight" not in self.t:
            return self.gated(y, f)
        scores = self.linear(y, f + "router")
        best, weights = self.route(scores, scores, self.c["num_experts_per_tok"])
        into, out = self.w(f + "experts.gate_up_proj"), self.w(f + "experts.down_proj")

        def expert(e, row):
            gate, up = np.split(row @ into[e], 2, -1)
            return (up * silu(gate)) @ out[e]

        rows = [sum(expert(e, y[t] * w) for e, w in zip(best[t], sigmoid(weights[t]))) for t in range(len(y))]
        return np.stack(rows) + self.gated(y, f + "shared_expert.")


class Gemma4(Llama):
    """Full layers have heads of their own; scores are not scaled; values are normed, and in some full layers are the keys."""

    def full(self, i):
        return self.c["layer_types"][i] == "full_attention"

    def turned(self, i, x):
        kind = "full_attention" if self.full(i) else "sliding_attention"
        usual = {"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
                 "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
        by, n = (self.c.get("rope_parameters") or usual)[kind], x.shape[-1]
        inverse = by["rope_theta"] ** (-np.arange(0, n, 2) / n)
        if by["rope_type"] == "proportional":
            inverse[int(by["partial_rotary_factor"] * n // 2):] = 0
        angle = np.outer(np.arange(len(x)), inverse)[:, None, :]
        a, b = x[..., :n // 2], x[..., n // 2:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)

    def attention(self, y, i, a):
        c, head = self.c, self.c["global_head_dim"] if self.full(i) else self.head
        q = self.turned(i, self.norm(self.linear(y, a + "q_proj").reshape(len(y), self.heads, head), a + "q_norm"))
        first = c["num_hidden_layers"] - c.get("num_kv_shared_layers", 0)
        if i < first:
            k = self.linear(y, a + "k_proj").reshape(len(y), -1, head)
            same = self.full(i) and c["attention_k_eq_v"]
            v = rms(k if same else self.linear(y, a + "v_proj").reshape(len(y), -1, head), 1, self.epsilon())
            self.kept[self.full(i)] = self.turned(i, self.norm(k, a + "k_norm")), v
        k, v = (np.repeat(x, self.heads // x.shape[1], 1) for x in self.kept[self.full(i)])
        far = np.arange(len(y))[:, None] - np.arange(len(y))
        seen = (far >= 0) & (far < (len(y) if self.full(i) else c["sliding_window"]))
        weights = softmax(np.where(seen, np.einsum("qhd,khd->hqk", q, k), -np.inf))
        return self.linear(np.einsum("hqk,khd->qhd", weights, v).reshape(len(y), -1), a + "o_proj")

    def mlp(self, y, f):
        return self.linear(gelu(self.linear(y, f + "gate_proj")) * self.linear(y, f + "up_proj"), f + "down_proj")

    def routed(self, x, at):
        z = rms(x, 1, self.epsilon()) * self.w(at + "router.scale") * self.hidden ** -0.5
        scores = softmax(self.linear(z, at + "router.proj"))
        best, weights = self.route(scores, scores, self.c["top_k_experts"])
        weights = weights / weights.sum(-1, keepdims=True) * self.w(at + "router.per_expert_scale")[best]
        into, out = self.w(at + "experts.gate_up_proj"), self.w(at + "experts.down_proj")

        def expert(e, row):
            gate, up = np.split(row @ into[e].T, 2, -1)
            return (gelu(gate) * up) @ out[e].T

        return self.experts(self.norm(x, at + "pre_feedforward_layernorm_2"), best, weights, expert)

    def layer(self, x, i, at):
        y = self.attention(self.norm(x, at + "input_layernorm"), i, at + "self_attn.")
        x = x + self.norm(y, at + "post_attention_layernorm")
        y = self.mlp(self.norm(x, at + "pre_feedforward_layernorm"), at + "mlp.")
        if self.c["enable_moe_block"]:
            y = self.norm(y, at + "post_feedforward_layernorm_1") + self.norm(self.routed(x, at), at + "post_feedforward_layernorm_2")
        x = x + self.norm(y, at + "post_feedforward_layernorm")
        if self.inputs is not None:
            y = gelu(self.linear(x, at + "per_layer_input_gate")) * self.inputs[:, i]
            x = x + self.norm(self.linear(y, at + "per_layer_projection"), at + "post_per_layer_input_norm")
        return x * self.w(at + "layer_scalar")

    def logits(self, ids):
        c, width = self.c, self.c["hidden_size_per_layer_input"]
        self.kept, self.inputs = {}, None
        x = self.w("model.embed_tokens.weight")[ids] * self.hidden ** 0.5
        if width:
            shape = (len(ids), c["num_hidden_layers"], width)
            projected = (self.linear(x, "model.per_layer_model_projection") * self.hidden ** -0.5).reshape(shape)
            looked_up = (self.w("model.embed_tokens_per_layer.weight")[ids] * width ** 0.5).reshape(shape)
            self.inputs = (self.norm(projected, "model.per_layer_projection_norm") + looked_up) * 2 ** -0.5
        for i in range(c["num_hidden_layers"]):
            x = self.layer(x, i, f"model.layers.{i}.")
        y = self.norm(x, "model.norm") @ self.w("model.embed_tokens.weight").T
        cap = c["final_logit_softcapping"]
        return cap * np.tanh(y / cap) if cap else y


def layer_norm(x, gain, bias, epsilon):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * gain + bias


class Early(Pass):
    """The first generations: layer norms, FFNs of two matrices, words of their own."""
    ATTENTION, OUT, NORMS, INTO, BACK, HEAD = "self_attention.", "dense", ("input_layernorm", "post_attention_layernorm"), "", "", None

    def __init__(self, config, tensors):
        super().__init__({"hidden_size": config.get("hidden_size", config.get("d_model")), **config}, tensors)
        self.heads = config.get("num_attention_heads") or config.get("n_head") or config.get("n_heads")
        self.head = self.hidden // self.heads
        self.layers = config.get("num_hidden_layers") or config.get("n_layer") or config.get("n_layers") or config.get("num_layers")

    def epsilon(self):
        return self.c.get("layer_norm_epsilon", 1e-5)

    def norm(self, x, name):
        return layer_norm(x, self.w(name + ".weight"), self.t.get(name + ".bias", 0), self.epsilon())

    def affine(self, x, name):
        return x @ self.w(name + ".weight").T + self.t.get(name + ".bias", 0)

    def qkv(self, y, a):
        """[T, heads, head] each"""
        raise NotImplementedError

    def slopes(self):
        return np.zeros(self.heads)

    def attended(self, y, a):
        q, k, v = self.qkv(y, a)
        k, v = np.repeat(k, self.heads // k.shape[1], 1), np.repeat(v, self.heads // v.shape[1], 1)
        far = np.arange(len(y))[:, None] - np.arange(len(y))
        scores = np.einsum("qhd,khd->hqk", q, k) * self.head ** -0.5 - self.slopes()[:, None, None] * far
        context = np.einsum("hqk,khd->qhd", softmax(np.where(far >= 0, scores, -np.inf)), v)
        return self.affine(context.reshape(len(y), -1), a + self.OUT)

    def act(self, x):
        return x / 2 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))

    def mlp(self, y, at):
        return self.affine(self.act(self.affine(y, at + self.INTO)), at + self.BACK)

    def layer(self, x, i, at):
        x = x + self.attended(self.norm(x, at + self.NORMS[0]), at + self.ATTENTION)
        return x + self.mlp(self.norm(x, at + self.NORMS[1]), at)

    def embedded(self, ids):
        return self.w(self.EMBEDDING + ".weight")[ids]

    def logits(self, ids):
        x = self.embedded(ids)
        for i in range(self.layers):
            x = self.layer(x, i, f"{self.LAYER}{i}.")
        return self.norm(x, self.FINAL) @ self.w((self.HEAD or self.EMBEDDING) + ".weight").T


class Opt(Early):
    EMBEDDING, FINAL, LAYER = "model.decoder.embed_tokens", "model.decoder.final_layer_norm", "model.decoder.layers."
    ATTENTION, OUT, NORMS, INTO, BACK = "self_attn.", "out_proj", ("self_attn_layer_norm", "final_layer_norm"), "fc1", "fc2"

    def embedded(self, ids):
        return super().embedded(ids) + self.w("model.decoder.embed_positions.weight")[np.arange(len(ids)) + 2]

    def qkv(self, y, a):
        return (self.affine(y, a + part).reshape(len(y), self.heads, -1) for part in ("q_proj", "k_proj", "v_proj"))

    def act(self, x):
        return np.maximum(x, 0)


class Bloom(Early):
    EMBEDDING, FINAL, LAYER, INTO, BACK = "word_embeddings", "ln_f", "h.", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"

    def embedded(self, ids):
        return self.norm(super().embedded(ids), "word_embeddings_layernorm")

    def qkv(self, y, a):
        parts = self.affine(y, a + "query_key_value").reshape(len(y), self.heads, 3, self.head)
        return parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]

    def act(self, x):
        return gelu(x)

    def slopes(self):
        power = 2 ** int(np.floor(np.log2(self.heads)))
        more = 2.0 ** (-4 / power)
        return np.array([2.0 ** (-8 / power * (h + 1)) for h in range(power)] + [more ** (2 * h + 1) for h in range(self.heads - power)])


class Mpt(Early):
    EMBEDDING, FINAL, LAYER = "transformer.wte", "transformer.norm_f", "transformer.blocks."
    ATTENTION, OUT, NORMS, INTO, BACK = "attn.", "out_proj", ("norm_1", "norm_2"), "ffn.up_proj", "ffn.down_proj"

    def qkv(self, y, a):
        return (p.reshape(len(y), self.heads, -1) for p in np.split(self.affine(y, a + "Wqkv"), 3, -1))

    def slopes(self):
        return 2.0 ** (-self.c["attn_config"]["alibi_bias_max"] / self.heads * np.arange(1, self.heads + 1))


class Falcon(Early):
    EMBEDDING, FINAL, LAYER, HEAD = "transformer.word_embeddings", "transformer.ln_f", "transformer.h.", "lm_head"
    INTO, BACK = "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"

    def qkv(self, y, a):
        parts = self.affine(y, a + "query_key_value").reshape(len(y), self.heads + 2, self.head)
        return self.rope(parts[:, :-2]), self.rope(parts[:, -2:-1]), parts[:, -1:]

    def layer(self, x, i, at):
        y = self.norm(x, at + self.NORMS[0])
        return x + self.attended(y, at + self.ATTENTION) + self.mlp(y, at)


class Olmo(Llama):
    def norm(self, x, name):
        return layer_norm(x, 1, 0, 1e-5)


class ChatGlm(Early):
    EMBEDDING, FINAL, LAYER = "transformer.embedding.word_embeddings", "transformer.encoder.final_layernorm", "transformer.encoder.layers."
    HEAD, INTO, BACK = "transformer.output_layer", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"

    def norm(self, x, name):
        return rms(x, self.w(name + ".weight"), self.c["layernorm_epsilon"])

    def qkv(self, y, a):
        groups = self.c["multi_query_group_num"]
        parts = self.affine(y, a + "query_key_value").reshape(len(y), self.heads + 2 * groups, self.head)
        q, k, v = np.split(parts, [self.heads, self.heads + groups], 1)
        return self.turned(q), self.turned(k), v

    def turned(self, x):
        columns = self.head // 2
        angle = np.exp(1j * np.outer(np.arange(len(x)), 10000.0 ** (-np.arange(0, columns, 2) / columns)))[:, None, :]
        pairs = (x[..., 0:columns:2] + 1j * x[..., 1:columns:2]) * angle
        return np.concatenate([np.stack([pairs.real, pairs.imag], -1).reshape(*x.shape[:-1], columns), x[..., columns:]], -1)

    def mlp(self, y, at):
        gate, up = np.split(self.affine(y, at + self.INTO), 2, -1)
        return self.affine(silu(gate) * up, at + self.BACK)


MODELS = {
    "mamba": Mamba, "falcon_mamba": FalconMamba, "mamba2": Mamba2, "jamba": Jamba, "bamba": Bamba, "falcon_h1": FalconH1,
    "nemotron_h": NemotronH, "granitemoe": GraniteMoe, "granitemoehybrid": GraniteHybrid, "lfm2": Lfm2, "lfm2_moe": Lfm2Moe,
    "qwen3_5_moe_text": Qwen35Moe, "kimi_linear": KimiLinear, "exaone4": Exaone4, "olmo3": Olmo3, "smollm3": SmolLm3, "glm4": Glm4,
    "cohere2": Cohere2, "minimax_m2": MiniMaxM2, "qwen3_vl_moe_text": Qwen3VlMoe, "phi": Phi,
    "starcoder2": StarCoder2, "llama4_text": Llama4, "gemma4_text": Gemma4, "opt": Opt, "bloom": Bloom, "mpt": Mpt,
    "falcon": Falcon, "olmo": Olmo, "chatglm": ChatGlm,
}


WHY_NOT_LLAMA_CPP = {
    "falcon_mamba": "llama.cpp norms steps, b and c with the epsilon of the other norms",
    "bamba": "llama.cpp's converter exchanges rows of whole heads, of which half turns",
}


def best(step, logits):
    order = np.lexsort((np.arange(len(logits)), -logits))[:5]
    total = np.log(np.exp(logits - logits.max()).sum()) + logits.max()
    return {"step": step, "tokens": [int(i) for i in order], "logprobs": [round(float(logits[i] - total), 6) for i in order]}


def generate(model, prompt, count):
    ids, top, margin = list(prompt), [], np.inf
    for step in range(count):
        logits = model.logits(np.array(ids))[-1]
        first, second = np.sort(logits)[::-1][:2]
        margin = min(margin, first - second)
        if step in (0, count >> 1, count - 1):
            top.append(best(step, logits))
        ids.append(int(np.argmax(logits)))
    return ids[len(prompt):], round(float(margin), 6), top


def case_of(name, text, prompt, count, model):
    tokens, margin, top = generate(model, prompt, count)
    return {"model": name, "witness": "float64", "max_length": 256, "tolerance": 0.0002, "text": text, "prompt": prompt, "tokens": tokens,
            "why_not_llama.cpp": WHY_NOT_LLAMA_CPP.get(name, "llama.cpp has not been asked"), "smallest_margin": margin, "top": top}


def worst(case, model):
    """The largest difference of a recorded logarithm from this pass's, and whether the tokens agree."""
    tokens, _, _ = generate(model, case["prompt"], len(case["tokens"]))
    ids, difference = list(case["prompt"]) + list(case["tokens"]), 0
    logits = model.logits(np.array(ids))
    for row in case["top"]:
        at = logits[len(case["prompt"]) + row["step"] - 1]
        total = np.log(np.exp(at - at.max()).sum()) + at.max()
        difference = max(difference, max(abs(at[t] - total - p) for t, p in zip(row["tokens"], row["logprobs"])))
    return difference, tokens == case["tokens"]


def main(arguments):
    check = "--check" in arguments
    goldens = json.load(sys.stdin)
    texts = [c for c in goldens["cases"] if c["model"] == "llama" and "adapter" not in c]
    for folder in [a for a in arguments if a != "--check"]:
        name = folder.rstrip("/").split("/")[-1]
        config, tensors = read_folder(folder)
        model = MODELS[config["model_type"]](config, tensors)
        if check:
            for case in [c for c in goldens["cases"] if c["model"] == name]:
                difference, same = worst(case, model)
                print(f"{name}, a prompt of {len(case['prompt'])}: {difference:.1e}, tokens {'equal' if same else 'DIFFER'}", file=sys.stderr)
            continue
        others = [c for c in goldens["cases"] if c["model"] != name or c["witness"] != "float64"]
        goldens["cases"] = others + [case_of(name, c["text"], c["prompt"], len(c["tokens"]), model) for c in texts]
    if check:
        return
    lines = ['{', f' "made_by": {json.dumps(goldens["made_by"])},', ' "models": {']
    lines.append(",\n".join(f'  {json.dumps(n)}: {json.dumps(v, separators=(",", ":"))}' for n, v in goldens["models"].items()))
    lines += [" },", ' "cases": [', ",\n".join("  " + json.dumps(c, separators=(",", ":"), ensure_ascii=False) for c in goldens["cases"]), " ]", "}"]
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
