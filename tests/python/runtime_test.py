"""Pages and text from Python, through the package sdk/python/plimsoll: what a server in Python does. Fails by assertion.

Run by ctest with the package's folder, the folder of the libraries, a model that generates, and the program make_tiny.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

os.environ["PLIMSOLL_LIBRARY_PATH"] = sys.argv[2]
sys.path.insert(0, sys.argv[1])
import plimsoll  # noqa: E402

MODEL, MAKE_TINY = sys.argv[3:5]
PROMPT = "And the LORD said unto "
TEXT = "Moses, The LORD shall bring thee up to the house of the LORD, and the LORD said unto me, The LOR"


def refused(code, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except plimsoll.Error as error:
        assert error.code == code, (error.code, error.message)
        assert error.message
        return error
    raise AssertionError(f"not refused: {arguments} {options}")


def check_pages(context):
    plan = plimsoll.Plan(context, model=MODEL, engine="reference", devices="24MiB", max_length=256)
    assert plan.verdict in ("fits", "tight")
    kv = plimsoll.KvManager(plan, layout="exact", key_seed=7)
    total = kv.metrics["total_pages"]
    assert total > 0 and kv.metrics["prefix_caching"] == 1
    prompt = list(range(40))
    kv.admit(1, prompt, max_length=64)
    refused("bad_request", kv.inputs, [1])  # no pages yet
    work = kv.alloc(1, 32)
    assert (work["begin_tokens"], work["length_tokens"], work["reaches_end"]) == (0, 32, False), work
    assert work["new_pages"] == 2
    inputs = kv.inputs([1])
    assert inputs["cache_lengths"] == [0]
    table = inputs["groups"][0]["table"][0][0]
    assert len(table) == 2 and len(set(table)) == 2 and 0 not in table  # the null page is 0
    kv.step([1], [0])
    assert kv.alloc(1) == {"begin_tokens": 32, "length_tokens": 8, "hit_tokens": 0, "new_pages": 1, "reaches_end": True}
    assert kv.inputs([1])["groups"][0]["table"][0][0][:2] == table
    kv.step([1], [77])
    # The same beginning again: two full pages are hit, and stand in both tables.
    kv.admit(2, prompt[:32] + [5, 6], max_length=64)
    assert kv.alloc(2)["hit_tokens"] == 32
    kv.alloc(1)
    both = kv.inputs([1, 2])
    assert both["cache_lengths"] == [40, 32]
    assert both["groups"][0]["table"][0][1][:2] == table
    refused("bad_request", kv.step, [1, 1], [3, 3])
    refused("bad_request", kv.step, [1], [-4])
    kv.step([1, 2], [3, 4])
    assert kv.metrics["used_pages"] == 4 and kv.metrics["requests"] == 2
    # Pages run out, and nothing is changed by that.
    long = refused("insufficient_blocks", fill, kv, total)
    assert long.message
    for request in (1, 2):
        kv.release(request)
    refused("bad_request", kv.release, 1)
    while kv.metrics["requests"] > 0:
        kv.release(1000 + kv.metrics["requests"] - 1)
    assert kv.metrics["used_pages"] == 0
    kv.reset_prefix_cache()
    kv.admit(9, prompt, max_length=64)
    assert kv.alloc(9)["hit_tokens"] == 0
    # In the other layout the null page is the last, and rows are wider.
    wide = plimsoll.KvManager(plan)
    wide.admit(1, prompt, max_length=64)
    wide.alloc(1)
    group = wide.inputs([1])["groups"][0]
    assert group["fill"] == total and len(group["table"][0][0]) == 8 + 16
    assert group["table"][0][0][3:] == [total] * 21 and max(group["table"][0][0][:3]) < total
    for options in ({"layout": "wide"}, {"replicas": 0}, {"pages": 3}, {"key_seed": -1}):
        refused("bad_request", plimsoll.KvManager, plan, **options)
    refused("bad_request", wide.admit, 1, prompt)
    refused("bad_request", wide.admit, 2, [])
    refused("bad_request", wide.admit, 2, prompt, max_length=8)
    refused("bad_request", wide.alloc, 77)


def fill(kv, pages):
    for request in range(pages):
        kv.admit(1000 + request, [request % 300] * 200, max_length=256)
        kv.alloc(1000 + request)


def check_text(context):
    seen = []
    model = plimsoll.Generator(context, progress=lambda done, total: seen.append((done, total)), model=MODEL, devices="64MiB")
    assert seen and seen[-1][0] == seen[-1][1] > 0
    assert model.plan["engine"]["name"] == "reference"
    pieces = []
    run = model.generate([{"prompt": PROMPT, "max_new_tokens": 96}], lambda request, text, tokens: pieces.append((text, list(tokens))) and None)
    assert run["schema"] == "plimsoll.run/1" and run["outputs"][0]["text"] == TEXT, run
    assert "".join(text for text, _ in pieces) == TEXT
    assert sum(len(tokens) for _, tokens in pieces) == 96
    for usage in run["usage"]:
        assert usage["planned_bytes"] == usage["peak_bytes"], usage
    stopped = model.generate([{"prompt": PROMPT, "max_new_tokens": 96}], lambda request, text, tokens: True)
    assert stopped["outputs"][0]["status"] == "cancelled" and len(stopped["outputs"][0]["tokens"]) < 96
    try:
        model.generate([{"prompt": PROMPT}], lambda request, text, tokens: 1 / 0)
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("the sink's exception is lost")
    assert "/requests/1/promt" in refused("bad_request", model.generate, [{"prompt": "a"}, {"promt": "b"}]).where
    refused("bad_request", model.generate, [])
    both = model.generate([{"prompt": "a", "max_new_tokens": 2}, {"prompt_ids": [99999]}])
    assert both["outputs"][0]["error"] is None and both["outputs"][1]["error"]["code"] == "bad_request"
    refused("model_too_large", plimsoll.Generator, context, model=MODEL, devices="4MiB")
    refused("bad_request", plimsoll.Generator, context, options={"tokeniser": True}, model=MODEL, devices="64MiB")
    by_ids = plimsoll.Generator(context, options={"tokenizer": False}, model=MODEL, devices="64MiB")
    assert by_ids.generate([{"prompt_ids": [1, 5, 9], "max_new_tokens": 3}])["outputs"][0]["text"] == ""


def picture(height, width, seed):
    """That of tests/data/tiny/vlm.py."""
    return bytes((7 * y + 13 * x + 29 * c + (3 + seed) * x * y + 17 * seed) % 256
                 for y in range(height) for x in range(width) for c in range(3))


def check_images(context):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "tiny", "vlm.json")) as file:
        golden = json.load(file)["cases"][0]
    (image,) = golden["images"]
    sides = image["height"], image["width"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([MAKE_TINY, "qwen2_vl", folder], check=True, stdout=subprocess.DEVNULL)
        model = plimsoll.Generator(context, options={"tokenizer": False}, model=folder, devices="256MiB", max_length=256,
                                   vision_cache_utilization=0.01)
        request = {"prompt_ids": golden["prompt"], "images": ["picture"], "max_new_tokens": len(golden["tokens"]), "ignore_end": True}
        refused("bad_request", model.generate, [request])
        model.add_image("picture", bytearray(picture(*sides, image["seed"])), *sides)
        assert model.generate([request])["outputs"][0]["tokens"] == golden["tokens"]
        model.add_image("picture", memoryview(picture(*sides, image["seed"] + 1)), *sides)  # in its place
        assert model.generate([request])["outputs"][0]["tokens"] != golden["tokens"]
        assert "which has 1152" in refused("bad_request", model.add_image, "picture", b"short", *sides).message
        refused("bad_request", model.add_image, "picture", b"", 0, 24)
        refused("bad_request", model.add_image, "pic\0ture", picture(*sides, 1), *sides)
        refused("bad_request", model.add_image, "picture", b"", -1, 24)
        for name, pixels in ((7, b""), ("picture", 1152.5)):
            try:
                model.add_image(name, pixels, 0, 0)
            except TypeError:
                continue
            raise AssertionError(f"taken: {name!r}, {pixels!r}")
        model.remove_image("picture")
        refused("bad_request", model.generate, [request])
        model.remove_image("picture")


def write_adapter(folder, value):
    """Of one layer's down_proj: A all ones, B all of the value."""
    with open(os.path.join(MODEL, "config.json")) as file:
        config = json.load(file)
    sizes = {"A": [1, config["intermediate_size"]], "B": [config["hidden_size"], 1]}
    header, data = {}, b""
    for name, (rows, columns) in sizes.items():
        begin = len(data)
        data += struct.pack("<f", 1 if name == "A" else value) * (rows * columns)
        header["base_model.model.model.layers.1.mlp.down_proj.lora_%s.weight" % name] = {
            "dtype": "F32", "shape": [rows, columns], "data_offsets": [begin, len(data)]}
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["down_proj"]}, file)
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def check_adapters(context):
    with tempfile.TemporaryDirectory() as none, tempfile.TemporaryDirectory() as much:
        write_adapter(none, 0)
        write_adapter(much, 50)
        options = {"loras": ["none=" + none, "much=" + much]}
        model = plimsoll.Generator(context, options=options, model=MODEL, devices="64MiB", max_loras=2, max_lora_rank=1)
        prompt = {"prompt": PROMPT, "max_new_tokens": 16}
        run = model.generate([prompt, {**prompt, "adapter": "none"}, {**prompt, "adapter": "much"}, {**prompt, "adapter": "?"}])
        base, same, other, unknown = run["outputs"]
        assert base["text"] == same["text"] != other["text"], run["outputs"]
        assert unknown["error"]["code"] == "bad_request"
        for usage in run["usage"]:
            assert usage["planned_bytes"] == usage["peak_bytes"], usage
    refused("bad_request", plimsoll.Generator, context, options={"loras": ["x=" + much]}, model=MODEL, devices="64MiB", max_loras=1)
    refused("bad_request", plimsoll.Generator, context, options={"loras": ["x=y"]}, model=MODEL, devices="64MiB")
    refused("bad_request", plimsoll.Generator, context, options={"loras": "x=y"}, model=MODEL, devices="64MiB", max_loras=1)


