"""Sends the metrics to an OTLP collector now and then; one that is dead costs a request each time
and delays nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from modelscan.gateway.control.collector import METRICS, Collector, CollectorNotes
from modelscan.gateway.metrics.families import MetricFamily
from modelscan.gateway.metrics.otlp import OtlpResource, metrics_request
from modelscan.state.config import Config


class OtlpPush:
    """``figures`` and ``resource`` are called for each report, in the event loop."""

    def __init__(
        self,
        config: Config,
        figures: Callable[[], Iterable[MetricFamily]],
        resource: Callable[[], OtlpResource],
        notes: CollectorNotes,
    ) -> None:
        """Raises UsageError for an address or a secret that cannot be used."""
        self._collector = Collector(config, METRICS, "metrics", notes)
        self._interval_s = config.otlp_interval_s
        self._figures = figures
        self._resource = resource

    async def run(self) -> None:
        """Report until cancelled; the last report is the one before the end."""
        async with self._collector.client() as client:
            while True:
                await asyncio.sleep(self._interval_s)
                body = metrics_request(self._figures(), self._resource(), time.time())
                await self._collector.send(client, body)
