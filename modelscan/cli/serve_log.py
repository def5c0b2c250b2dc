"""The log of ``modelscan serve`` on standard error: sentences with the time, or one JSON object per
line. Its own thread writes: a reader that is stuck costs lines, never requests."""

from __future__ import annotations

import json
import queue
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, TextIO

from modelscan.core.jsonform import to_json

if TYPE_CHECKING:
    from modelscan.gateway.control.events import ServeEvent

LogFormat = Literal["text", "json"]
LineForm = Literal["text", "json", "events"]
"""``events``: what --json prints on standard output."""
_MOST_WAITING = 10_000
_CLOSE_S = 2.0
_LEVELS = {"warning": "warning", "invalid": "error", "worker": "error", "fault": "error"}


class ServeLog:
    """Writes events as lines; ``close`` waits a moment for the last ones."""

    def __init__(self, stream: TextIO, form: LineForm) -> None:
        self._stream = stream
        self._form = form
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, event: ServeEvent) -> None:
        """Queue an event's line; where too many wait it is dropped, and counted."""
        if self._dropped and not self._lines.full():
            count, self._dropped = self._dropped, 0
            text = f"{count} lines of the log were dropped: its reader is too slow"
            self._put(_line(self._form, "warning", text, {"dropped": count}))
        self._put(_line(self._form, event.name, event.text, event.values))

    def close(self) -> None:
        """Write what waits, for at most two seconds."""
        self._put(None)
        self._thread.join(_CLOSE_S)

    def _put(self, line: str | None) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):  # the reader is gone
                return


def _line(form: LineForm, name: str, text: str, values: dict[str, Any]) -> str:
    if form == "events":
        return json.dumps({"event": name, "text": text, **to_json(values)}) + "\n"
    now = datetime.now(timezone.utc)
    if form == "text":
        more = values.get("traceback")
        return f"{now.astimezone():%H:%M:%S} {text}\n" + (f"{more}" if more else "")
    state = values.get("state") or values.get("status")
    bad = state == "down" or (isinstance(state, int) and state >= 500)
    level = _LEVELS.get(name, "warning" if bad else "info")
    time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    row = {"time": time, "level": level, "event": name, "message": text, **to_json(values)}
    return json.dumps(row, ensure_ascii=False) + "\n"
