"""What an error answer of a backend means: pass it on, or try the next backend. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelscan.gateway.data.attempts import BackendAttempts
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.state import LiveBackend, LiveRoute
from modelscan.gateway.data.upstream import SendFailure, Upstream

_NOT_SERVED = frozenset((401, 403, 404, 429, 503))
"""The backend did not work on the request: another one may."""
_GAVE_UP = frozenset((500, 502, 504))
"""The backend may have worked on it: another one only if fallback is on or named by the route."""
_SIZE = frozenset((400, 413, 422))
_CONTEXT = re.compile(
    rb"context_length_exceeded|exceed_context_size|maximum context length|context (?:size|window|"
    rb"length)|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_COOL_S = 1.0
_COOL_MOST_S = 60.0


def retry_after_s(value: bytes) -> float | None:
    """Seconds of a Retry-After header; a date or nonsense is None."""
    text = value.strip()
    return float(text) if text.isdigit() and len(text) < 8 else None


def note_status(plan: RoutePlan, backend: LiveBackend, upstream: Upstream, now: float) -> None:
    """After 429 or 503 a backend comes after the others for as long as it requests."""
    if upstream.status in (429, 503) and plan.recorded:
        wait = retry_after_s(upstream.retry_after)
        backend.cool_until = now + min(_COOL_MOST_S, _COOL_S if wait is None else wait)
        plan.state.note_pause(backend)


def moves_on(status: int, route: LiveRoute, following: LiveRoute, fallback: bool) -> bool:
    """Whether a status means that the next backend is tried."""
    if status in _NOT_SERVED:
        return True
    return status in _GAVE_UP and (fallback or following is not route)


def may_repeat(
    failure: SendFailure, route: LiveRoute, following: LiveRoute, fallback: bool
) -> bool:
    """Whether a request without an answer may go to the next backend.

    One that was sent may be what broke the backend: it is repeated only if the file allows it.
    """
    return failure is SendFailure.NOT_SENT or fallback or following is not route


def is_about_size(status: int) -> bool:
    """Whether a status can mean that the request does not fit the context."""
    return status in _SIZE


def exceeds_context(body: bytes) -> bool:
    """Whether an error body says so. A refusal for safety or another reason does not."""
    return len(body) < 65_536 and _CONTEXT.search(body) is not None


def final_refusal(
    failure: SendFailure, attempts: BackendAttempts, failures: Sequence[str], plan: RoutePlan
) -> RefusedError:
    """What the client is answered when no backend answered."""
    name = plan.route.entry.name
    if attempts.made > 1:
        text = f"no backend of {name} answered: {'; '.join(failures)}"
        return RefusedError(Cause.UNAVAILABLE, text, retry_after=1)
    if attempts.made == 1:
        cause = Cause.UPSTREAM_SLOW if failure is SendFailure.SLOW else Cause.UPSTREAM
        return RefusedError(
            cause, "; ".join(failures) or f"the backend of {name} did not answer in time"
        )
    if attempts.unusable and plan.route.backends:
        text = f"no backend of {name} serves the operation {plan.operation}"
        return RefusedError(Cause.NOT_SUPPORTED, text)
    refused = plan.route.entry.refused
    reasons = "; ".join(candidate.reason for candidate in refused) or "all of them are down"
    return RefusedError(
        Cause.UNAVAILABLE, f"no backend of {name} is usable: {reasons}", retry_after=5
    )
