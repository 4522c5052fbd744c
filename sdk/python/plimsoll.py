"""Plimsoll from Python: plans, pages and text through the C interfaces of plimsoll/host.h and plimsoll/runtime.h.

    import plimsoll
    context = plimsoll.Context()
    print(context.plan(model="Qwen/Qwen3-8B", devices="1xH100")["limits"])
    model = plimsoll.Generator(context, model="./model", devices="64MiB")
    print(model.generate([{"prompt": "And the LORD said unto "}])["outputs"][0]["text"])

Only the standard library is needed. The libraries are looked for in the folder that PLIMSOLL_LIBRARY_PATH names, in ../.. of this file's
folder, which is lib of an installation, in ../lib and ../../lib, and where the system keeps its own. libplimsoll_runtime.so is loaded when
the first object needs it.
Threads: a Context and a Plan may be used by any number of them at once, a KvManager and a Generator by one at a time.
"""
import ctypes
import json
import os

_OUT = ctypes.POINTER(ctypes.c_void_p)
_FITS = ("fits", "tight", "does_not_fit")
_PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
_SINK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int32), ctypes.c_size_t)


class Error(Exception):
    """What the library refused: `code` as in documents ("bad_request"), `message`, `where`."""

    def __init__(self, code, message, where):
        super().__init__(f"{where}: {message}" if where else message)
        self.code, self.message, self.where = code, message, where


class _Work(ctypes.Structure):
    _fields_ = [("begin_tokens", ctypes.c_uint64), ("length_tokens", ctypes.c_uint64), ("hit_tokens", ctypes.c_uint64),
                ("new_pages", ctypes.c_uint64), ("reaches_end", ctypes.c_int)]


class _GroupInputs(ctypes.Structure):
    _fields_ = [("table", ctypes.POINTER(ctypes.c_uint32)), ("lanes", ctypes.c_uint32), ("columns", ctypes.c_uint32),
                ("fill", ctypes.c_uint32), ("state_rows", ctypes.POINTER(ctypes.c_uint32)), ("rows", ctypes.c_uint32)]


def _find(name):
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in (os.environ.get("PLIMSOLL_LIBRARY_PATH"), *(os.path.join(here, to) for to in ("../..", "../lib", "../../lib"))):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return name


class _Libraries:
    """Both libraries with the types of their functions, each loaded once."""

    def __init__(self):
        self._host = self._runtime = None

    @property
    def host(self):
        if self._host is None:
            lib = ctypes.CDLL(_find("libplimsoll.so.1"))
            lib.plimsoll_version.restype = ctypes.c_char_p
            lib.plimsoll_free.argtypes, lib.plimsoll_free.restype = [ctypes.c_void_p], None
            lib.plimsoll_context_create.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, _OUT, _OUT]
            for name in ("plan", "weights", "compare"):
                getattr(lib, f"plimsoll_{name}_json").argtypes = [ctypes.c_void_p, ctypes.c_char_p, _OUT]
            lib.plimsoll_plan_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _OUT, _OUT]
            lib.plimsoll_plan_verdict.argtypes = [ctypes.c_void_p]
            lib.plimsoll_plan_document.argtypes = [ctypes.c_void_p, ctypes.c_int, _OUT]
            self._host = lib
        return self._host

    @property
    def runtime(self):
        if self._runtime is None:
            self.host  # what it stands on
            lib = ctypes.CDLL(_find("libplimsoll_runtime.so.1"))
            kv, ids, tokens = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_int32)
            lib.plimsoll_kv_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _OUT, _OUT]
            lib.plimsoll_kv_admit.argtypes = [kv, ctypes.c_uint64, tokens, ctypes.c_size_t, ctypes.c_char_p, _OUT]
            lib.plimsoll_kv_alloc.argtypes = [kv, ctypes.c_uint64, ctypes.c_uint64, ctypes.POINTER(_Work), _OUT]
            lib.plimsoll_kv_inputs.argtypes = [kv, ids, ctypes.c_size_t, ctypes.c_uint32, _OUT]
            lib.plimsoll_kv_table.argtypes = [kv, ctypes.c_uint32, ctypes.POINTER(_GroupInputs)]
            lib.plimsoll_kv_cache_lengths.argtypes = [kv]
            lib.plimsoll_kv_cache_lengths.restype = ctypes.POINTER(ctypes.c_uint32)
            lib.plimsoll_kv_step.argtypes = [kv, ids, tokens, ctypes.c_size_t, _OUT]
            lib.plimsoll_kv_release.argtypes = [kv, ctypes.c_uint64, _OUT]
            lib.plimsoll_kv_reset_prefix_cache.argtypes, lib.plimsoll_kv_reset_prefix_cache.restype = [kv], None
            lib.plimsoll_kv_metric.argtypes = [kv, ctypes.c_int, ids]
            lib.plimsoll_generator_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, _PROGRESS, ctypes.c_void_p, _OUT,
                                                      _OUT]
            lib.plimsoll_generate_json.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _SINK, ctypes.c_void_p, _OUT]
            lib.plimsoll_generator_plan.argtypes = [ctypes.c_void_p, _OUT]
            self._runtime = lib
        return self._runtime


