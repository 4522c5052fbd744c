"""Plans, weights, estimates, comparisons and fits from Python, and what is refused. Fails by assertion.

Run by ctest with the package's folder, the folder of the libraries, and a model folder.
"""
import copy
import dataclasses
import json
import os
import pathlib
import pickle
import sys
import threading

os.environ["PLIMSOLL_LIBRARY_PATH"] = sys.argv[2]
os.environ["HF_HUB_CACHE"] = "/nonexistent"
sys.path.insert(0, sys.argv[1])
import plimsoll  # noqa: E402

MODEL = pathlib.Path(sys.argv[3])


def raises(kind, call, *arguments, text="", **options):
    """The exception; of exactly that class, with that in what it says."""
    try:
        call(*arguments, **options)
    except Exception as error:
        assert type(error) is kind, (type(error), error, arguments, options)
        assert text in str(error), (text, str(error))
        return error
    raise AssertionError(f"not refused: {arguments} {options}")


def check_plan():
    plan = plimsoll.plan("Qwen/Qwen3-8B", devices="2xH100", engine="vllm")
    assert plan.fits and plan.verdict == "fits" and plan.error is None
    assert plan.engine.name == "vllm" and plan.request.tp == 2 and plan.model.family == "dense"
    document = plan.document
    assert plan.devices[0].kv_cache_bytes == document["devices"][0]["kv_cache_bytes"] > 0
    assert plan["limits"] == document["limits"] and json.loads(plan.to_json()) == document
    for device, node in zip(plan.devices, document["devices"], strict=True):
        assert device.extra == {} and {key: getattr(device, key) for key in node} == node
        parts = (device.weights_bytes + device.activation_bytes + device.signal_buffer_bytes + device.workspace_bytes + device.vision_cache_bytes +
                 device.overhead_bytes + device.kv_cache_bytes)
        assert parts + device.unused_bytes == device.budget_bytes
    assert plan.totals.weights_bytes == sum(device.weights_bytes for device in plan.devices)
    assert plan.kv_cache.groups[0].window_tokens is None and isinstance(plan.kv_cache.capacity_requests, float)
    assert sum(item.bytes for item in plan.items if item.rank == 1 and item.category == "weights") == plan.devices[1].weights_bytes
    # Nothing of any document is left over, so every key has its field.
    rich = [plan, plimsoll.plan("google/gemma-3-12b-it", devices=["80GiB", "80GiB"], explain=True, frontier=True),
            plimsoll.plan("deepseek-ai/DeepSeek-V3", devices="2x8xH200", pp=2, engine="sglang"),
            plimsoll.plan("Qwen/Qwen3-32B", devices="1x4GiB", max_length=4096),
            plimsoll.plan(MODEL, devices="80GiB", engine="reference", max_loras=2),
            plimsoll.plan("Qwen/Qwen3-8B", devices="8GiB", max_length=4096, max_batch_size=1, quantize=["fp8", "q4_k_m"])]
    for one in rich:
        no_extra(one)
        assert copy.deepcopy(one) == one == pickle.loads(pickle.dumps(one)) == plimsoll.Plan.of_document(one.document)
    assert rich[1].frontier[0].points and rich[1].items[0].formula and rich[1].vision_cache.modalities
    assert rich[2].request.nodes == 2 and rich[4].request.max_loras == 2
    assert [row.verdict for row in rich[5].quantizations][0] == "does_not_fit" and rich[5].fits and rich[5].request.quantize == "q4_k_m"
    small = rich[3]
    assert small.verdict == "does_not_fit" and not small.fits and small.error.code == "model_too_large" and small.advice
    for advice in small.advice:  # each is a request that fits, as options and as a line for a shell
        assert advice.command.startswith("plimsoll plan Qwen/Qwen3-32B --devices ") and advice.option.startswith("--")
        assert plimsoll.plan("Qwen/Qwen3-32B", **{"devices": "24GiB", **advice.options}).fits
    assert small.devices[0].unused_bytes < 0
    # Values stay as they are, and the context may go.
    raises(dataclasses.FrozenInstanceError, setattr, plan, "verdict", "tight")
    raises(dataclasses.FrozenInstanceError, setattr, plan.devices[0], "rank", 7)
    context = plimsoll.Context()
    same = plimsoll.Plan(context, model="Qwen/Qwen3-8B", devices="2xH100", engine="vllm")
    del context
    assert same == plan and same == plimsoll.Context().plan(model="Qwen/Qwen3-8B", devices=("H100", "H100"), engine="vllm")
    config = json.loads((MODEL / "config.json").read_text())
    assert plimsoll.plan(config, devices="80GiB").devices == plimsoll.plan(str(MODEL), devices="80GiB").devices


