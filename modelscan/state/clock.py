"""The current time as text."""

from __future__ import annotations

from datetime import datetime, timezone


def now_text() -> str:
    """The current time, RFC 3339 UTC with milliseconds: ``2026-01-31T09:30:00.125Z``."""
    return text_of(datetime.now(timezone.utc).timestamp())


def text_of(epoch_s: float) -> str:
    """Epoch seconds as RFC 3339 UTC with milliseconds."""
    moment = datetime.fromtimestamp(epoch_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(text: str | None) -> float | None:
    """Epoch seconds of RFC 3339 text; None if it is not."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
