"""What the receipts of requests add up to: counters and histograms, by route and backend. Pure.

It runs in the serving process, for every request: the workers only send their receipts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from modelscan.core.receipt import Receipt
from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.families import HistogramValue, Labels, MetricFamily
from modelscan.routing.table import GENERATING

_NONE = ""
_GENERATING = frozenset((*GENERATING, "other"))


class RouteFigures:
    """The figures of one route at one backend for one operation."""

    __slots__ = (
        "cached",
        "durations",
        "fallbacks",
        "firsts",
        "input_tokens",
        "inputs",
        "left",
        "output_tokens",
        "outputs",
        "per_token",
        "queued",
        "reasoning",
        "retries",
        "statuses", "woken",
    )  # fmt: skip

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = HistogramValue(d.DURATION.buckets)
        self.firsts = HistogramValue(d.FIRST_TOKEN.buckets)
        self.per_token = HistogramValue(d.PER_TOKEN.buckets)
        self.queued = HistogramValue(d.QUEUED.buckets)
        self.woken = HistogramValue(d.WOKEN.buckets)
        self.inputs = HistogramValue(d.INPUT_TOKENS.buckets)
        self.outputs = HistogramValue(d.OUTPUT_TOKENS.buckets)
        self.input_tokens = self.output_tokens = self.cached = self.reasoning = 0
        self.retries = self.fallbacks = self.left = 0

    def add(self, receipt: Receipt) -> None:
        """Count a request."""
        status = receipt.status
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.retries += receipt.retries
        self.left += receipt.left_machine_bytes
        if receipt.fallback_from is not None:
            self.fallbacks += 1
        if receipt.queue_s is not None:
            self.queued.add(receipt.queue_s)
        if receipt.wake_s is not None:
            self.woken.add(receipt.wake_s)
        duration = receipt.duration_s
        if duration is not None:
            self.durations.add(duration)
            if receipt.stream and receipt.ttft_s is not None:
                self._add_stream(receipt, duration, receipt.ttft_s)
        self._add_tokens(receipt)

    def _add_stream(self, receipt: Receipt, duration: float, first: float) -> None:
        self.firsts.add(first)
        tokens = receipt.output_tokens
        if tokens is not None and tokens > 1 and receipt.operation in _GENERATING:
            self.per_token.add(max(0.0, duration - first) / (tokens - 1))

    def _add_tokens(self, receipt: Receipt) -> None:
        if receipt.input_tokens is not None:
            self.input_tokens += receipt.input_tokens
            self.inputs.add(receipt.input_tokens)
        if receipt.output_tokens is not None:
            self.output_tokens += receipt.output_tokens
            self.outputs.add(receipt.output_tokens)
        self.cached += receipt.cached_tokens or 0
        self.reasoning += receipt.reasoning_tokens or 0


class KeyFigures:
    """Requests and tokens of one key."""

    __slots__ = ("inputs", "outputs", "requests")

    def __init__(self) -> None:
        self.requests = self.inputs = self.outputs = 0


class RequestFigures:
    """The figures of all requests since the start."""

    def __init__(self) -> None:
        self._routes: dict[Labels, RouteFigures] = {}
        self._keys: dict[str, KeyFigures] = {}
        self._refused: dict[str, int] = {}

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Count requests."""
        routes, most = self._routes, d.MOST_SERIES
        for receipt in receipts:
            place = (receipt.route or _NONE, receipt.backend or _NONE, receipt.operation)
            figures = routes.get(place)
            if figures is None:
                if len(routes) >= most:
                    place = (d.OTHER, d.OTHER, receipt.operation)
                figures = routes.setdefault(place, RouteFigures())
            figures.add(receipt)
            if receipt.backend is None and receipt.error is not None:
                self._refused[receipt.error] = self._refused.get(receipt.error, 0) + 1
            if receipt.key is not None:
                self._add_key(receipt.key, receipt)

    def _add_key(self, name: str, receipt: Receipt) -> None:
        keys = self._keys
        if name not in keys and len(keys) >= d.MOST_SERIES:
            name = d.OTHER
        figures = keys.setdefault(name, KeyFigures())
        figures.requests += 1
        figures.inputs += receipt.input_tokens or 0
        figures.outputs += receipt.output_tokens or 0

    def families(self) -> Iterator[MetricFamily]:
        """Everything that was counted."""
        rows = self._routes
        yield MetricFamily(
            d.REQUESTS,
            {
                (*place, str(status)): float(count)
                for place, row in rows.items()
                for status, count in sorted(row.statuses.items())
            },
        )
        histograms = (
            (d.DURATION, "durations"), (d.FIRST_TOKEN, "firsts"), (d.PER_TOKEN, "per_token"),
            (d.QUEUED, "queued"), (d.WOKEN, "woken"),
            (d.INPUT_TOKENS, "inputs"), (d.OUTPUT_TOKENS, "outputs"),
        )  # fmt: skip
        for definition, name in histograms:
            values = {place: getattr(row, name) for place, row in rows.items()}
            yield MetricFamily(definition, {k: v for k, v in values.items() if v.count})
        yield _sums(d.TOKENS_USED, self._tokens())
        places = rows.items()
        yield _sums(d.RETRIES, (((place[0],), row.retries) for place, row in places))
        yield _sums(d.FALLBACKS, (((place[0],), row.fallbacks) for place, row in places))
        yield _sums(d.LEFT_MACHINE, (((place[1],), row.left) for place, row in places))
        yield _sums(d.REFUSED, (((code,), count) for code, count in self._refused.items()))
        keys = self._keys.items()
        yield _sums(d.KEY_REQUESTS, (((name,), row.requests) for name, row in keys))
        yield _sums(d.KEY_TOKENS, self._key_tokens())

    def _tokens(self) -> Iterator[tuple[Labels, int]]:
        kinds = (
            ("input", "input_tokens"), ("output", "output_tokens"), ("cached", "cached"),
            ("reasoning", "reasoning"),
        )  # fmt: skip
        for (route, backend, _), row in self._routes.items():
            if backend:
                for kind, name in kinds:
                    yield (route, backend, kind), getattr(row, name)

    def _key_tokens(self) -> Iterator[tuple[Labels, int]]:
        for name, row in self._keys.items():
            yield (name, "input"), row.inputs
            yield (name, "output"), row.outputs


def _sums(definition: d.MetricDefinition, rows: Iterable[tuple[Labels, int]]) -> MetricFamily:
    """Rows with equal labels added up."""
    values: dict[Labels, float] = {}
    for labels, value in rows:
        values[labels] = values.get(labels, 0.0) + value
    return MetricFamily(definition, values)
