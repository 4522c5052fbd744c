"""Text from a model inside its plan."""
from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, Optional

from . import _calls, _libraries, _models
from ._models import Progress
from .context import Context
from .plans import Plan

# sink(request, text, tokens); true ends all requests as cancelled
Sink = Callable[[int, str, "list[int]"], object]


class Generator:
    """A model in memory, inside its plan. `options`: tokenizer, prefix_caching, key_seed, loras; `progress(done_bytes, total_bytes)`.

    The request is that of Context.plan; "engine" is "reference" where it is not given. One thread at a time.
    """

    def __init__(self, context: Context, options: Optional[Mapping[str, Any]] = None, progress: Optional[Progress] = None,
                 model: Optional[_calls.ModelLike] = None, **request: _calls.Option) -> None:
        self._lib = _libraries.runtime()
        self._handle = _models.load(lambda lib: lib.plimsoll_generator_create, context, options, progress, model, request)

    def generate(self, requests: Iterable[Mapping[str, Any]], sink: Optional[Sink] = None) -> dict[str, Any]:
        """The document plimsoll.run/1. `sink(request, text, tokens)` is told of every step; True from it cancels what is left.

        An exception of the sink cancels too, and is raised.
        """
        problems: list[BaseException] = []

        def told(_: object, request: int, text: bytes, tokens: Any, n: int) -> int:
            try:
                return 1 if sink is not None and sink(request, text.decode("utf-8", "replace"), tokens[:n]) else 0
            except BaseException as problem:  # it must not cross the library
                problems.append(problem)
                return 1

        callback = _libraries.SINK(told) if sink is not None else _libraries.SINK(0)
        document = _calls.document(self._lib.plimsoll_generate_json, self._handle.pointer, _calls.encode({"requests": list(requests)}),
                                   callback, None)
        if problems:
            raise problems[0]
        return document

    @property
    def plan(self) -> Plan:
        """The plan that it lives inside, of figures alone."""
        return Plan.of_document(_calls.document(self._lib.plimsoll_generator_plan, self._handle.pointer))
