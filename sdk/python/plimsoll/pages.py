"""Which token stands in which page: a KV manager over a plan, for servers with a model of their own."""
from __future__ import annotations

import ctypes
from typing import Any, Iterable, Mapping, Sequence

from . import _calls, _libraries
from .errors import BadRequest, InternalError
from .plans import Plan

_MOST_64 = 2**64 - 1
_MOST_32 = 2**32 - 1


class KvManager:
    """Which token stands in which page. Options: replicas, prefix_caching, slack_tokens, layout ("max" or "exact"), key_seed.

    admit() once, then for every step alloc(), inputs(), the forward pass, step(); release() once. A call that raises changed nothing. One
    thread at a time.
    """

    METRICS = ("total_pages", "used_pages", "free_pages", "cached_pages", "hit_tokens", "queried_tokens", "evictions", "requests",
               "prefix_caching")

    def __init__(self, plan: Plan, **options: _calls.Option) -> None:
        if not isinstance(plan, Plan):
            raise TypeError(f"plan takes a Plan, not {type(plan).__name__}")
        if plan._handle is None:
            raise BadRequest("bad_request", "a plan that was made of its document has figures alone; make it with a context", "plan")
        self._lib = _libraries.runtime()
        self._handle = _calls.create(self._lib.plimsoll_kv_create, plan._handle.pointer, _calls.options(options))

    def admit(self, request: int, prompt: Iterable[int], **options: _calls.Option) -> None:
        """Takes a request on. Options: replica, max_length, cache_salt, adapter, skip_prefix_read."""
        tokens = _calls.tokens("prompt", prompt)
        number = _calls.whole("request", request, _MOST_64)
        _calls.call(self._lib.plimsoll_kv_admit, self._handle.pointer, number, tokens, len(tokens), _calls.options(options))

    def alloc(self, request: int, most_tokens: int = 0) -> dict[str, Any]:
        """Pages for the next tokens; {"begin_tokens", "length_tokens", "hit_tokens", "new_pages", "reaches_end"}.

        InsufficientBlocks where pages run out.
        """
        work = _libraries.Work()
        _calls.call(self._lib.plimsoll_kv_alloc, self._handle.pointer, _calls.whole("request", request, _MOST_64),
                    _calls.whole("most_tokens", most_tokens, _MOST_64), ctypes.byref(work))
        return {"begin_tokens": work.begin_tokens, "length_tokens": work.length_tokens, "hit_tokens": work.hit_tokens,
                "new_pages": work.new_pages, "reaches_end": bool(work.reaches_end)}

    def inputs(self, requests: Sequence[int], replica: int = 0) -> dict[str, Any]:
        """{"cache_lengths": [...], "groups": [{"table": [lane][request][column], "fill", "state_rows": [request][row]}, ...]}"""
        asked = _calls.ids("requests", requests)
        n = len(asked)
        _calls.call(self._lib.plimsoll_kv_inputs, self._handle.pointer, asked, n, _calls.whole("replica", replica, _MOST_32))
        groups: list[dict[str, Any]] = []
        of = _libraries.GroupInputs()
        while self._lib.plimsoll_kv_table(self._handle.pointer, len(groups), ctypes.byref(of)) == 0:
            table = None
            if of.table:
                rows = [of.table[i * of.columns:(i + 1) * of.columns] for i in range(of.lanes * n)]
                table = [rows[lane * n:(lane + 1) * n] for lane in range(of.lanes)]
            states = [of.state_rows[i * of.rows:(i + 1) * of.rows] for i in range(n)] if of.state_rows else None
            groups.append({"table": table, "fill": of.fill, "state_rows": states})
        return {"cache_lengths": self._lib.plimsoll_kv_cache_lengths(self._handle.pointer)[:n], "groups": groups}

    def step(self, requests: Sequence[int], tokens: Sequence[int]) -> None:
        """After the forward pass: those whose work reached the end go on with their token; of others it is ignored."""
        asked, chosen = _calls.ids("requests", requests), _calls.tokens("tokens", tokens)
        if len(asked) != len(chosen):
            raise ValueError(f"{len(chosen)} tokens for {len(asked)} requests")
        _calls.call(self._lib.plimsoll_kv_step, self._handle.pointer, asked, chosen, len(asked))

    def release(self, request: int) -> None:
        """Gives back all that a request holds."""
        _calls.call(self._lib.plimsoll_kv_release, self._handle.pointer, _calls.whole("request", request, _MOST_64))

    def reset_prefix_cache(self) -> None:
        """Nothing that is cached now will be found again."""
        self._lib.plimsoll_kv_reset_prefix_cache(self._handle.pointer)

    @property
    def metrics(self) -> Mapping[str, int]:
        """The figures of METRICS, of all pools of all replicas."""
        value = ctypes.c_uint64()
        out: dict[str, int] = {}
        for number, name in enumerate(self.METRICS):
            if self._lib.plimsoll_kv_metric(self._handle.pointer, number, ctypes.byref(value)) != 0:
                raise InternalError("internal", "no such figure", name)
            out[name] = int(value.value)
        return out
