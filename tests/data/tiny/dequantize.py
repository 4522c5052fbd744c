#!/usr/bin/env python3
"""What the numbers of a quantised model are: dequantize.py FOLDER [FOLDER ...] > quantized.json

Reads config.json and model.safetensors of each FOLDER, whose last part is SCHEME:MODEL as make_tiny calls it, and unpacks every matrix in
plain Python: integers bit by bit, 8-bit and 4-bit floats out of their definitions, scales in float32. Written from the exporters' own
descriptions (README.md beside this) and sharing nothing with the rest of this tree. Recorded are FNV-1a hashes of the file's tensors and of
the float32 that they are, each in the order of their names: <name>, a zero byte, the bytes.
"""
import json
import math
import os
import struct
import sys

E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
E2M1 += [-x for x in E2M1]


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def e4m3(byte):
    sign, exponent, mantissa = -1.0 if byte >> 7 else 1.0, byte >> 3 & 15, byte & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    return sign * (mantissa / 8 * 2.0 ** -6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


READERS = {
    "F32": (4, lambda b: [x for x, in struct.iter_unpack("<f", b)]),
    "F16": (2, lambda b: [x for x, in struct.iter_unpack("<e", b)]),
    "BF16": (2, lambda b: [struct.unpack("<f", b"\0\0" + b[i:i + 2])[0] for i in range(0, len(b), 2)]),
    "I32": (4, lambda b: [x for x, in struct.iter_unpack("<I", b)]),
    "I64": (8, lambda b: [x for x, in struct.iter_unpack("<q", b)]),
    "I8": (1, lambda b: [x - 256 if x > 127 else x for x in b]),
    "U8": (1, list),
    "F8_E4M3": (1, lambda b: [e4m3(x) for x in b]),
}


class Tensor:
    def __init__(self, dtype, shape, raw):
        self.dtype, self.shape, self.raw = dtype, shape, raw
        self.values = READERS[dtype][1](raw)


def read_folder(folder):
    config = json.load(open(folder + "/config.json"))
    raw = open(folder + "/model.safetensors", "rb").read()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = Tensor(entry["dtype"], entry["shape"], raw[8 + size + begin:8 + size + end])
    return config["quantization_config"], tensors


def field(word, place, bits):
    return word >> place * bits & (1 << bits) - 1



def gptq(t, config):
    bits, per = config["bits"], 32 // config["bits"]
    q, z, s, g = t["qweight"], t["qzeros"], t["scales"], t["g_idx"]
    out, inputs = q.shape[1], q.shape[0] * per
    more = 0 if config.get("checkpoint_format") == "gptq_v2" else 1
    weight = []
    for o in range(out):
        for i in range(inputs):
            group = g.values[i]
            zero = field(z.values[group * z.shape[1] + o // per], o % per, bits) + more & (1 << bits) - 1
            quant = field(q.values[i // per * out + o], i % per, bits)
            weight.append(f32((quant - zero) * s.values[group * out + o]))
    return weight


def awq(t, config):
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    q, z, s = t["qweight"], t["qzeros"], t["scales"]
    inputs, words = q.shape
    out, size = words * 8, config["group_size"]
    weight = [0.0] * (out * inputs)
    for i in range(inputs):
        for word in range(words):
            for place in range(8):
                o = word * 8 + order[place]
                zero = field(z.values[i // size * words + word], place, 4)
                quant = field(q.values[i * words + word], place, 4)
                weight[o * inputs + i] = f32((quant - zero) * s.values[i // size * out + o])
    return weight


def compressed_integers(t, scheme):
    bits, per = scheme["num_bits"], 32 // scheme["num_bits"]
    packed = "weight_packed" in t
    out, inputs = t["weight_shape"].values if packed else t["weight"].shape
    s = t["weight_scale"]
    groups = s.shape[1]
    size = inputs // groups
    half = 1 << bits - 1
    weight = []
    for o in range(out):
        for i in range(inputs):
            group = t["weight_g_idx"].values[i] if "weight_g_idx" in t else i // size
            if packed:
                q = t["weight_packed"]
                quant, zero = field(q.values[o * q.shape[1] + i // per], i % per, bits) - half, 0
                if "weight_zero_point" in t:
                    zero = field(t["weight_zero_point"].values[o // per * groups + group], o % per, bits) - half
            else:
                quant = t["weight"].values[o * inputs + i]
                zero = t["weight_zero_point"].values[o] if "weight_zero_point" in t else 0
            weight.append(f32((quant - zero) * s.values[o * groups + group]))
    return weight


def float8(t, config):
    w = t["weight"]
    s = t["weight_scale_inv"] if "weight_scale_inv" in t else t["weight_scale"]
    out, inputs = w.shape[-2:]
    values = [2.0 ** (x - 127) for x in s.values] if s.dtype == "U8" else s.values
    rows, columns = 1, inputs
    if "weight_block_size" in config:
        rows, columns = config["weight_block_size"]
    elif s.dtype == "U8":
        columns = 32
    elif len(values) == 1:
        rows = out
    across, down = -(-inputs // columns), -(-out // rows)
    weight = []
    for at, value in enumerate(w.values):
        expert, o, i = at // (out * inputs), at // inputs % out, at % inputs
        weight.append(f32(value * values[(expert * down + o // rows) * across + i // columns]))
    return weight


def float4(blocks, scales, size, second=None, divides=False):
    values = [2.0 ** (x - 127) for x in scales.values] if scales.dtype == "U8" else scales.values
    if second is not None:
        values = [f32(x / second) if divides else f32(x * second) for x in values]
    weight = []
    for at, byte in enumerate(blocks.raw):
        for half in (byte & 15, byte >> 4):
            weight.append(f32(E2M1[half] * values[len(weight) // size]))
    return weight


def unpack(parts, config):
    method = config["quant_method"]
    if "blocks" in parts:
        return float4(parts["blocks"], parts["scales"], 32)
    if method == "gptq":
        return gptq(parts, config)
    if method == "awq":
        return awq(parts, config)
    if "weight_scale_2" in parts:
        return float4(parts["weight"], parts["weight_scale"], 16, parts["weight_scale_2"].values[0])
    if "weight_global_scale" in parts:
        return float4(parts["weight_packed"], parts["weight_scale"], 16, parts["weight_global_scale"].values[0], True)
    if method == "compressed-tensors":
        scheme = config["config_groups"]["group_0"]["weights"]
        if scheme["type"] == "int":
            return compressed_integers(parts, scheme)
        if scheme["num_bits"] == 4:
            return float4(parts["weight_packed"], parts["weight_scale"], 32)
    return float8(parts, config)


SUFFIXES = ["weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_scale", "weight_packed", "weight_zero_point", "weight_g_idx",
            "weight_shape", "input_scale", "qweight", "qzeros", "scales", "g_idx"]


def floats_of(config, tensors):
    modules, out = {}, {}
    for name, tensor in tensors.items():
        stem, last = name.rsplit(".", 1)
        if last in SUFFIXES:
            modules.setdefault(stem + ".weight", {})[last] = tensor
        elif name.endswith("_blocks") or name.endswith("_scales"):
            modules.setdefault(name[:-7], {})[name[-6:]] = tensor
        elif name.endswith("_scale_inv"):
            modules.setdefault(name[:-10], {})["weight_scale_inv"] = tensor
    for name, parts in modules.items():
        if name in tensors:
            parts["weight"] = tensors[name]
        values = unpack(parts, config)
        if "blocks" in parts:  # floats are stored [experts][in][out]
            experts, width, groups, _ = parts["blocks"].shape
            inputs = groups * 32
            values = [values[(e * width + o) * inputs + i] for e in range(experts) for i in range(inputs) for o in range(width)]
        out[name] = struct.pack("<%df" % len(values), *values)
    for name, tensor in tensors.items():
        stem, last = name.rsplit(".", 1)
        if name not in out and last not in SUFFIXES and not name.endswith(("_blocks", "_scales", "_scale_inv")):
            out[name] = tensor.raw
    return out


def fnv(named):
    value = 0xcbf29ce484222325
    for name in sorted(named):
        for byte in name.encode() + b"\0" + named[name]:
            value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return "%016x" % value


def main():
    cases = []
    for folder in sys.argv[1:]:
        scheme, model = os.path.basename(os.path.normpath(folder)).split(":")
        config, tensors = read_folder(folder)
        stored = {name: tensor.raw for name, tensor in tensors.items()}
        cases.append({"scheme": scheme, "model": model, "stored": fnv(stored), "float32": fnv(floats_of(config, tensors))})
    print("{\n \"cases\": [\n  " + ",\n  ".join(json.dumps(case) for case in cases) + "\n ]\n}")


main()
