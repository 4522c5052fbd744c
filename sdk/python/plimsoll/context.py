"""Contexts, and the functions of the module on one that is made when it is first needed."""
from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Iterable, Mapping, Optional, TypeVar, Union

from . import _calls, _libraries
from .documents import values_of
from .errors import raise_document
from .plans import Plan
from .reports import Comparison, Estimate, Fit, Report, Weights

# "2xH100", "80GiB,24GiB", "auto", a YAML file; or a list of such.
Devices = Union[str, "os.PathLike[str]", Iterable[str], None]
# What an engine printed, as text; a path is read.
Log = Union[str, "os.PathLike[str]"]
R = TypeVar("R", bound=Report)


def _report(kind: type[R], document: Mapping[str, Any]) -> R:
    return kind(**values_of(kind, document), document=document)


def _texts(name: str, value: Iterable[str]) -> list[str]:
    """A list of texts, be it a tuple, a generator or one text."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise TypeError(f"{name} takes a text or a list of them, not {type(value).__name__}")
    out = list(value)
    for part in out:
        if not isinstance(part, str):
            raise TypeError(f"{name} takes texts, not {type(part).__name__}")
    return out


def _devices(value: Devices) -> _calls.Option:
    return value if value is None or isinstance(value, (str, os.PathLike)) else _texts("devices", value)


def _log(value: Log) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return Path(value).read_text(encoding="utf-8", errors="replace")
    raise TypeError(f"logs takes texts and paths, not {type(value).__name__}")


class Context:
    """Plugins and catalogues, for any number of threads at once.

    Options, all by name: plugin_paths, a list of folders that are searched first; prefer, ids of plugins that may replace built-in ones;
    catalogue_path; trust, "checked" or "open"; online=True, which fetches the headers of models that are URLs; and what else plimsoll/host.h
    says of plimsoll_context_create.
    """

    def __init__(self, **options: _calls.Option) -> None:
        self._handle = _calls.create(_libraries.host().plimsoll_context_create, _calls.options(options), None, None)

    def plan(self, model: Optional[_calls.ModelLike] = None, *, devices: Devices = None, engine: Optional[str] = None,
             **options: _calls.Option) -> Plan:
        """What each device holds, what is left, how long requests and how many.

        `model`: a name of the catalogue, a directory, a config.json, a .gguf file, or a mapping that is the configuration. `options`: every
        option of `plimsoll plan`, with underscores: tp=8, max_length="auto", kv_dtype="float8_e4m3fn", set={"engine.prefix_caching": False},
        explain=True. A plan that does not fit is a plan, whose `verdict` says so; an Error is what could not be planned.
        """
        return Plan(self, model, devices=_devices(devices), engine=engine, **options)

    def weights(self, model: Optional[_calls.ModelLike] = None, *, devices: Devices = None, engine: Optional[str] = None,
                **options: _calls.Option) -> Weights:
        """The weights of the model, declared against stored, and the bytes of each rank; arguments as of plan()."""
        request = _calls.request(model, {"devices": _devices(devices), "engine": engine, **options})
        return _report(Weights, _calls.document(_libraries.host().plimsoll_weights_json, self._handle.pointer, request))

    def compare(self, logs: Union[Log, Iterable[Log]] = (), *, records: Optional[Log] = None, tolerance: Optional[float] = None,
                model: Optional[str] = None, **options: _calls.Option) -> Comparison:
        """What a plan predicts beside what engines printed at their start.

        `logs`: each a whole log as text, or a path to one. `records`: starts as JSON objects, one a line. `model` and `options`, which are
        those of plan(), win over what was printed; `tolerance`, 0 to 1, is taken instead of the usual ones.
        """
        given = [logs] if isinstance(logs, (str, os.PathLike)) else logs
        if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
            raise TypeError(f"logs takes texts and paths, not {type(given).__name__}")
        read = None if records is None else _log(records)
        arguments: dict[str, object] = {"logs": [_log(log) for log in given], "records": read, "tolerance": tolerance, "model": model, **options}
        document = _calls.document(_libraries.host().plimsoll_compare_json, self._handle.pointer, _calls.encode(arguments))
        if "starts" in document:
            return _report(Comparison, document)
        one = {"schema": document["schema"], "starts": [document], "verdict": document["verdict"]}
        return Comparison(**values_of(Comparison, one), document=document)

    def fit(self, model: Optional[_calls.ModelLike] = None, *, on: Optional[Iterable[str]] = None, max_devices: Optional[int] = None,
            demand: Optional[str] = None, prices: Optional[Mapping[str, float]] = None, all: bool = False, **options: _calls.Option) -> Fit:
        """Which cards and layouts serve the model, the fewest devices first.

        `on`: names of cards, or sizes as "80GiB"; the whole catalogue where none is given. `max_devices`: of one kind, 8 where nothing is
        said. `demand`: requests that must be held at once, as "64x8K,4x128K"; of one kind of them max_length and max_batch_size say the
        same. `prices`: of one card for an hour, by card. `all`: every number of devices in every layout that serves. `options` are those of
        plan() but devices and layout; degrees that are given are kept.
        """
        cards = None if on is None else _texts("on", on)
        request = _calls.request(model, {"on": cards, "max_devices": max_devices, "for": demand, "prices": prices, "all": all or None, **options})
        return _report(Fit, _calls.document(_libraries.host().plimsoll_fit_json, self._handle.pointer, request))


def estimate(request: Optional[Mapping[str, Any]] = None, /, **keys: _calls.Option) -> Estimate:
    """The estimator without a model, from sizes that are known.

    The keys of its request by name, or all of them as a mapping: devices=[{"free_bytes": N}], sizes={...}, kv_cache={...}, max_length=N; they
    stand in `plimsoll estimate --help`. What does not fit is an estimate, whose `fits` says so.
    """
    if request is not None and not isinstance(request, Mapping):
        raise TypeError(f"an estimate takes a mapping, not {type(request).__name__}")
    asked = _calls.encode({**(request or {}), **keys})
    code, document = _calls.answer(_libraries.host().plimsoll_estimate_json, asked)
    out = _report(Estimate, document)
    if code != 0 and out.error is not None and out.error.code in ("bad_config", "bad_request", "internal"):
        raise_document(document["error"])
    return out


_lock = threading.Lock()
_default: Optional[Context] = None


def default_context() -> Context:
    """The context of the functions below: made when it is first asked for, with the options that a context has by itself."""
    global _default
    with _lock:
        if _default is None:
            _default = Context()
        return _default


def plan(model: Optional[_calls.ModelLike] = None, *, devices: Devices = None, engine: Optional[str] = None,
         **options: _calls.Option) -> Plan:
    """Context.plan of the default context: plimsoll.plan("Qwen/Qwen3-8B", devices="2xH100").devices[0].kv_cache_bytes"""
    return default_context().plan(model, devices=devices, engine=engine, **options)


def weights(model: Optional[_calls.ModelLike] = None, *, devices: Devices = None, engine: Optional[str] = None,
            **options: _calls.Option) -> Weights:
    """Context.weights of the default context."""
    return default_context().weights(model, devices=devices, engine=engine, **options)


def compare(logs: Union[Log, Iterable[Log]] = (), *, records: Optional[Log] = None, tolerance: Optional[float] = None,
            model: Optional[str] = None, **options: _calls.Option) -> Comparison:
    """Context.compare of the default context."""
    return default_context().compare(logs, records=records, tolerance=tolerance, model=model, **options)


def fit(model: Optional[_calls.ModelLike] = None, *, on: Optional[Iterable[str]] = None, max_devices: Optional[int] = None,
        demand: Optional[str] = None, prices: Optional[Mapping[str, float]] = None, all: bool = False, **options: _calls.Option) -> Fit:
    """Context.fit of the default context."""
    return default_context().fit(model, on=on, max_devices=max_devices, demand=demand, prices=prices, all=all, **options)
