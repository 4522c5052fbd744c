"""Drives libplimsoll.so from Python alone, as a server without a compiler would.

Run by ctest with the library and a model folder; uses only the standard library. Fails by assertion.
"""
import ctypes
import json
import sys
import threading

OK, BAD_REQUEST = 0, 3
KV_RANK_GROUPS, RANK_PAGE_BYTES, RANK_PAGES, RANK_LABEL = 14, 4, 5, 0
LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


def load(path):
    lib = ctypes.CDLL(path)
    out = ctypes.POINTER(ctypes.c_void_p)
    lib.plimsoll_version.restype = ctypes.c_char_p
    lib.plimsoll_free.argtypes = [ctypes.c_void_p]
    lib.plimsoll_free.restype = None
    lib.plimsoll_context_create.argtypes = [ctypes.c_char_p, LOG, ctypes.c_void_p, out, out]
    lib.plimsoll_plan_json.argtypes = [ctypes.c_void_p, ctypes.c_char_p, out]
    lib.plimsoll_weights_json.argtypes = [ctypes.c_void_p, ctypes.c_char_p, out]
    lib.plimsoll_estimate_json.argtypes = [ctypes.c_char_p, out]
    lib.plimsoll_plan_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, out, out]
    lib.plimsoll_plan_rank_count.argtypes = [ctypes.c_void_p]
    lib.plimsoll_plan_rank_count.restype = ctypes.c_uint32
    lib.plimsoll_plan_rank_bytes.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.POINTER(ctypes.c_int64)]
    number = ctypes.POINTER(ctypes.c_uint64)
    lib.plimsoll_plan_limit.argtypes = [ctypes.c_void_p, ctypes.c_int, number]
    lib.plimsoll_plan_fraction.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_double)]
    lib.plimsoll_plan_kv_rank_group.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int, number]
    lib.plimsoll_plan_kv_rank_group_text.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int, out]
    lib.plimsoll_plan_kv_rank_group_layers.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32,
                                                       ctypes.POINTER(ctypes.c_uint32), ctypes.c_size_t,
                                                       ctypes.POINTER(ctypes.c_size_t)]
    return lib


def text_of(lib, pointer):
    text = ctypes.cast(pointer, ctypes.c_char_p).value.decode()
    lib.plimsoll_free(pointer)
    return json.loads(text)


def call(lib, function, *arguments):
    document = ctypes.c_void_p()
    code = function(*arguments, ctypes.byref(document))
    assert document.value, "a document always comes back"
    return code, text_of(lib, document)


def check_geometry(lib, handle, plan):
    """The KV memory of rank 1, group by group, is what the document says of it."""
    value, fraction = ctypes.c_uint64(), ctypes.c_double()

    def figure(group, which):
        assert lib.plimsoll_plan_kv_rank_group(handle, 1, group, which, ctypes.byref(value)) == OK
        return value.value

    assert lib.plimsoll_plan_limit(handle, KV_RANK_GROUPS, ctypes.byref(value)) == OK
    groups = plan["kv_cache"]["groups"]
    assert value.value == len(groups) == 1
    assert figure(0, RANK_PAGE_BYTES) == groups[0]["page_bytes_per_device"]
    assert figure(0, RANK_PAGES) * figure(0, RANK_PAGE_BYTES) == plan["devices"][1]["kv_cache_bytes"]
    label = ctypes.c_void_p()
    assert lib.plimsoll_plan_kv_rank_group_text(handle, 1, 0, RANK_LABEL, ctypes.byref(label)) == OK
    assert ctypes.cast(label, ctypes.c_char_p).value.decode() == groups[0]["label"]
    lib.plimsoll_free(label)
    count = ctypes.c_size_t()
    layers = (ctypes.c_uint32 * groups[0]["layers"])()
    assert lib.plimsoll_plan_kv_rank_group_layers(handle, 1, 0, layers, len(layers), ctypes.byref(count)) == OK
    assert count.value == len(layers) and list(layers) == list(range(len(layers)))
    assert lib.plimsoll_plan_kv_rank_group(handle, 1, 1, RANK_PAGES, ctypes.byref(value)) == BAD_REQUEST
    assert lib.plimsoll_plan_fraction(handle, 0, ctypes.byref(fraction)) == OK
    assert fraction.value == plan["kv_cache"]["capacity_requests"]


def main():
    lib = load(sys.argv[1])
    model = sys.argv[2]
    assert lib.plimsoll_version()
    lines = []
    log = LOG(lambda user, level, message: lines.append((level, message)))
    context, error = ctypes.c_void_p(), ctypes.c_void_p()
    assert lib.plimsoll_context_create(None, log, None, ctypes.byref(context), ctypes.byref(error)) == OK, text_of(lib, error)

    request = json.dumps({"model": model, "devices": "2x80GiB", "max_length": 8192}).encode()
    code, plan = call(lib, lib.plimsoll_plan_json, context, request)
    assert code == OK and plan["schema"] == "plimsoll.plan/1", plan
    assert plan["verdict"] in ("fits", "tight")
    with open(model + "/config.json", encoding="utf-8") as config:
        same = json.dumps({"config": json.load(config), "devices": "2x80GiB", "max_length": 8192}).encode()
    code, from_config = call(lib, lib.plimsoll_plan_json, context, same)
    assert code == OK and from_config["devices"] == plan["devices"], from_config

    handle = ctypes.c_void_p()
    assert lib.plimsoll_plan_create(context, request, ctypes.byref(handle), None) == OK
    assert lib.plimsoll_plan_rank_count(handle) == 2
    figure = ctypes.c_int64()
    assert lib.plimsoll_plan_rank_bytes(handle, 1, 3, ctypes.byref(figure)) == OK
    assert figure.value == plan["devices"][1]["weights_bytes"]
    assert lib.plimsoll_plan_rank_bytes(handle, 2, 3, ctypes.byref(figure)) == BAD_REQUEST
    check_geometry(lib, handle, plan)
    lib.plimsoll_free(handle)

    code, weights = call(lib, lib.plimsoll_weights_json, context, request)
    assert code == OK and weights["schema"] == "plimsoll.weights/1"

    for wrong in (b"", b"{", b"[]", b"{}", b'{"model": 1e400}', b'{"model": "x", "config": {}}', b'{"model": "m", "tp": -1}',
                  b'{"model": "m", "foo": 1}', b'{"config": {}}', b'\xff\xfe', b'{"model": "/nonexistent"}'):
        code, document = call(lib, lib.plimsoll_plan_json, context, wrong)
        assert code != OK and document["verdict"] == "error" and document["error"]["message"], (wrong, document)
    code, result = call(lib, lib.plimsoll_estimate_json, b"{}")
    assert code == BAD_REQUEST and result["fits"] is False, result
    assert lib.plimsoll_plan_json(context, request, None) == BAD_REQUEST
    assert call(lib, lib.plimsoll_plan_json, None, request)[0] == BAD_REQUEST
    assert call(lib, lib.plimsoll_plan_json, context, None)[0] == BAD_REQUEST
    lib.plimsoll_free(None)

    documents = []

    def plan_often():
        for _ in range(20):
            documents.append(call(lib, lib.plimsoll_plan_json, context, request)[1])

    threads = [threading.Thread(target=plan_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(documents) == 80 and all(document == plan for document in documents)
    lib.plimsoll_free(context)
    print("ok:", lib.plimsoll_version().decode(), len(lines), "log lines")


main()
