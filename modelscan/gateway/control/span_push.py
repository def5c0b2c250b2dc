"""Sends requests as spans to the OTLP collector that the user named, redacted as an export is.

Bounded: where a collector is too slow, or away, the oldest spans are dropped and counted. Texts are
in a span only where they are kept by choice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.receipt import KeptContent, Receipt
from modelscan.gateway.control.collector import TRACES, Collector, CollectorNotes
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.metrics.otlp import OtlpResource
from modelscan.net.async_client import AsyncHttpClient
from modelscan.state.config import Config
from modelscan.traces.content_view import ContentView
from modelscan.traces.export import clean_span
from modelscan.traces.known_values import known_values
from modelscan.traces.otlp import resource as resource_of
from modelscan.traces.otlp import scope_spans
from modelscan.traces.pricing import pricer
from modelscan.traces.redaction.redact import RULES_VERSION, Redactor

MOST_WAITING = 10_000
MOST_TEXT_BYTES = 32 * 1024 * 1024
BATCH = 256
EVERY_S = 5.0
_LAST_S = 2.0


class RecentTexts:
    """Texts that are kept by choice, until their spans are sent; the oldest go first."""

    def __init__(self) -> None:
        self._texts: dict[str, KeptContent] = {}
        self._bytes = 0

    def add(self, texts: Sequence[KeptContent]) -> None:
        """Keep some more; in a thread of its own ``find`` may look at the same time."""
        for one in texts:
            self._texts[one.trace_id] = one
            self._bytes += len(one.request) + len(one.answer)
        while self._bytes > MOST_TEXT_BYTES:
            self.forget(next(iter(self._texts)))

    def find(self, trace_id: str) -> KeptContent | None:
        """The texts of a request; None: none were kept."""
        return self._texts.get(trace_id)

    def forget(self, trace_id: str) -> None:
        """They are sent."""
        one = self._texts.pop(trace_id, None)
        if one is not None:
            self._bytes -= len(one.request) + len(one.answer)


class SpanPush:
    """A queue of requests for one collector."""

    def __init__(
        self,
        config: Config,
        resource: Callable[[], OtlpResource],
        notes: CollectorNotes,
        report: Report,
    ) -> None:
        """Raises UsageError for an address or a secret that cannot be used."""
        self._collector = Collector(config, TRACES, "spans", notes)
        self._config, self._resource, self._report = config, resource, report
        self._texts = RecentTexts()
        self._interval_s = min(EVERY_S, config.otlp_interval_s)
        self._waiting: deque[Receipt] = deque()
        self._price = pricer(config)
        self.sent = self.dropped = 0

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Queue requests that are over."""
        self._waiting.extend(receipts)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self._drop(1, "the collector is slower than requests")

    def add_texts(self, texts: Sequence[KeptContent]) -> None:
        """The texts of requests that are queued next."""
        self._texts.add(texts)

    async def run(self) -> None:
        """Send until cancelled; what waits then is tried once more."""
        async with self._collector.client() as client:
            try:
                while True:
                    await asyncio.sleep(self._interval_s)
                    await self._send_all(client)
            finally:
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(self._send_all(client), _LAST_S)

    async def _send_all(self, client: AsyncHttpClient) -> None:
        """In batches, until one fails; that one is tried again the next time."""
        while self._waiting:
            batch = list(islice(self._waiting, BATCH))
            spans = await asyncio.to_thread(self._spans, batch)
            if spans and not await self._collector.send(client, self._request(spans)):
                return
            self.sent += len(spans)
            self._drop(len(batch) - len(spans), "a secret would have remained in them")
            for receipt in batch:  # some may have been dropped meanwhile
                if self._waiting and self._waiting[0] is receipt:
                    self._waiting.popleft()
                self._texts.forget(receipt.trace_id)

    def _spans(self, receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
        """The redacted spans; one in which a secret would remain is left out."""
        texts = ContentView(self._texts)
        redactor = Redactor(known_values(self._config))
        spans = []
        for receipt in receipts:
            with contextlib.suppress(ModelscanError):
                spans.append(clean_span(receipt, redactor, self._price, texts))
        return spans

    def _request(self, spans: list[dict[str, Any]]) -> dict[str, Any]:
        about = self._resource()
        values = {
            "service.name": "modelscan", "service.version": about.version,
            "service.instance.id": about.instance,
            "modelscan.redaction.rules_version": RULES_VERSION,
        }  # fmt: skip
        scoped = scope_spans(spans, about.version)
        return {"resourceSpans": [{"resource": resource_of(values), "scopeSpans": [scoped]}]}

    def _drop(self, count: int, why: str) -> None:
        """Count; the first loss is reported."""
        if count and not self.dropped:
            self._report(ServeEvent("warning", f"spans are lost: {why}", {}))
        self.dropped += count
