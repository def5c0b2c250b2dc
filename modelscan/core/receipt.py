"""One receipt per request that the gateway forwarded or refused. It never has prompt text."""

from __future__ import annotations

from typing import Literal

import msgspec


class Receipt(msgspec.Struct, array_like=True, gc=False):
    """What happened to one request; times in seconds, sizes in bytes, unknown is None.

    ``status`` is the one that the caller saw (499: the caller left first). ``left_machine_bytes``
    are the bytes of the body that were sent to a host that is not this machine. Between processes
    it is an array: one is made, sent and read for every request.
    """

    trace_id: str
    at: float
    operation: str
    requested_model: str
    route: str | None = None
    role: str | None = None
    reasons: tuple[str, ...] = ()
    served_model: str | None = None
    backend: str | None = None
    host: str | None = None
    tier: Literal["local", "self_hosted", "third_party"] | None = None
    status: int = 0
    error: str | None = None
    stream: bool = False
    ttft_s: float | None = None
    duration_s: float | None = None
    queue_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str | None = None
    retries: int = 0
    fallback_from: str | None = None
    key: str | None = None
    client: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    left_machine_bytes: int = 0
    wake_s: float | None = None
