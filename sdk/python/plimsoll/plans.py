"""Plans: the document plimsoll.plan/1 as values. Bytes are bytes, tokens are tokens; every name carries its unit."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Protocol, Union

from . import _calls, _libraries
from .documents import Document, values_of


@dataclass(frozen=True)
class Problem(Document):
    """Why something does not fit, or could not be made: `code` as in plimsoll.Error."""

    code: str
    message: str
    where: str


@dataclass(frozen=True)
class Planner(Document):
    """Who planned which parts of the model."""

    id: str
    version: str
    aspects: tuple[str, ...]
    replaces: str = ""
    as_: str = field(default="", metadata={"key": "as"})
    aliased_by: str = ""


@dataclass(frozen=True)
class Model(Document):
    """The model as it was read. `weights_source`: config, safetensors, gguf or given."""

    path: str
    architecture: str
    model_type: str
    family: str
    planners: tuple[Planner, ...]
    parameters: int
    weights_source: str


@dataclass(frozen=True)
class Engine(Document):
    """The engine profile and the release whose rules were taken."""

    name: str
    version: str


@dataclass(frozen=True)
class Request(Document):
    """What was planned with, after all defaults."""

    tp: int
    pp: int
    dp: int
    ep: int
    accounting: str
    device_memory_utilization: float
    max_length: int
    max_batch_size: int
    max_batch_input_tokens: int
    max_batch_total_tokens: Optional[int]
    kv_dtype: str
    dtype: str
    page_tokens: int
    vision_cache_utilization: float
    num_draft_tokens: int
    redundant_experts: int
    phase: str
    engine_overrides: Mapping[str, str]
    nodes: int = 1
    max_loras: int = 0
    max_lora_rank: int = 0
    lora_dtype: str = ""
    split_mode: str = ""
    stage_layers: tuple[int, ...] = ()
    gpu_layers: int = 0
    n_cpu_moe: int = 0
    quantize: str = ""


@dataclass(frozen=True)
class Totals(Document):
    """Bytes of all devices together, the host among them where it is one. Parts and `unused_bytes`, which is negative where memory is short, add up to `budget_bytes`."""

    total_bytes: int
    free_bytes: int
    budget_bytes: int
    weights_bytes: int
    activation_bytes: int
    signal_buffer_bytes: int
    vision_cache_bytes: int
    overhead_bytes: int
    kv_cache_bytes: int
    unused_bytes: int
    workspace_bytes: int = 0


@dataclass(frozen=True)
class BrokenLimit(Document):
    """A limit that a device breaks, and by how many bytes. `limit`: budget, free_memory, kv_cache, free_to_start, beside_fraction or host_memory."""

    limit: str
    bytes: int
    needed_bytes: int
    limit_bytes: int
    message: str


@dataclass(frozen=True)
class DevicePlan(Document):
    """Bytes of one rank, or of the host: `kind` gpu or host, `rank` None for the latter. Parts and `unused_bytes`, which is negative where
    memory is short, add up to `budget_bytes`. `reasons`: of a plan that does not fit, every limit that it breaks."""

    rank: Optional[int]
    name: str
    total_bytes: int
    free_bytes: int
    budget_bytes: int
    weights_bytes: int
    activation_bytes: int
    signal_buffer_bytes: int
    vision_cache_bytes: int
    overhead_bytes: int
    kv_cache_bytes: int
    unused_bytes: int
    workspace_bytes: int = 0
    kind: str = "gpu"
    reasons: tuple[BrokenLimit, ...] = ()


@dataclass(frozen=True)
class KvGroup(Document):
    """Layers that cache alike. `kind`: full, window, latent, state or cross; `window_tokens`: None where there is no window."""

    label: str
    kind: str
    layers: int
    page_bytes_per_device: int
    window_tokens: Optional[int]
    state_bytes_per_sequence: int
    basis: str


@dataclass(frozen=True)
class KvCache(Document):
    """The KV cache of a replica. `state_slots`: None where nothing is recurrent; `needed_bytes_per_device`: what a length and a batch that
    were both asked for need."""

    dtype: str
    page_tokens: int
    pages: int
    capacity_tokens: int
    capacity_requests: float
    engine_reported_tokens: int
    bytes_per_token_per_device: int
    state_slots: Optional[int]
    groups: tuple[KvGroup, ...]
    needed_bytes_per_device: Optional[int] = None


@dataclass(frozen=True)
class Limits(Document):
    """What the plan promises, and what binds it: "KV pages on rank 0 (H100)"."""

    max_length: int
    max_batch_size: int
    max_supported_sequence_length: int
    max_batch_at_max_length: int
    binding: str


@dataclass(frozen=True)
class VisionModality(Document):
    """The largest entry of one modality in the cache of encoded media. `most_per_request`: None where the model has no limit."""

    modality: str
    label: str
    rows: int
    entry_bytes: int
    entries: int
    most_per_request: Optional[int]


@dataclass(frozen=True)
class VisionCache(Document):
    """The cache of encoded media; its largest entry."""

    entry_bytes: int
    entries: int
    modalities: tuple[VisionModality, ...] = ()


@dataclass(frozen=True)
class Item(Document):
    """Bytes of one cause on one rank. `basis`: exact, bound, measured or heuristic; `formula` where explain=True asked."""

    rank: int
    category: str
    label: str
    bytes: int
    basis: str
    planner: str
    formula: str = ""


@dataclass(frozen=True)
class HostMemory(Document):
    """What stays in host memory, of all ranks; the host is one of the devices where the request says what it has."""

    bytes: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class PlanWarning(Document):
    """Something to know of a plan. `code` is for programs."""

    code: str
    message: str


@dataclass(frozen=True)
class Advice(Document):
    """A change that was tried and makes the plan fit.

    `option` and `value` are the main one of `options`, which are all that change, by their names in Plan(); None is the default.
    `command` is the whole line that plans it, for a shell.
    """

    option: str
    value: Union[int, float, tuple[int, ...], str]
    message: str
    command: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FrontierPoint(Document):
    """The largest batch of requests of a length."""

    max_length: int
    max_batch_size: int


@dataclass(frozen=True)
class FrontierCurve(Document):
    """The frontier for one KV type; batches never grow with the length."""

    kv_dtype: str
    points: tuple[FrontierPoint, ...]


@dataclass(frozen=True)
class Quantization(Document):
    """What the weights as one method of several would come to: bytes of all devices, and tokens of the KV cache beside them."""

    quantize: str
    weights_bytes: int
    capacity_tokens: int
    verdict: str


class HasContext(Protocol):
    """A plimsoll.Context."""

    @property
    def _handle(self) -> _calls.Handle: ...


@dataclass(frozen=True, init=False)
class Plan(Document):
    """A finished plan: Plan(context, model, devices="2xH100", ...), or context.plan(...), which is the same.

    `verdict` is fits, tight or does_not_fit; where it does not fit, `error` says which limit broke and `advice` what would. A plan is what
    a KvManager is made from, and does not need its context any more. `document` is the whole of it as the library gave it; plan[key] reads there.
    """

    verdict: str
    model: Model
    engine: Engine
    request: Request
    devices: tuple[DevicePlan, ...]
    totals: Totals
    kv_cache: KvCache
    limits: Limits
    vision_cache: VisionCache
    items: tuple[Item, ...]
    covered_items: tuple[Item, ...]
    warnings: tuple[PlanWarning, ...]
    advice: tuple[Advice, ...]
    error: Optional[Problem]
    frontier: tuple[FrontierCurve, ...] = ()
    quantizations: tuple[Quantization, ...] = ()
    host_memory: Optional[HostMemory] = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False, metadata={"own": True})
    _handle: Optional[_calls.Handle] = field(default=None, repr=False, compare=False, metadata={"own": True})

    def __init__(self, context: HasContext, /, model: Optional[_calls.ModelLike] = None, **options: _calls.Option) -> None:
        handle = _calls.create(_libraries.host().plimsoll_plan_create, context._handle.pointer, _calls.request(model, options))
        self._fill(_calls.document(_libraries.host().plimsoll_plan_document, handle.pointer, -1), handle)

    def _fill(self, document: Mapping[str, Any], handle: Optional[_calls.Handle]) -> None:
        values = {"frontier": (), "quantizations": (), "host_memory": None, **values_of(Plan, document), "document": document, "_handle": handle}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Plan:
        """A plan that was kept as its document; of figures alone, so no KvManager can be made from it."""
        plan = cls.__new__(cls)
        plan._fill(document, None)
        return plan

    @property
    def fits(self) -> bool:
        """It fits, be it tightly."""
        return self.verdict in ("fits", "tight")

    def to_json(self, indent: Optional[int] = 2) -> str:
        """The document as text."""
        return json.dumps(self.document, indent=indent, ensure_ascii=False)

    def __getitem__(self, key: str) -> Any:
        return self.document[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).of_document, (self.document,))
