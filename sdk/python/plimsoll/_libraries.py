"""The two shared libraries with the types of their functions, each loaded once and when it is first needed."""
from __future__ import annotations

import ctypes
import os
import threading
from typing import Any, Optional

OUT = ctypes.POINTER(ctypes.c_void_p)
PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
SINK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int32), ctypes.c_size_t)


class Work(ctypes.Structure):
    """plimsoll_kv_work."""

    _fields_ = [("begin_tokens", ctypes.c_uint64), ("length_tokens", ctypes.c_uint64), ("hit_tokens", ctypes.c_uint64),
                ("new_pages", ctypes.c_uint64), ("reaches_end", ctypes.c_int)]


class GroupInputs(ctypes.Structure):
    """plimsoll_kv_group_inputs."""

    _fields_ = [("table", ctypes.POINTER(ctypes.c_uint32)), ("lanes", ctypes.c_uint32), ("columns", ctypes.c_uint32),
                ("fill", ctypes.c_uint32), ("state_rows", ctypes.POINTER(ctypes.c_uint32)), ("rows", ctypes.c_uint32)]


def _find(name: str) -> str:
    """Where PLIMSOLL_LIBRARY_PATH says, where an installation has it beside this package, or the loader's own name for it."""
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in (os.environ.get("PLIMSOLL_LIBRARY_PATH"), *(os.path.join(here, to) for to in ("../../..", "../../lib", "../../../lib"))):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return name


def _load_host() -> Any:
    lib = ctypes.CDLL(_find("libplimsoll.so.1"))
    text, pointer, number = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int
    lib.plimsoll_version.restype = text
    lib.plimsoll_free.argtypes, lib.plimsoll_free.restype = [pointer], None
    lib.plimsoll_context_create.argtypes = [text, pointer, pointer, OUT, OUT]
    for name in ("plan", "weights", "compare", "fit"):
        getattr(lib, f"plimsoll_{name}_json").argtypes = [pointer, text, OUT]
    lib.plimsoll_estimate_json.argtypes = [text, OUT]
    lib.plimsoll_plan_create.argtypes = [pointer, text, OUT, OUT]
    lib.plimsoll_plan_document.argtypes = [pointer, number, OUT]
    return lib


def _load_runtime() -> Any:
    host()  # what it stands on
    lib = ctypes.CDLL(_find("libplimsoll_runtime.so.1"))
    text, pointer, request, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t
    ids, tokens = ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_int32)
    lib.plimsoll_kv_create.argtypes = [pointer, text, OUT, OUT]
    lib.plimsoll_kv_admit.argtypes = [pointer, request, tokens, size, text, OUT]
    lib.plimsoll_kv_alloc.argtypes = [pointer, request, ctypes.c_uint64, ctypes.POINTER(Work), OUT]
    lib.plimsoll_kv_inputs.argtypes = [pointer, ids, size, ctypes.c_uint32, OUT]
    lib.plimsoll_kv_table.argtypes = [pointer, ctypes.c_uint32, ctypes.POINTER(GroupInputs)]
    lib.plimsoll_kv_cache_lengths.argtypes, lib.plimsoll_kv_cache_lengths.restype = [pointer], ctypes.POINTER(ctypes.c_uint32)
    lib.plimsoll_kv_step.argtypes = [pointer, ids, tokens, size, OUT]
    lib.plimsoll_kv_release.argtypes = [pointer, request, OUT]
    lib.plimsoll_kv_reset_prefix_cache.argtypes, lib.plimsoll_kv_reset_prefix_cache.restype = [pointer], None
    lib.plimsoll_kv_metric.argtypes = [pointer, ctypes.c_int, ids]
    lib.plimsoll_generator_create.argtypes = [pointer, text, text, PROGRESS, pointer, OUT, OUT]
    lib.plimsoll_generate_json.argtypes = [pointer, text, SINK, pointer, OUT]
    lib.plimsoll_generator_image.argtypes = [pointer, text, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_char_p, OUT]
    lib.plimsoll_generator_plan.argtypes = [pointer, OUT]
    lib.plimsoll_embedder_create.argtypes = [pointer, text, text, PROGRESS, pointer, OUT, OUT]
    lib.plimsoll_embed_json.argtypes = [pointer, text, OUT]
    lib.plimsoll_embedder_plan.argtypes = [pointer, OUT]
    return lib


_lock = threading.RLock()
_host: Optional[Any] = None
_runtime: Optional[Any] = None


def host() -> Any:
    """libplimsoll: plans. OSError where it is not found."""
    global _host
    with _lock:
        if _host is None:
            _host = _load_host()
        return _host


def runtime() -> Any:
    """libplimsoll_runtime: pages and text. OSError where it is not installed."""
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = _load_runtime()
        return _runtime
