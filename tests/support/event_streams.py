"""A reader of ``GET /v1/events`` over a plain connection, in a thread."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator

from support.patience import COMMAND_S

from modelscan.registry.event_lines import ServerSentEvent, read_events


class EventStream:
    """The events that arrived so far; ``lines`` also has the comments."""

    def __init__(self, url: str, query: str = "", key: str | None = None, **headers: str) -> None:
        self.events: list[ServerSentEvent] = []
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._news = threading.Condition()
        self._connection = http.client.HTTPConnection(url.partition("//")[2], timeout=120)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        self._connection.request("GET", f"/v1/events{query}", headers=sent)
        self.answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if self.answer.status == 200:
            self.until(lambda: "" in self.lines)  # the opening: it is a reader now

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition over what arrived."""
        with self._news:
            assert self._news.wait_for(condition, COMMAND_S), self.events[-5:]

    def named(self, name: str) -> list[ServerSentEvent]:
        """The events of a name."""
        return [one for one in self.events if one.event == name]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(2)
        self._thread.join(COMMAND_S)
        self._connection.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            for event in read_events(self._lines()):
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()
        self.ended.set()
        with self._news:
            self._news.notify_all()

    def _lines(self) -> Iterator[str]:
        while line := self.answer.readline():
            text = line.decode().rstrip("\n")
            with self._news:
                self.lines.append(text)
                self._news.notify_all()
            yield text
