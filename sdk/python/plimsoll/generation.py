"""Text from a model inside its plan."""
from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, Optional, Union

from . import _calls, _libraries, _models
from ._models import Progress
from .context import Context
from .errors import BadRequest
from .plans import Plan

# sink(request, text, tokens); true ends all requests as cancelled
Sink = Callable[[int, str, "list[int]"], object]
Pixels = Union[bytes, bytearray, memoryview]


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

    def add_image(self, name: str, rgb: Pixels, height: int, width: int) -> None:
        """An image that requests name in "images": height x width x 3 bytes of red, green and blue, row by row, copied.

        Nothing is resized. The same name again replaces it. "vision_cache_utilization" of the request makes room for images.
        """
        height, width = (_calls.whole(side, value, 2**32 - 1) for side, value in (("height", height), ("width", width)))
        data = memoryview(rgb).tobytes()
        if len(data) != 3 * height * width:
            raise BadRequest("bad_request", f"{len(data)} bytes for an image of {height} x {width}, which has {3 * height * width}", "rgb")
        _calls.call(self._lib.plimsoll_generator_image, self._handle.pointer, _calls.name("name", name), height, width, data)

    def remove_image(self, name: str) -> None:
        """Requests cannot name the image any more; nothing happens where there is none of that name."""
        _calls.call(self._lib.plimsoll_generator_image, self._handle.pointer, _calls.name("name", name), 0, 0, None)

    @property
    def plan(self) -> Plan:
        """The plan that it lives inside, of figures alone."""
        return Plan.of_document(_calls.document(self._lib.plimsoll_generator_plan, self._handle.pointer))
