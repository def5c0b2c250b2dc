"""What a run is to measure. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from modelscan.bench.slo import ServiceLevel
from modelscan.bench.workload import BenchWorkload
from modelscan.core.errors import UsageError

REQUEST_TIMEOUT_S = 600.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What to measure. ``concurrency`` () with a ``rate`` or with a scheduled workload.

    ``grow``: 1, 2, 4 … until the throughput no longer grows, or the limits are not kept.
    ``requests`` None: as many as the load needs; ``warmup`` None: as many as run at once.
    """

    route: str
    workload: BenchWorkload
    concurrency: tuple[int, ...] = (1,)
    grow: bool = False
    rate: float | None = None
    requests: int | None = None
    duration_s: float | None = None
    warmup: int | None = None
    repeats: int = 1
    slo: ServiceLevel | None = None
    seed: int = 7
    timeout_s: float = REQUEST_TIMEOUT_S
    api_key: str | None = None


def check_context(request: BenchRequest, served: int | None) -> None:
    """Raise UsageError where a synthetic prompt and its answer are longer than the served context
    (tokens; None: not known)."""
    needed = max(
        ((case.input_tokens or 0) + (case.max_tokens or 0) for case in request.workload.cases),
        default=0,
    )
    if served is not None and needed > served:
        raise UsageError(
            f"{needed:,} tokens are needed for a prompt and its answer, {request.route} serves "
            f"{served:,}",
            hint=f"modelscan bench run {shlex.quote(request.route)} --input-tokens {served // 2}",
            code="context",
        )
