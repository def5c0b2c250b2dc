"""How fast models answered here: from the newest requests."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.here import MeasuredHere
from modelscan.state.clock import text_of
from modelscan.traces.existing import existing_database

if TYPE_CHECKING:
    from modelscan.core.receipt import Receipt
    from modelscan.state.config import Config

_NEWEST = 2_000
Served = tuple[str, str]
"""A host and the name of a model there."""


class MeasuredRequests:
    """Requests by the entry that answered, and by host and model."""

    def __init__(self, receipts: Iterable[Receipt]) -> None:
        entries: defaultdict[str, list[Receipt]] = defaultdict(list)
        places: defaultdict[Served, list[Receipt]] = defaultdict(list)
        for one in receipts:
            if one.status == 200 and one.backend is not None:
                entries[one.backend].append(one)
                places[one.host or "", (one.served_model or "").lower()].append(one)
        self.entries: Mapping[str, MeasuredHere] = {k: _measured(v) for k, v in entries.items()}
        self.places: Mapping[Served, MeasuredHere] = {k: _measured(v) for k, v in places.items()}


def _measured(receipts: list[Receipt]) -> MeasuredHere:
    """The newest one comes first."""
    firsts = [one.ttft_s for one in receipts if one.ttft_s is not None]
    speeds = [speed for one in receipts if (speed := _speed(one)) is not None]
    return MeasuredHere(
        requests=len(receipts),
        ttft_s=statistics.median(firsts) if firsts else None,
        tokens_per_s=statistics.median(speeds) if speeds else None,
        newest_at=text_of(receipts[0].at),
    )


def _speed(one: Receipt) -> float | None:
    """Output tokens per second: of a stream after its first byte, else over the whole time."""
    if not one.output_tokens or one.duration_s is None:
        return None
    waited = one.queue_s or 0.0
    seconds = one.duration_s - ((one.ttft_s or 0.0) if one.stream else waited)
    tokens = one.output_tokens - 1 if one.stream else one.output_tokens
    return tokens / seconds if seconds > 0 and tokens > 0 else None


def measured_here(config: Config) -> MeasuredRequests:
    """The newest requests; none where there is no server's database. Nothing is created."""
    try:
        with existing_database(config) as database:
            if database is None:
                return MeasuredRequests(())
            from modelscan.traces.store import ReceiptStore

            return MeasuredRequests(ReceiptStore(database).newest(_NEWEST))
    except ModelscanError:  # the commands about requests report it
        return MeasuredRequests(())
