"""Times and sizes of the data path that no routing file changes."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEAD = 32_768
"""Bytes of a request's head; also what chunk framing and trailers may add to a small body."""
MAX_ANSWER_HEAD = 65_536
HOLD = 262_144
"""An answer of up to so many bytes is sent only when it is whole: until then it may become a 502
or come from another backend. Also what is kept of a streamed upload for a second attempt."""
MAX_CONTROL_BODY = 8 * 1024 * 1024
SMALL_BODY = 16_384
"""Bodies up to this size are not counted as held memory."""
MAX_ATTEMPTS = 6
"""Backends that one request may reach, over all candidates and fallback routes."""
BATCH = 1024
"""Receipts that are sent at once."""
MAX_RECEIPTS = 20_000
"""Receipts that wait while the serving process reads none; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. One sweep checks every deadline, so that each may pass up to ``sweep_s`` late.

    ``body_s``: without any byte of a request's body. ``gap_s``: between two pieces of an answer.
    ``linger_s``: reading what a refused client still sends. ``idle_upstream_s``: engines on uvicorn
    close idle connections after 5 s, and the gateway does so earlier. ``drain_s``: after SIGTERM.
    ``renew_s``: between two looks at the certificates' files.
    """

    head_s: float = 10.0
    body_s: float = 30.0
    keep_alive_s: float = 75.0
    gap_s: float = 300.0
    linger_s: float = 3.0
    idle_upstream_s: float = 4.0
    drain_s: float = 30.0
    sweep_s: float = 0.5
    renew_s: float = 2.0
