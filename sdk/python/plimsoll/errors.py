"""What the library refuses, as exceptions: one class for each code of its documents."""
from __future__ import annotations

from typing import Any, Mapping, NoReturn, Optional


class Error(Exception):
    """What the library refused: `code` as in documents ("bad_request"), `message`, and `where`: a file, an option or a JSON pointer."""

    def __init__(self, code: str, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.code = code
        self.message = message
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.code, self.message, self.where))


class BadConfig(Error):
    """A model's configuration is wrong, incomplete or contradictory."""


class BadCheckpoint(Error):
    """A header of the checkpoint is wrong, or a part is missing."""


class BadRequest(Error, ValueError):
    """An argument, a file of options, a list of devices or a layout that is impossible: the caller's to mend."""


class UnsupportedArchitecture(Error):
    """No planner knows the model's architecture."""


class ModelTooLarge(Error):
    """Weights, activations and buffers alone exceed the memory."""


class NoRoomForKv(Error):
    """Nothing is left for the KV cache."""


class NoPageFits(Error):
    """Something is left for the KV cache, but less than a page."""


class OutOfMemory(Error):
    """The plan as a whole exceeds the memory."""


class PluginFailed(Error):
    """A plugin cannot be loaded, broke a rule, or answered with an error of its own."""


class InsufficientBlocks(Error):
    """Fewer pages are free than a request needs now; nothing was changed."""


class OverPlan(Error):
    """An allocation beyond what the plan sets aside for it."""


class InternalError(Error):
    """A bug of the library's, or no memory for its answer."""


class UnexpectedDocument(Error):
    """A document that is not as this module knows it: module and library are of different majors."""


_BY_CODE: Mapping[str, type[Error]] = {
    "bad_config": BadConfig,
    "bad_checkpoint": BadCheckpoint,
    "bad_request": BadRequest,
    "unsupported_architecture": UnsupportedArchitecture,
    "model_too_large": ModelTooLarge,
    "no_room_for_kv": NoRoomForKv,
    "no_page_fits": NoPageFits,
    "out_of_memory": OutOfMemory,
    "plugin_failed": PluginFailed,
    "insufficient_blocks": InsufficientBlocks,
    "over_plan": OverPlan,
    "internal": InternalError,
    "unexpected_document": UnexpectedDocument,
}


def error_of(code: str, message: str, where: str = "") -> Error:
    """The exception of a code; a code that is not known yet is an Error."""
    return _BY_CODE.get(code, Error)(code, message, where)


def raise_document(error: Optional[Mapping[str, Any]]) -> NoReturn:
    """Raises the error that stands in a document."""
    if error is None:
        raise InternalError("internal", "no memory for the answer")
    raise error_of(str(error["code"]), str(error["message"]), str(error["where"]))
