"""Follows ``GET /v1/events`` of a registry in a thread, over lost connections.

Each connection goes on after the last event that arrived. What cannot be known (the first
connection, events that are not kept any more) is reported as a reset: everything may have changed.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings
from modelscan.registry.event_lines import ServerSentEvent, read_events
from modelscan.registry.types import RegistryEvent

RESET = "reset"
SILENCE_S = 45.0  # three times the server's keep-alive
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_REFUSED_S = 60.0  # a server without events, or without the right to read them
_MOST_WAITING = 1_000


class RegistryEventReader:
    """The thread. ``receive`` is called with every event, also with a reset."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        settings: HttpSettings,
        receive: Callable[[RegistryEvent], None],
    ) -> None:
        self._url = url
        self._headers = headers
        self._http = HttpClient(settings)
        self._receive = receive
        self._last: str | None = None
        self._lock = threading.Lock()
        self._watchers: list[queue.Queue[RegistryEvent | None]] = []
        self._settled = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def start(self, wait_s: float) -> None:
        """Start the thread once, and wait until it is connected or has failed."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                name = "modelscan-registry-events"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
        self._settled.wait(wait_s)

    def watch(self) -> Iterator[RegistryEvent]:
        """Every event from now on, until ``close``. Who is 1,000 behind gets a reset instead."""
        waiting: queue.Queue[RegistryEvent | None] = queue.Queue(_MOST_WAITING)
        with self._lock:
            self._watchers.append(waiting)
        return self._waited(waiting)

    def _waited(self, waiting: queue.Queue[RegistryEvent | None]) -> Iterator[RegistryEvent]:
        try:
            while not self._closed.is_set():
                event = waiting.get()
                if event is None:
                    return
                yield event
        finally:
            with self._lock:
                self._watchers.remove(waiting)

    def close(self) -> None:
        """End the thread and the watchers."""
        self._closed.set()
        self._http.cancel()
        with self._lock:
            for waiting in self._watchers:
                _put(waiting, None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._http.close()

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
            try:
                self._follow()
                failures = 0
            except HttpError as error:
                failures += 1
                if error.status is not None and 400 <= error.status < 500:
                    pause_s = _REFUSED_S
            except ModelscanError:  # offline, or an address that is none
                failures, pause_s = failures + 1, _REFUSED_S
            self._failed = True  # also where the stream ended: nothing may have arrived so far
            self._settled.set()
            self._closed.wait(pause_s)

    def _follow(self) -> None:
        """One connection; it ends with its stream."""
        headers = {**self._headers, "Accept": "text/event-stream"}
        if self._last is not None:
            headers["Last-Event-ID"] = self._last
        with self._http.lines("GET", self._url, headers=headers, silence_s=SILENCE_S) as lines:
            for event in read_events(self._opened(lines)):
                self._take(event)

    def _opened(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines; the first one says that every later event arrives."""
        for number, line in enumerate(lines):
            if number == 0:
                if self._last is None and self._failed:
                    self._send(_reset())
                elif self._last is None:  # what was read before this moment may be old
                    self._receive(_reset())
                self._settled.set()
            yield line

    def _take(self, event: ServerSentEvent) -> None:
        if event.id is not None:
            self._last = event.id
        self._send(_event(event))

    def _send(self, event: RegistryEvent) -> None:
        self._receive(event)
        with self._lock:
            for waiting in self._watchers:
                _put(waiting, event)


def _put(waiting: queue.Queue[RegistryEvent | None], event: RegistryEvent | None) -> None:
    """Never waits: a watcher that is too slow loses its events and gets a reset."""
    try:
        waiting.put_nowait(event)
    except queue.Full:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        waiting.put_nowait(_reset() if event is not None else None)


def _reset() -> RegistryEvent:
    return RegistryEvent(0, "", "", RESET, None, None, None, {})


def _event(event: ServerSentEvent) -> RegistryEvent:
    """The event; one that cannot be read counts as a reset."""
    try:
        data = json_value(event.data)
    except ValueError:
        return _reset()
    if not isinstance(data, dict) or event.event == RESET:
        return _reset()
    names = ("slug", "version", "etag")
    slug, version, etag = (
        data.get(name) if isinstance(data.get(name), str) else None for name in names
    )
    return RegistryEvent(
        id=int(event.id) if event.id is not None and event.id.isdigit() else 0,
        at=str(data.get("at", "")),
        actor=str(data.get("actor", "")),
        event=event.event,
        slug=slug,
        version=version,
        etag=etag,
        data={key: one for key, one in data.items() if key not in (*names, "at", "actor")},
    )
