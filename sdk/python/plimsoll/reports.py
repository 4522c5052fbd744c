"""Weights, estimates, comparisons and fits: the other documents as values."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Union

from .documents import Document
from .plans import Advice, Problem


@dataclass(frozen=True)
class Report(Document):
    """`document` is the whole of it as the library gave it; report[key] reads there."""

    document: Mapping[str, Any] = field(default_factory=dict, kw_only=True, repr=False, compare=False, metadata={"own": True})

    def __getitem__(self, key: str) -> Any:
        return self.document[key]


# ---- plimsoll.weights/1 --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeightClass(Document):
    """Tensors that are alike. `stored_bytes`: with scales, None from a configuration alone."""

    label: str
    pattern: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    stored_bytes: Optional[int]
    parameters: int
    placement: str
    role: str
    planner: str


@dataclass(frozen=True)
class Unclaimed(Document):
    """A stored tensor that no planner declared."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Mismatch(Document):
    """A tensor that is stored otherwise than declared."""

    name: str
    declared: str
    stored: str


@dataclass(frozen=True)
class NotLoaded(Document):
    """What is stored and not loaded, and why."""

    label: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class RankWeights(Document):
    """Bytes of weights on one rank."""

    rank: int
    bytes: int


@dataclass(frozen=True)
class Weights(Report):
    """The weights of a model, as declared and as stored, and what each rank of the layout holds."""

    source: str
    parameters: int
    declared_bytes: int
    stored_bytes: Optional[int]
    classes: tuple[WeightClass, ...]
    unclaimed: tuple[Unclaimed, ...]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    not_loaded: tuple[NotLoaded, ...]
    ranks: tuple[RankWeights, ...]
    notes: tuple[str, ...]


# ---- estimates -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EstimatedVisionCache(Document):
    """The vision cache of an estimate."""

    bytes: Optional[int]
    blocks: Optional[int]


@dataclass(frozen=True)
class EstimatedDevice(Document):
    """One device of an estimate with per-device accounting."""

    device: int
    free_bytes: int
    budget_bytes: int
    static_bytes: int
    vision_cache_bytes: int
    kv_cache_bytes: int
    unused_bytes: int
    name: str = ""


@dataclass(frozen=True)
class Estimate(Report):
    """What the estimator says of sizes that are known. Where `fits` is False, `error` says why."""

    fits: bool
    max_batch_size: Optional[int]
    max_length: Optional[int]
    kv_cache_bytes: Optional[int]
    kv_budget_bytes: Optional[int]
    footprint_bytes: Optional[int]
    free_bytes: Optional[int]
    static_bytes: Optional[int]
    pages_per_replica: Optional[int]
    max_supported_sequence_length: Optional[int]
    vision_cache: Optional[EstimatedVisionCache]
    warnings: tuple[str, ...]
    error: Optional[Problem]
    devices: tuple[EstimatedDevice, ...] = ()
    max_batch_at_max_length: Optional[int] = None


# ---- plimsoll.compare/1 --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedLine(Document):
    """One figure as it was printed and as it is predicted; of the figure `start` both are sentences. `status`: within or beyond where it was
    judged, consistent where it follows from other printed figures, shown where neither, and `note` says why. `within`: None where not judged.
    `predicted`: None where the plan says nothing."""

    figure: str
    status: str
    printed: Union[int, float, str]
    predicted: Union[int, float, str, None]
    ratio: Optional[float]
    rounding: float
    within: Optional[bool]
    known_outlier: bool
    place: str
    note: str


@dataclass(frozen=True)
class ComparedFigures(Document):
    """How many lines became what."""

    judged: int
    within: int
    beyond: int
    known_outliers: int
    consistent: int
    shown: int


@dataclass(frozen=True)
class ComparedStart(Document):
    """One start of an engine. `id` and `place` tell it from others; `advice`: of a refused one, what would start."""

    engine: str
    engine_version: Optional[str]
    model: str
    lines: tuple[ComparedLine, ...]
    figures: ComparedFigures
    verdict: str
    note: str
    advice: tuple[Advice, ...]
    error: Optional[Problem]
    id: str = ""
    place: str = ""
    schema: str = ""


@dataclass(frozen=True)
class Comparison(Report):
    """Starts of engines beside their plans. `verdict`: within, beyond, nothing_judged or error; `summary`: of several starts."""

    starts: tuple[ComparedStart, ...]
    verdict: str
    error: Optional[Problem] = None
    summary: Mapping[str, Any] = field(default_factory=dict)


# ---- plimsoll.fit/1 ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout(Document):
    """How the ranks are arranged. `stage_layers`: empty where the stages are balanced. `context_parallel`: ranks that share a context."""

    tp: int
    pp: int
    dp: int
    ep: int
    stage_layers: tuple[int, ...]
    context_parallel: int = 1


@dataclass(frozen=True)
class FitRow(Document):
    """A way to serve the model.

    `headroom_bytes`: what the fullest device needs for nothing of what was asked for; `price`: of all devices, None where none is known;
    `capacity_requests`: requests of `max_length` of one replica, `total_requests`: of all.
    """

    devices: str
    layout: Layout
    verdict: str
    capacity_requests: float
    headroom_bytes: int
    price: Optional[float]
    plan_command: str
    total_requests: float = 0.0
    max_length: int = 0
    quantize: Optional[str] = None


@dataclass(frozen=True)
class FitFailure(Document):
    """The nearest that does not serve it, and which limit broke."""

    devices: str
    layout: Layout
    error: Problem


@dataclass(frozen=True)
class Fit(Report):
    """What serves a model: the fewest devices first, then the lower price, then more headroom. `first_failure`: what the next smaller
    one lacks; `folded_rows`: others that serve; `plans`: made for this."""

    rows: tuple[FitRow, ...]
    first_failure: Optional[FitFailure]
    error: Optional[Problem] = None
    folded_rows: int = 0
    plans: int = 0
