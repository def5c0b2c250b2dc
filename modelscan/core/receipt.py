"""One receipt per request that the gateway forwarded or refused. It never has prompt text."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Depth = Literal["small", "fast", "full"]
"""A small model; a larger one with thinking switched off; a larger one as it is."""


class RouteChoice(NamedTuple):
    """How a route led to a backend: the kind of its name, its strategy, its number of backends."""

    kind: str
    strategy: str
    candidates: int


class ToolUse(NamedTuple):
    """A tool that the model called, and how often; never its arguments."""

    name: str
    calls: int


Approval = Literal["allow", "deny", "confirm"]


class ToolDecision(NamedTuple):
    """What a tool policy decided about a tool that was offered, or called."""

    tool: str
    decision: Approval
    policy: str


class Receipt(msgspec.Struct, array_like=True, gc=False):
    """What happened to one request; times in seconds, sizes in bytes, unknown is None.

    ``status`` is the one that the caller saw (499: the caller left first). ``left_machine_bytes``
    are the bytes of the body that were sent to hosts that are not this machine (``left_hosts``,
    over all attempts), ``left_kinds`` what they were: text, tools, images, audio, files.
    ``window_tokens``: the context that the backend serves, ``window_source`` who says so.
    ``request_id``: the client's own, where it is not the ``trace_id``. ``approvals`` None: no tool
    policy applied, or no tool was offered. Between
    processes it is an array, and a stored row is one: a new field comes last, with a default.
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
    left_hosts: tuple[str, ...] = ()
    left_kinds: tuple[str, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    choice: RouteChoice | None = None
    depth: Depth | None = None
    window_tokens: int | None = None
    window_source: str | None = None
    wake_s: float | None = None
    request_id: str | None = None
    approvals: tuple[ToolDecision, ...] | None = None


class KeptContent(msgspec.Struct, array_like=True, gc=False):
    """The body of a request and its answer, for requests whose texts are kept by choice.

    ``cut``: one of them was longer than what is kept.
    """

    trace_id: str
    at: float
    request: bytes
    answer: bytes
    cut: bool = False
