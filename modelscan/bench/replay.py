"""The shapes of past requests as a workload: their lengths and times, never their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.bench.workload import BenchWorkload, PromptCase
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.core.receipt import Receipt
    from modelscan.state.config import Config

MOST_REQUESTS = 10_000


def replay_receipts(
    config: Config, since_s: float, now: float, route: str | None, *, keep_times: bool
) -> BenchWorkload:
    """The last requests of a route as synthetic prompts. ``now``: a UNIX time.

    ``keep_times``: they are sent with the pauses that they came with. Raises UsageError where no
    request has counted tokens.
    """
    from modelscan.bench.stored import server_database
    from modelscan.traces.store import ReceiptFilter, ReceiptStore

    with server_database(config) as database:
        only = ReceiptFilter(now - since_s, route, 200)
        receipts = ReceiptStore(database).newest(MOST_REQUESTS, only)
    return workload_of(receipts, keep_times=keep_times)


def workload_of(receipts: Sequence[Receipt], *, keep_times: bool) -> BenchWorkload:
    """The workload of receipts, the newest first. Pure."""
    counted = [one for one in reversed(receipts) if one.input_tokens and one.output_tokens]
    if not counted:
        raise UsageError(
            f"none of {len(receipts)} requests has counted tokens to repeat",
            hint="modelscan trace list",
            code="nothing_to_replay",
        )
    begin = counted[0].at
    cases = tuple(
        PromptCase(
            one.trace_id,
            max_tokens=one.output_tokens,
            input_tokens=one.input_tokens,
            at_s=one.at - begin if keep_times else None,
        )
        for one in counted
    )
    return BenchWorkload("receipts", cases, synthetic=True, ignore_eos=True)