def no_extra(value, where="plan"):
    if dataclasses.is_dataclass(value):
        assert not value.extra, (where, value.extra)
        for field in dataclasses.fields(value):
            if field.name not in ("extra", "document", "_handle"):
                no_extra(getattr(value, field.name), f"{where}.{field.name}")
    elif isinstance(value, tuple):
        for i, part in enumerate(value):
            no_extra(part, f"{where}[{i}]")


def check_reports():
    weights = plimsoll.weights(MODEL, devices="2x80GiB")
    no_extra(weights)
    assert weights["schema"] == "plimsoll.weights/1" and len(weights.ranks) == 2
    assert sum(kind.parameters for kind in weights.classes) == weights.parameters and weights.stored_bytes is None
    estimate = plimsoll.estimate(devices=[{"free_bytes": 80 << 30}], sizes={"weights_bytes": 16 << 30}, max_length=8192, kv_cache={
        "caches": [{"kind": "mha", "dtype": "bfloat16", "layers": 32, "kv_heads": 8, "head_dim": 128}]})
    no_extra(estimate)
    assert estimate.fits and estimate.max_length == 8192 and estimate.devices[0].free_bytes == 80 << 30
    small = plimsoll.estimate({**json.loads('{"devices": [{"free_bytes": 1000}], "sizes": {"weights_bytes": 2000}, "max_length": 1}'), "kv_cache": {
        "caches": [{"kind": "mha", "dtype": "bfloat16", "layers": 1, "kv_heads": 1, "head_dim": 8}]}})
    assert not small.fits and small.error.code == "model_too_large"
    one = plimsoll.compare("Available KV cache memory: 1.00 GiB\n")
    no_extra(one)
    assert one.verdict == "error" and one.starts[0].engine == "vllm" and one.starts[0].error.where == "log 1"
    many = plimsoll.compare(["Available KV cache memory: 1.00 GiB\n"], records='{"id": "r", "engine": "sglang", "not_compared": "why"}')
    no_extra(many)
    assert [start.verdict for start in many.starts] == ["error", "nothing_judged"] and many.summary["nothing_judged"] == 1
    fit = plimsoll.fit("Qwen/Qwen3-32B", on=["T4", "H100"], max_length=8192, max_batch_size=4)
    no_extra(fit)
    row = fit.rows[0]
    assert row.price is None and row.plan_command.startswith("plimsoll plan Qwen/Qwen3-32B ") and row.layout.dp == 1
    again = plimsoll.plan("Qwen/Qwen3-32B", devices=row.devices, max_length=8192, max_batch_size=4, tp=row.layout.tp, pp=row.layout.pp)
    assert again.fits and again.kv_cache.capacity_requests == row.capacity_requests
    assert not plimsoll.fit("deepseek-ai/DeepSeek-V3", on="T4").rows
    fit = plimsoll.fit("Qwen/Qwen3-32B", on=["L40S", "H100"], demand="8x8K,1x32K", prices={"H100": 2.5, "L40S": 0.9}, tp=2, all=True)
    no_extra(fit)
    assert len(fit.rows) > 1 and all(row.layout.tp == 2 and row.max_length == 32768 for row in fit.rows)
    assert fit.rows[0].price == 5.0 and fit.rows[0].total_requests >= 1 and fit.plans > len(fit.rows)
    found = plimsoll.plan("meta-llama/Llama-3.1-70B", devices="2xH100,2xA100-40GB", engine="vllm", max_length=8192, layout="auto")
    assert found.fits and found.document["request"]["stage_layers"] == [54, 26]


