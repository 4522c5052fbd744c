"""Plimsoll from Python: plans, pages and text through the C interfaces of plimsoll/host.h and plimsoll/runtime.h.

    import plimsoll
    plimsoll.plan("Qwen/Qwen3-8B", devices="2xH100", engine="vllm").devices[0].kv_cache_bytes
    plimsoll.fit("Qwen/Qwen3-32B", on=["H100", "L40S"], max_length=32768).rows[0].plan_command
    context = plimsoll.Context(plugin_paths=["./plugins"])
    model = plimsoll.Generator(context, model="./model", devices="64MiB")
    model.generate([{"prompt": "And the LORD said unto "}])["outputs"][0]["text"]
    plimsoll.Embedder(context, model="./embedder", devices="64MiB").embed(["In the beginning", [2, 9, 30, 3]])["embeddings"][0]["vector"]

Only the standard library is needed, of Python 3.10 or newer. The libraries are looked for in the folder that PLIMSOLL_LIBRARY_PATH names, in
lib of the installation that this package lies in, and where the system keeps its own. libplimsoll_runtime.so is loaded when the first
object needs it.
Results are immutable values; a wrong argument is a TypeError that names it, or a BadRequest, and everything that the library refuses is an Error.
Threads: the functions, a Context and a Plan may be used by any number of them at once, a KvManager, a Generator and an Embedder by one at a time.
"""
from . import _libraries
from .context import Context, compare, default_context, estimate, fit, plan, weights
from .embedding import Embedder
from .errors import (BadCheckpoint, BadConfig, BadRequest, Error, InsufficientBlocks, InternalError, ModelTooLarge, NoPageFits, NoRoomForKv,
                     OutOfMemory, OverPlan, PluginFailed, UnexpectedDocument, UnsupportedArchitecture)
from .generation import Generator
from .pages import KvManager
from .plans import (Advice, BrokenLimit, DevicePlan, Engine, FrontierCurve, FrontierPoint, HostMemory, Item, KvCache, KvGroup, Limits, Model, Plan, Planner,
                    PlanWarning, Problem, Quantization, Request, Totals, VisionCache, VisionModality)
from .reports import (ComparedFigures, ComparedLine, ComparedStart, Comparison, Estimate, EstimatedDevice, EstimatedVisionCache, Fit, FitFailure, FitRow,
                      Layout, Mismatch, NotLoaded, RankWeights, Unclaimed, WeightClass, Weights)

__all__ = [
    "Advice", "BadCheckpoint", "BadConfig", "BadRequest", "BrokenLimit", "ComparedFigures", "ComparedLine", "ComparedStart", "Comparison", "Context", "DevicePlan", "Embedder", "Engine",
    "Error", "Estimate", "EstimatedDevice", "EstimatedVisionCache", "Fit", "FitFailure", "FitRow", "FrontierCurve", "FrontierPoint", "Generator",
    "HostMemory", "InsufficientBlocks", "InternalError", "Item", "KvCache", "KvGroup", "KvManager", "Layout", "Limits", "Mismatch", "Model",
    "ModelTooLarge", "NoPageFits", "NoRoomForKv", "NotLoaded", "OutOfMemory", "OverPlan", "Plan", "PlanWarning", "Planner", "PluginFailed",
    "Problem", "Quantization", "RankWeights", "Request", "Totals", "Unclaimed", "UnexpectedDocument", "UnsupportedArchitecture", "VisionCache",
    "VisionModality", "WeightClass", "Weights", "compare", "default_context", "estimate", "fit", "plan", "version", "weights",
]


def version() -> str:
    """The library's version, "1.2.3"."""
    return str(_libraries.host().plimsoll_version().decode())