_libraries = _Libraries()


def _text(pointer):
    """Takes over a text that the library handed out."""
    if not pointer:
        return None
    text = ctypes.cast(pointer, ctypes.c_char_p).value.decode()
    _libraries.host.plimsoll_free(pointer)
    return text


def _raise(error):
    raise Error(error["code"], error["message"], error["where"])


def _call(function, *arguments):
    """Calls what has an error for its last argument."""
    error = ctypes.c_void_p()
    if function(*arguments, ctypes.byref(error)) != 0:
        _raise(json.loads(_text(error) or '{"code": "internal", "message": "no memory for the error", "where": ""}'))


def _document(function, *arguments):
    """Calls what hands out a document, and raises the error that stands in it."""
    out = ctypes.c_void_p()
    code = function(*arguments, ctypes.byref(out))
    text = _text(out)
    document = json.loads(text) if text else {"error": {"code": "internal", "message": "no memory for the answer", "where": ""}}
    if code != 0:
        _raise(document["error"])
    return document


def _options(given):
    return json.dumps(given).encode() if given else None


def _array(kind, values):
    return (kind * len(values))(*values)


def version():
    return _libraries.host.plimsoll_version().decode()


class _Object:
    """Something that the library handed out, given back with this."""

    _handle = None

    def __del__(self):
        if self._handle:
            _libraries.host.plimsoll_free(self._handle)
            self._handle = None


class Context(_Object):
    """Plugins and catalogues. Options: plugin_paths, prefer, catalogue_path, trust."""

    def __init__(self, **options):
        self._handle = ctypes.c_void_p()
        _call(_libraries.host.plimsoll_context_create, _options(options), None, None, ctypes.byref(self._handle))

    def plan(self, **request):
        """The document plimsoll.plan/1. A plan that does not fit is a plan, and "verdict" says so."""
        return _document(_libraries.host.plimsoll_plan_json, self._handle, json.dumps(request).encode())

    def weights(self, **request):
        """The document plimsoll.weights/1."""
        return _document(_libraries.host.plimsoll_weights_json, self._handle, json.dumps(request).encode())

    def compare(self, **request):
        """The document plimsoll.compare/1."""
        return _document(_libraries.host.plimsoll_compare_json, self._handle, json.dumps(request).encode())


class Plan(_Object):
    """A finished plan: what a KvManager is made from."""

    def __init__(self, context, **request):
        self._handle = ctypes.c_void_p()
        _call(_libraries.host.plimsoll_plan_create, context._handle, json.dumps(request).encode(), ctypes.byref(self._handle))

    @property
    def verdict(self):
        return _FITS[_libraries.host.plimsoll_plan_verdict(self._handle)]

    @property
    def document(self):
        return _document(_libraries.host.plimsoll_plan_document, self._handle, -1)


