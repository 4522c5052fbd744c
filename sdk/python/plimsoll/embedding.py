"""Vectors of texts from a model inside its plan."""
from __future__ import annotations

from typing import Any, Iterable, Mapping, Optional, Sequence, Union

from . import _calls, _libraries, _models
from ._models import Progress
from .context import Context
from .plans import Plan


class Embedder:
    """A model that gives vectors, in memory, inside its plan. `options`: tokenizer; `progress(done_bytes, total_bytes)`.

    The request is that of Context.plan; "engine" is "reference" where it is not given. One thread at a time.
    """

    def __init__(self, context: Context, options: Optional[Mapping[str, Any]] = None, progress: Optional[Progress] = None,
                 model: Optional[_calls.ModelLike] = None, **request: _calls.Option) -> None:
        self._lib = _libraries.runtime()
        self._handle = _models.load(lambda lib: lib.plimsoll_embedder_create, context, options, progress, model, request)

    def embed(self, texts: Iterable[Union[str, Sequence[int]]]) -> dict[str, Any]:
        """The document plimsoll.embed/1: of each text, or list of its ids, a vector, in their order."""
        requests = [text if isinstance(text, str) else list(text) for text in texts]
        return _calls.document(self._lib.plimsoll_embed_json, self._handle.pointer, _calls.encode({"requests": requests}))

    @property
    def plan(self) -> Plan:
        """The plan that it lives inside, of figures alone."""
        return Plan.of_document(_calls.document(self._lib.plimsoll_embedder_plan, self._handle.pointer))
