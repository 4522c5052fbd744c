"""Models in memory: what Generator and Embedder begin with."""
from __future__ import annotations

from typing import Any, Callable, Mapping, Optional

from . import _calls, _libraries
from .context import Context

# progress(done_bytes, total_bytes)
Progress = Callable[[int, int], object]


def load(function: Callable[[Any], Any], context: Context, options: Optional[Mapping[str, Any]], progress: Optional[Progress],
         model: Optional[_calls.ModelLike], request: Mapping[str, _calls.Option]) -> Any:
    """The handle that the library's function makes of a request; `function(lib)` picks it. An exception of `progress` is raised at the end."""
    if not isinstance(context, Context):
        raise TypeError(f"context takes a Context, not {type(context).__name__}")
    problems: list[BaseException] = []

    def told(_: object, done: int, total: int) -> None:
        try:
            if progress is not None and not problems:
                progress(done, total)
        except BaseException as problem:  # it must not cross the library
            problems.append(problem)

    callback = _libraries.PROGRESS(told) if progress is not None else _libraries.PROGRESS(0)
    handle = _calls.create(function(_libraries.runtime()), context._handle.pointer, _calls.request(model, request),
                           _calls.options(options or {}), callback, None)
    if problems:
        raise problems[0]
    return handle
