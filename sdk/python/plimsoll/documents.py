"""Documents of the library as typed, immutable values.

A key that a class has no default for must be there and be of its type; UnexpectedDocument names the place otherwise. Keys that a newer
library added are kept in `extra`, so nothing is lost and nothing is taken for something else.
"""
from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Callable, Mapping, TypeVar, Union

from .errors import UnexpectedDocument

D = TypeVar("D", bound="Document")


@dataclasses.dataclass(frozen=True)
class Document:
    """A part of a document. `extra`: keys of it that this module does not know."""

    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, kw_only=True, repr=False, compare=False)


def _wrong(node: object, expected: str, where: str) -> UnexpectedDocument:
    return UnexpectedDocument("unexpected_document", f"found {type(node).__name__} where {expected} was expected", where or "/")


def _plain(kind: type, names: tuple[type, ...]) -> Callable[[object, str], Any]:
    def convert(node: object, where: str) -> Any:
        if not isinstance(node, names) or (isinstance(node, bool) and kind is not bool):
            raise _wrong(node, kind.__name__, where)
        return kind(node)

    return convert


def _converter(hint: Any) -> Callable[[object, str], Any]:
    """What makes a value of a type out of a node of JSON."""
    if hint is Any:
        return lambda node, where: node
    if hint in (int, str, bool):
        return _plain(hint, (hint,))
    if hint is float:
        return _plain(float, (int, float))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of([_converter(argument) for argument in arguments if argument is not type(None)], type(None) in arguments)
    if origin is tuple:
        return _list_of(_converter(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_of(_converter(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, Document):
        return lambda node, where: read(hint, node, where)
    raise TypeError(f"no field of a document is {hint}")


def _one_of(converters: list[Callable[[object, str], Any]], nullable: bool) -> Callable[[object, str], Any]:
    def convert(node: object, where: str) -> Any:
        if node is None and nullable:
            return None
        for converter in converters[:-1]:
            try:
                return converter(node, where)
            except UnexpectedDocument:
                continue
        return converters[-1](node, where)

    return convert


def _list_of(converter: Callable[[object, str], Any]) -> Callable[[object, str], Any]:
    def convert(node: object, where: str) -> Any:
        if not isinstance(node, list):
            raise _wrong(node, "a list", where)
        return tuple(converter(part, f"{where}/{i}") for i, part in enumerate(node))

    return convert


def _mapping_of(converter: Callable[[object, str], Any]) -> Callable[[object, str], Any]:
    def convert(node: object, where: str) -> Any:
        if not isinstance(node, dict):
            raise _wrong(node, "an object", where)
        return {key: converter(part, f"{where}/{key}") for key, part in node.items()}

    return convert


_Field = tuple[str, str, bool, Callable[[object, str], Any]]
_KNOWN: dict[type[Document], tuple[_Field, ...]] = {}  # written whole, so threads may do so at once


def _fields(kind: type[Document]) -> tuple[_Field, ...]:
    """Of each field that a document fills: its name, its key, whether it must be there, and what reads it."""
    if kind in _KNOWN:
        return _KNOWN[kind]
    hints = typing.get_type_hints(kind)
    out: list[_Field] = []
    for field in dataclasses.fields(kind):
        if field.name == "extra" or field.metadata.get("own"):
            continue
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        out.append((field.name, field.metadata.get("key", field.name), needed, _converter(hints[field.name])))
    _KNOWN[kind] = tuple(out)
    return _KNOWN[kind]


def values_of(kind: type[Document], node: object, where: str = "") -> dict[str, Any]:
    """The fields of a part of a document by name, `extra` among them."""
    if not isinstance(node, dict):
        raise _wrong(node, "an object", where)
    out: dict[str, Any] = {}
    known = {"schema"} if not where else set()
    for name, key, needed, convert in _fields(kind):
        known.add(key)
        if key in node:
            out[name] = convert(node[key], f"{where}/{key}")
        elif needed:
            raise UnexpectedDocument("unexpected_document", "is not there", f"{where}/{key}")
    out["extra"] = {key: part for key, part in node.items() if key not in known}
    return out


def read(kind: type[D], node: object, where: str = "") -> D:
    """A part of a document as a value of `kind`."""
    return kind(**values_of(kind, node, where))
