"""Calls of the libraries: arguments become JSON, what they hand out becomes Python's, and errors are raised."""
from __future__ import annotations

import array
import ctypes
import json
import os
from typing import Any, Iterable, Mapping, Optional, Sequence, Union

from . import _libraries
from .errors import BadRequest, raise_document

# What an option of a request may be. None is the default.
Option = Union[None, bool, int, float, str, "os.PathLike[str]", Sequence[Any], Mapping[str, Any]]
# A name of the catalogue, a directory, a config.json, a .gguf file; or the configuration itself.
ModelLike = Union[str, "os.PathLike[str]", Mapping[str, Any]]


def _plain(name: str, value: object) -> object:
    """The value as JSON has it; TypeError with the argument's name where JSON has no such thing."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            return path
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _no_key(name, key): _plain(name, part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(name, part) for part in value]
    raise TypeError(f"{name} takes text, numbers, True, False, lists or mappings of them, not {type(value).__name__}")


def _no_key(name: str, key: object) -> str:
    raise TypeError(f"the keys of {name} are text, not {type(key).__name__}")


def encode(arguments: Mapping[str, object]) -> bytes:
    """One JSON object; arguments that are None are left out. TypeError and BadRequest name the argument."""
    parts = []
    for name, value in arguments.items():
        if value is None:
            continue
        try:
            parts.append(json.dumps(name) + ": " + json.dumps(_plain(name, value), allow_nan=False))
        except RecursionError:
            raise BadRequest("bad_request", f"{name} is nested too deep, or holds itself", "/" + name) from None
        except ValueError:
            raise BadRequest("bad_request", f"{name} is not finite", "/" + name) from None
    return ("{" + ", ".join(parts) + "}").encode("ascii")


def options(arguments: Mapping[str, object]) -> Optional[bytes]:
    """As encode; None where there are none."""
    return encode(arguments) if arguments else None


def request(model: Optional[ModelLike], arguments: Mapping[str, object]) -> bytes:
    """A request for a model: a configuration that is given itself goes by another key."""
    if model is None:
        return encode(arguments)
    if isinstance(model, Mapping):
        return encode({"config": model, **arguments})
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model takes a name, a path or a configuration, not {type(model).__name__}")
    return encode({"model": model, **arguments})


def text(pointer: ctypes.c_void_p) -> Optional[str]:
    """Takes over a text that the library handed out."""
    if not pointer:
        return None
    value = ctypes.cast(pointer, ctypes.c_char_p).value
    _libraries.host().plimsoll_free(pointer)
    return value.decode() if value is not None else None


def call(function: Any, *arguments: Any) -> None:
    """Calls what has an error for its last argument."""
    error = ctypes.c_void_p()
    if function(*arguments, ctypes.byref(error)) != 0:
        said = text(error)
        raise_document(json.loads(said) if said else None)


def answer(function: Any, *arguments: Any) -> tuple[int, dict[str, Any]]:
    """Calls what hands out a document, which may be that of an error: its code and the document."""
    out = ctypes.c_void_p()
    code = int(function(*arguments, ctypes.byref(out)))
    said = text(out)
    if said is None:
        if code == 3:  # no argument was looked at
            raise BadRequest("bad_request", "an argument is missing")
        raise_document(None)
    document: dict[str, Any] = json.loads(said)
    return code, document


def document(function: Any, *arguments: Any) -> dict[str, Any]:
    """As answer; raises the error that stands in the document."""
    code, out = answer(function, *arguments)
    if code != 0:
        raise_document(out["error"])
    return out


class Handle:
    """Something that the library handed out, given back with this."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p()

    def __del__(self) -> None:
        if self.pointer:
            _libraries.host().plimsoll_free(self.pointer)
            self.pointer = ctypes.c_void_p()


def create(function: Any, *arguments: Any) -> Handle:
    """Calls what hands out an object before its error."""
    handle = Handle()
    call(function, *arguments, ctypes.byref(handle.pointer))
    return handle


def whole(name: str, value: object, most: int) -> int:
    """A whole number from 0 to `most`; ctypes would wrap others silently."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} takes a whole number, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise BadRequest("bad_request", f"{value} is not a whole number from 0 to {most}", name)
    return value


def name(argument: str, value: object) -> bytes:
    """A name as the library takes it, which ends at its first NUL."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} takes text, not {type(value).__name__}")
    if "\0" in value:
        raise BadRequest("bad_request", "a name without NUL was expected", argument)
    return value.encode("utf-8", "surrogatepass")


def _array(kind: Any, code: str, name: str, values: Iterable[int]) -> Any:
    try:
        packed = array.array(code, values)
    except TypeError:
        raise TypeError(f"{name} takes whole numbers, and holds others") from None
    except OverflowError:
        raise BadRequest("bad_request", "a number is out of range", name) from None
    return (kind * len(packed)).from_buffer(packed)


def tokens(name: str, values: Iterable[int]) -> Any:
    """An array of tokens, 32 bits each."""
    return _array(ctypes.c_int32, "i", name, values)


def ids(name: str, values: Iterable[int]) -> Any:
    """An array of requests' numbers, 64 bits each."""
    return _array(ctypes.c_uint64, "Q", name, values)
