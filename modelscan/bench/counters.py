"""What an engine counts itself, before and after a load: a check of the client's figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelscan.bench.point import agrees
from modelscan.bench.report import EngineCheck
from modelscan.bench.stream import RequestResult
from modelscan.supervisor.load import samples

# What each counter counts, by its name at llama.cpp, vLLM and SGLang.
_GENERATED = (
    "llamacpp:tokens_predicted_total", "vllm:generation_tokens_total",
    "sglang:generation_tokens_total",
)  # fmt: skip
_ANSWERED = ("vllm:request_success_total", "sglang:num_requests_total")
_FIRST_TOKEN = ("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds")
_PER_TOKEN = (
    "vllm:inter_token_latency_seconds",
    "vllm:time_per_output_token_seconds",  # vLLM before 0.11
    "sglang:inter_token_latency_seconds",
)


@dataclass(frozen=True, slots=True)
class CounterReading:
    """The sums of a ``/metrics`` page by name, over all labels."""

    values: Mapping[str, float]

    @classmethod
    def of(cls, text: str) -> CounterReading:
        """The sums of a page's text; empty for an engine without counters."""
        sums: dict[str, float] = {}
        for name, value in samples(text):
            sums[name] = sums.get(name, 0.0) + value
        return cls(sums)

    def first(self, names: Iterable[str], suffix: str = "") -> float | None:
        """The first of these counters that the engine has."""
        return next((self.values[n + suffix] for n in names if n + suffix in self.values), None)


@dataclass(frozen=True, slots=True)
class CounterChange:
    """The difference of two readings; None where the engine has no such counter."""

    before: CounterReading
    after: CounterReading

    def of(self, names: Iterable[str], suffix: str = "") -> float | None:
        """How much a counter grew; None where it is missing or was reset."""
        first, last = self.before.first(names, suffix), self.after.first(names, suffix)
        if first is None or last is None or last < first:
            return None
        return last - first

    def mean(self, names: Iterable[str]) -> float | None:
        """The mean of what a histogram's new values are, in seconds."""
        name = tuple(names)
        total, count = self.of(name, "_sum"), self.of(name, "_count")
        return total / count if total is not None and count else None


def metrics_check(change: CounterChange, results: Sequence[RequestResult]) -> EngineCheck | None:
    """The engine's histograms next to the client's times; None where it has none."""
    tpot, first = change.mean(_PER_TOKEN), change.mean(_FIRST_TOKEN)
    generated = change.of(_GENERATED)
    if tpot is None and first is None:
        return None
    client = [one.tpot_s for one in results if one.error is None and one.tpot_s is not None]
    own = sum(client) / len(client) if client else None
    alone = has_foreign(change, results) is False
    return EngineCheck(
        source="metrics",
        prompt_s=None if first is None else round(first, 6),
        tpot_s=None if tpot is None else round(tpot, 6),
        completion_tokens=None if generated is None else round(generated),
        agrees=agrees(own, tpot) if alone else None,
    )


def has_foreign(change: CounterChange, results: Sequence[RequestResult]) -> bool | None:
    """Whether the engine did more than these requests; None: it does not say, or some failed."""
    answered = change.of(_ANSWERED)
    if any(one.error is not None for one in results):
        return None  # a failed request may have cost the engine tokens
    if answered is not None:
        return round(answered) > len(results)
    generated = change.of(_GENERATED)
    own = [one.completion_tokens for one in results]
    if generated is None or any(tokens is None for tokens in own):
        return None
    return round(generated) > sum(tokens or 0 for tokens in own)