def write_encoder(folder, normalised):
    """A BERT of one layer that adds nothing: the vector of a text is its first word's."""
    width, words = 8, 16
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": width, "intermediate_size": width, "num_attention_heads": 2,
              "num_hidden_layers": 1, "max_position_embeddings": 12, "type_vocab_size": 1, "vocab_size": words, "hidden_act": "gelu",
              "layer_norm_eps": 1e-12, "torch_dtype": "float32"}
    layer = "encoder.layer.0."
    shapes = {"embeddings.word_embeddings.weight": [words, width], "embeddings.position_embeddings.weight": [12, width],
              "embeddings.token_type_embeddings.weight": [1, width]}
    for name in ("embeddings.LayerNorm", layer + "attention.output.LayerNorm", layer + "output.LayerNorm"):
        shapes[name + ".weight"] = shapes[name + ".bias"] = [width]
    for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense",
                 "output.dense"):
        shapes[layer + name + ".weight"], shapes[layer + name + ".bias"] = [width, width], [width]
    shapes["pooler.dense.weight"], shapes["pooler.dense.bias"] = [width, width], [width]
    header, data = {}, b""
    for name, shape in shapes.items():
        count, begin = shape[0] * (shape[1] if len(shape) > 1 else 1), len(data)
        values = [0.0] * count
        if name == "embeddings.word_embeddings.weight":
            values = [float((7 * i * i + i) % 23) for i in range(count)]
        elif "LayerNorm.weight" in name:
            values = [1.0] * count
        data += struct.pack("<%df" % count, *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    os.mkdir(os.path.join(folder, "1_Pooling"))
    modules = ["Transformer", "Pooling"] + (["Normalize"] if normalised else [])
    for name, document in (("config.json", config), ("1_Pooling/config.json", {"pooling_mode_cls_token": True}),
                           ("modules.json", [{"type": "sentence_transformers.models." + m, "path": "1_Pooling" if m == "Pooling" else ""}
                                             for m in modules])):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(document, file)


def check_vectors(context):
    for normalised in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            write_encoder(folder, normalised)
            model = plimsoll.Embedder(context, options={"tokenizer": False}, model=folder, devices="64MiB", max_batch_size=2)
            document = model.embed([[3], (5, 3, 9), [3, 1, 2]])
            assert document["schema"] == "plimsoll.embed/1" and document["error"] is None
            assert (document["pooling"], document["normalised"], document["width"]) == ("first", normalised, 8), document
            assert document["passes"] == 2, "two texts a pass"
            one, two, three = document["embeddings"]
            assert [text["tokens"] for text in document["embeddings"]] == [1, 3, 3]
            assert one["vector"] == three["vector"] != two["vector"] and len(one["vector"]) == 8
            assert abs(one["norm"] - (1 if normalised else 8 ** 0.5)) < 1e-5, one
            for usage in document["usage"]:
                assert usage["planned_bytes"] == usage["peak_bytes"], usage
                assert usage["category"] != "kv_cache" or usage["planned_bytes"] == 0
            assert model.plan["engine"]["name"] == "reference"
            assert "13 tokens; 1 to 12" in refused("bad_request", model.embed, [[1] * 13]).message
            refused("bad_request", model.embed, [])
            refused("bad_request", model.embed, ["a text"])  # without a tokenizer
            refused("bad_request", model.embed, [[16]])
            assert "gives vectors of texts and writes none" in refused(
                "bad_request", plimsoll.Generator, context, options={"tokenizer": False}, model=folder, devices="64MiB").message
    assert "gives words and no vectors" in refused("bad_request", plimsoll.Embedder, context, model=MODEL, devices="64MiB").message
    refused("bad_request", plimsoll.Embedder, context, options={"loras": []}, model=MODEL, devices="64MiB")


assert plimsoll.version()
CONTEXT = plimsoll.Context()
refused("bad_request", plimsoll.Context, catalogue="x")
assert CONTEXT.plan(model=MODEL, devices="64MiB")["schema"] == "plimsoll.plan/1"
check_pages(CONTEXT)
check_text(CONTEXT)
check_adapters(CONTEXT)
check_vectors(CONTEXT)
check_images(CONTEXT)
print("ok:", plimsoll.version())