def check_refused():
    plan = plimsoll.plan
    # Of Python's own types: a TypeError that names the argument.
    for call, arguments, options, text in (
            (plan, (42, ), {}, "model takes"), (plan, (b"x", ), {}, "model takes"), (plan, ({1: 2}, ), {}, "keys of config"),
            (plan, ("x", ), {"devices": 8}, "devices takes"), (plan, ("x", ), {"devices": b"H100"}, "devices takes"),
            (plan, ("x", ), {"devices": [8]}, "devices takes"), (plan, ("x", ), {"tp": 1j}, "tp takes"),
            (plan, ("x", ), {"kv_dtype": object()}, "kv_dtype takes"), (plan, ("x", ), {"set": {"a": b""}}, "set takes"),
            (plan, ("x", ), {"set": {1: "a"}}, "keys of set"), (plimsoll.weights, (3.5, ), {}, "model takes"),
            (plimsoll.fit, ("x", ), {"on": 3}, "on takes"), (plimsoll.fit, ("x", ), {"on": [3]}, "on takes"),
            (plimsoll.compare, (3, ), {}, "logs takes"), (plimsoll.compare, ([3], ), {}, "logs takes"),
            (plimsoll.compare, (b"log", ), {}, "logs takes"), (plimsoll.estimate, ([], ), {}, "takes a mapping"),
            (plimsoll.estimate, (), {"devices": {1, 2}}, "devices takes"), (plimsoll.Context, (), {"trust": b"open"}, "trust takes"),
            (plimsoll.KvManager, ("x", ), {}, "plan takes"), (plimsoll.Generator, (None, ), {}, "context takes")):
        raises(TypeError, call, *arguments, text=text, **options)
    # Of the library's: an error of the caller's, which is a ValueError too, and says where.
    loop = []
    loop.append(loop)
    for options, where in (({"tp": -1}, "/tp"), ({"tp": True}, "/tp"), ({"tp": "8"}, "/tp"), ({"tp": 2**70}, "/tp"), ({"tp": 1.5}, "/tp"),
                           ({"device_memory_utilization": float("nan")}, "/device_memory_utilization"),
                           ({"device_memory_utilization": float("inf")}, "/device_memory_utilization"),
                           ({"max_length": float("-inf")}, "/max_length"), ({"lora_targets": loop}, "/lora_targets"),
                           ({"no_such_option": 1}, "/no_such_option"), ({"config": {}}, None), ({"kv_dtype": "a\0b"}, None),
                           ({"kv_dtype": "\ud800"}, None), ({"devices": ""}, None), ({"devices": []}, None), ({"engine": 7}, "/engine")):
        error = raises(plimsoll.BadRequest, plan, "Qwen/Qwen3-0.6B", **{"devices": "80GiB", **options})
        assert isinstance(error, ValueError) and error.code == "bad_request" and error.message, options
        assert where is None or error.where == where, (options, error.where)
    raises(plimsoll.BadRequest, plan)
    raises(plimsoll.BadRequest, plan, "no/such-model", devices="80GiB")
    raises(plimsoll.BadConfig, plan, {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, devices="80GiB")
    raises(plimsoll.UnsupportedArchitecture, plan, {"model_type": "nobody", "architectures": ["NobodyForCausalLM"]}, devices="80GiB")
    raises(plimsoll.BadRequest, plimsoll.Context, catalogue_path="/nonexistent")
    raises(plimsoll.BadRequest, plimsoll.Context, catalogue="x", text="unknown key")
    raises(plimsoll.BadRequest, plimsoll.estimate)
    raises(plimsoll.BadRequest, plimsoll.estimate, {"device": []}, text="device")
    raises(plimsoll.BadRequest, plimsoll.compare)
    raises(plimsoll.BadRequest, plimsoll.compare, "no engine's")
    raises(plimsoll.BadRequest, plimsoll.fit, "Qwen/Qwen3-0.6B", devices="H100", text="fit finds devices itself")
    raises(plimsoll.BadRequest, plimsoll.fit, "Qwen/Qwen3-0.6B", demand="8y", text="64x8K")
    raises(plimsoll.BadRequest, plimsoll.fit, "Qwen/Qwen3-0.6B", on="H100", prices={"H100": "2"}, text="a number")
    raises(FileNotFoundError, plimsoll.compare, pathlib.Path("/nonexistent"))
    error = raises(plimsoll.BadRequest, plan, "Qwen/Qwen3-0.6B", devices="80GiB", tp=7)
    assert pickle.loads(pickle.dumps(error)).where == error.where
    # A document that is not as it should be is not guessed at.
    document = plimsoll.plan(MODEL, devices="80GiB").document
    newer = {**document, "novel": 1, "limits": {**document["limits"], "most": 2}}
    read = plimsoll.Plan.of_document(newer)
    assert read.extra == {"novel": 1} and read.limits.extra == {"most": 2} and read.document is newer
    for edit, where in (({"limits": {}}, "/limits/max_length"), ({"limits": None}, "/limits"), ({"devices": [{}]}, "/devices/0/rank"),
                        ({"verdict": 1}, "/verdict"), ({"items": {}}, "/items")):
        assert raises(plimsoll.UnexpectedDocument, plimsoll.Plan.of_document, {**document, **edit}).where == where
    raises(plimsoll.UnexpectedDocument, plimsoll.Plan.of_document, {key: part for key, part in document.items() if key != "devices"}, text="/devices")
    raises(plimsoll.BadRequest, plimsoll.KvManager, read, text="figures alone")


def check_threads():
    requests = [{"model": "Qwen/Qwen3-8B", "devices": "2xH100"}, {"model": "Qwen/Qwen3-32B", "devices": "1x4GiB"}]
    expected = [plimsoll.plan(**request) for request in requests]
    got = []

    def ask():
        for i in range(10):
            got.append(plimsoll.plan(**requests[i % 2]) == expected[i % 2] and plimsoll.weights(**requests[0]).parameters > 0)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 160 and all(got)
    assert plimsoll.default_context() is plimsoll.default_context()


check_plan()
check_reports()
check_refused()
check_threads()
print("ok:", plimsoll.version())