class KvManager(_Object):
    """Which token stands in which page. Options: replicas, prefix_caching, slack_tokens, layout ("max" or "exact"), key_seed.

    admit() once, then for every step alloc(), inputs(), the forward pass, step(); release() once. A call that raises changed nothing.
    """

    METRICS = ("total_pages", "used_pages", "free_pages", "cached_pages", "hit_tokens", "queried_tokens", "evictions", "requests",
               "prefix_caching")

    def __init__(self, plan, **options):
        self._handle, self._lib = ctypes.c_void_p(), _libraries.runtime
        _call(self._lib.plimsoll_kv_create, plan._handle, _options(options), ctypes.byref(self._handle))

    def admit(self, request, prompt, **options):
        """Options: replica, max_length, cache_salt, adapter, skip_prefix_read."""
        _call(self._lib.plimsoll_kv_admit, self._handle, request, _array(ctypes.c_int32, prompt), len(prompt), _options(options))

    def alloc(self, request, most_tokens=0):
        """Pages for the next tokens; {"begin_tokens", "length_tokens", "hit_tokens", "new_pages", "reaches_end"}.

        Error("insufficient_blocks") where pages run out.
        """
        work = _Work()
        _call(self._lib.plimsoll_kv_alloc, self._handle, request, most_tokens, ctypes.byref(work))
        out = {name: getattr(work, name) for name, _ in _Work._fields_}
        out["reaches_end"] = bool(out["reaches_end"])
        return out

    def inputs(self, requests, replica=0):
        """{"cache_lengths": [...], "groups": [{"table": [lane][request][column], "fill", "state_rows": [request][row]}, ...]}"""
        n = len(requests)
        _call(self._lib.plimsoll_kv_inputs, self._handle, _array(ctypes.c_uint64, requests), n, replica)
        groups, of = [], _GroupInputs()
        while self._lib.plimsoll_kv_table(self._handle, len(groups), ctypes.byref(of)) == 0:
            table = None
            if of.table:
                rows = [of.table[i * of.columns:(i + 1) * of.columns] for i in range(of.lanes * n)]
                table = [rows[lane * n:(lane + 1) * n] for lane in range(of.lanes)]
            states = [of.state_rows[i * of.rows:(i + 1) * of.rows] for i in range(n)] if of.state_rows else None
            groups.append({"table": table, "fill": of.fill, "state_rows": states})
        return {"cache_lengths": self._lib.plimsoll_kv_cache_lengths(self._handle)[:n], "groups": groups}

    def step(self, requests, tokens):
        """After the forward pass: those whose work reached the end go on with their token; of others it is ignored."""
        if len(requests) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens for {len(requests)} requests")
        _call(self._lib.plimsoll_kv_step, self._handle, _array(ctypes.c_uint64, requests), _array(ctypes.c_int32, tokens), len(requests))

    def release(self, request):
        _call(self._lib.plimsoll_kv_release, self._handle, request)

    def reset_prefix_cache(self):
        self._lib.plimsoll_kv_reset_prefix_cache(self._handle)

    @property
    def metrics(self):
        value, out = ctypes.c_uint64(), {}
        for number, name in enumerate(self.METRICS):
            if self._lib.plimsoll_kv_metric(self._handle, number, ctypes.byref(value)) != 0:
                raise Error("internal", "no such figure", name)
            out[name] = value.value
        return out


class Generator(_Object):
    """A model in memory, inside its plan. `options`: tokenizer, prefix_caching, key_seed, loras; `progress(done_bytes, total_bytes)`.

    The request is that of Context.plan; "engine" is "reference" where it is not given.
    """

    def __init__(self, context, options=None, progress=None, **request):
        self._handle, self._lib = ctypes.c_void_p(), _libraries.runtime
        told = _PROGRESS((lambda _, done, total: progress(done, total)) if progress else 0)
        _call(self._lib.plimsoll_generator_create, context._handle, json.dumps(request).encode(), _options(options), told, None,
              ctypes.byref(self._handle))

    def generate(self, requests, sink=None):
        """The document plimsoll.run/1. `sink(request, text, tokens)` is told of every step; True from it cancels what is left.

        An exception of the sink cancels too, and is raised.
        """
        problems = []

        def told(_, request, text, tokens, n):
            try:
                return 1 if sink(request, text.decode("utf-8", "replace"), tokens[:n]) else 0
            except BaseException as problem:  # it must not cross the library
                problems.append(problem)
                return 1

        document = _document(self._lib.plimsoll_generate_json, self._handle, json.dumps({"requests": list(requests)}).encode(),
                             _SINK(told if sink else 0), None)
        if problems:
            raise problems[0]
        return document

    @property
    def plan(self):
        return _document(self._lib.plimsoll_generator_plan, self._handle)
