"""An OTLP collector that the user named: it gets JSON; one that fails is reported once."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.net.address import stays_here
from modelscan.net.async_client import AsyncHttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.state.config import Config
from modelscan.state.secrets import resolve

_TIMEOUT_S = 5.0
_MOST_ANSWER_BYTES = 1024 * 1024
METRICS, TRACES = "/v1/metrics", "/v1/traces"


class CollectorNotes:
    """Reports a collector that fails once, whatever is sent to it, and once that it answers."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._failing: set[str] = set()

    def note(self, what: str, url: str, fault: str | None) -> None:
        """The outcome of sending ``what``; None: the collector has it."""
        before = bool(self._failing)
        if fault is None:
            self._failing.discard(what)
        else:
            self._failing.add(what)
        if self._failing and not before:
            text = f"the {what} could not be sent to {url}: {fault}"
            self._report(ServeEvent("warning", text, {"url": url}))
        elif before and not self._failing:
            text = f"metrics and spans are sent to {url} again"
            self._report(ServeEvent("collector", text, {"url": url}))


class Collector:
    """Where one kind of reports goes: ``path`` is METRICS or TRACES, ``what`` their name in
    messages."""

    def __init__(self, config: Config, path: str, what: str, notes: CollectorNotes) -> None:
        """Raises UsageError for an address or a secret that cannot be used."""
        self._url = collector_url(config.otlp_endpoint or "", path)
        if config.offline and not stays_here(self._url):
            raise UsageError(
                "--offline is set, and the setting otlp_endpoint is another machine",
                hint="modelscan config set otlp_endpoint --unset",
                code="offline",
            )
        self._headers = {"Content-Type": "application/json"}
        if config.otlp_authorization is not None:
            self._headers["Authorization"] = resolve(config.otlp_authorization)
        self._what, self._notes = what, notes

    @staticmethod
    def client() -> AsyncHttpClient:
        """A client for it; closed by its owner."""
        return AsyncHttpClient(HttpSettings(timeout_s=_TIMEOUT_S, pauses_s=()))

    async def send(self, client: AsyncHttpClient, body: object) -> bool:
        """Post one report; a fault is reported. Whether it need not be sent again: the collector
        has it, or refuses it for good."""
        limits = client.settings.limits(max_bytes=_MOST_ANSWER_BYTES, max_redirects=0)
        fault, final = None, True
        try:
            await client.send(
                "POST", self._url, headers=self._headers, body=msgspec.json.encode(body),
                limits=limits,
            )  # fmt: skip
        except HttpError as error:
            fault = f"status {error.status}" if error.status else error.message
            final = error.status is not None and 400 <= error.status < 500 and error.status != 429
        except ModelscanError as error:
            fault, final = error.message, False
        self._notes.note(self._what, self._url, fault)
        return final


def collector_url(endpoint: str, path: str = METRICS) -> str:
    """Where reports go: the standard path at a collector's root, also where the endpoint names the
    path of the other kind. Raises UsageError."""
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
    root = parts.path.rstrip("/").removesuffix(METRICS).removesuffix(TRACES)
    return parts._replace(path=root + path).geturl()
