"""Sends the metrics to an OTLP collector now and then; one that is dead costs a request each time
and delays nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import msgspec

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.metrics.families import MetricFamily
from modelscan.gateway.metrics.otlp import OtlpResource, metrics_request
from modelscan.net.address import stays_here
from modelscan.net.async_client import AsyncHttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.state.config import Config
from modelscan.state.secrets import resolve

_TIMEOUT_S = 5.0
_MOST_ANSWER_BYTES = 1024 * 1024
_PATH = "/v1/metrics"


class OtlpPush:
    """``figures`` and ``resource`` are called for each report, in the event loop."""

    def __init__(
        self,
        config: Config,
        figures: Callable[[], Iterable[MetricFamily]],
        resource: Callable[[], OtlpResource],
        report: Report,
    ) -> None:
        """Raises UsageError for an address or a secret that cannot be used."""
        self._url = collector_url(config.otlp_endpoint or "")
        if config.offline and not stays_here(self._url):
            raise UsageError(
                "--offline is set, and the setting otlp_endpoint is another machine",
                hint="modelscan config set otlp_endpoint --unset",
                code="offline",
            )
        self._headers = {"Content-Type": "application/json"}
        if config.otlp_authorization is not None:
            self._headers["Authorization"] = resolve(config.otlp_authorization)
        self._interval_s = config.otlp_interval_s
        self._figures = figures
        self._resource = resource
        self._report = report
        self._fault: str | None = None

    async def run(self) -> None:
        """Report until cancelled; the last report is the one before the end."""
        async with AsyncHttpClient(HttpSettings(timeout_s=_TIMEOUT_S, pauses_s=())) as client:
            while True:
                await asyncio.sleep(self._interval_s)
                self._note(await self._send(client))

    async def _send(self, client: AsyncHttpClient) -> str | None:
        """Send one report; returns what failed."""
        body = metrics_request(self._figures(), self._resource(), time.time())
        limits = client.settings.limits(max_bytes=_MOST_ANSWER_BYTES, max_redirects=0)
        try:
            await client.send(
                "POST", self._url, headers=self._headers, body=msgspec.json.encode(body),
                limits=limits,
            )  # fmt: skip
        except HttpError as error:
            return f"status {error.status}" if error.status else error.message
        except ModelscanError as error:
            return error.message
        return None

    def _note(self, fault: str | None) -> None:
        """Report a collector that fails once, and once that it answers again."""
        if fault is not None and self._fault is None:
            text = f"the metrics could not be sent to {self._url}: {fault}"
            self._report(ServeEvent("warning", text, {"url": self._url}))
        elif fault is None and self._fault is not None:
            text = f"metrics are sent to {self._url} again"
            self._report(ServeEvent("collector", text, {"url": self._url}))
        self._fault = fault


def collector_url(endpoint: str) -> str:
    """Where metrics go: a collector's root gets the standard path. Raises UsageError."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"the setting otlp_endpoint is not a URL: '{endpoint}'",
            hint="modelscan config set otlp_endpoint http://127.0.0.1:4318",
        )
    if parts.username or parts.password:
        raise UsageError(
            "the setting otlp_endpoint has a password in it",
            hint="modelscan config set otlp_authorization env:NAME",
        )
    path = parts.path.rstrip("/")
    whole = path if path.endswith(_PATH) else path + _PATH
    return parts._replace(path=whole).geturl()
