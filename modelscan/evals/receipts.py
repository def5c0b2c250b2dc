"""The gateway's receipts of a run's requests: who answered, and what it cost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelscan.core.errors import ModelscanError
from modelscan.core.request_id import trace_id_of
from modelscan.evals.job import SampleRow
from modelscan.evals.report import ToolPolicy
from modelscan.routing.file import load
from modelscan.routing.tool_format import spec_of
from modelscan.routing.tool_policy import stated
from modelscan.traces.existing import existing_database

if TYPE_CHECKING:
    from modelscan.core.receipt import Receipt
    from modelscan.evals.subject import EvalSubject
    from modelscan.state.config import Config
    from modelscan.traces.spans import Price

WAIT_S = 10.0
"""How long receipts are waited for: they are written in batches, after the answers."""
_LOOK_S = 0.1


def trace_ids(row: SampleRow) -> tuple[str, ...]:
    """The ids under which a gateway stored the requests of a sample."""
    return tuple(map(trace_id_of, row.request_ids))


def receipts_of(
    rows: Iterable[SampleRow], subject: EvalSubject, config: Config, wait_s: float = WAIT_S
) -> dict[str, Receipt]:
    """The receipts of the rows' requests by trace id; those of a gateway elsewhere are not here."""
    wanted = {one for row in rows for one in trace_ids(row)}
    if not (wanted and subject.gateway and subject.local):
        return {}
    try:
        with existing_database(config) as database:
            if database is None:
                return {}
            from modelscan.traces.choices import ChoiceStore
            from modelscan.traces.store import ReceiptStore

            kept, store = ChoiceStore(database).read().receipts, ReceiptStore(database)
            end = time.monotonic() + (wait_s if kept else 0.0)
            while True:
                found = store.find_all(wanted)
                if len(found) == len(wanted) or time.monotonic() >= end:
                    return found
                time.sleep(_LOOK_S)
    except ModelscanError:  # the commands about requests report it
        return {}


def answered_by(receipts: Mapping[str, Receipt]) -> tuple[str, ...]:
    """The routing file's entries that answered, in alphabetical order."""
    return tuple(sorted({one.backend for one in receipts.values() if one.backend}))


def gateway_policy(receipts: Mapping[str, Receipt], config: Config) -> ToolPolicy | None:
    """The routing file's tool policies that decided in these requests; None: none did."""
    decisions = (one for receipt in receipts.values() for one in receipt.approvals or ())
    names = sorted({one.policy for one in decisions})
    if not names:
        return None
    specs = map(spec_of, load(config.routing_file).tool_policies)
    stated_by_name = {one.name: stated(one) for one in specs}
    digest = hashlib.sha256(b"".join(stated_by_name.get(name, b"") for name in names))
    return ToolPolicy(", ".join(names), digest.hexdigest())


def cost_of(
    rows: Sequence[SampleRow],
    receipts: Mapping[str, Receipt],
    subject: EvalSubject,
    price: Price,
) -> tuple[float | None, str | None]:
    """US dollars of all samples and where the price is stated; (None, what is missing).

    A request without a receipt is priced by its answer's counts.
    """
    total, sources = 0.0, []
    for row in rows:
        for receipt in _requests(row, receipts, subject):
            cost, source = price(receipt)
            if cost is None:
                return None, source
            total += cost
            sources.append(source or "")
    return (total, "; ".join(dict.fromkeys(sources))) if sources else (None, "no request")


def _requests(
    row: SampleRow, receipts: Mapping[str, Receipt], subject: EvalSubject
) -> list[Receipt]:
    stored = [receipts[one] for one in trace_ids(row) if one in receipts]
    if stored and len(stored) == len(row.request_ids):
        return stored
    return [_from_answer(row, subject)]


def _from_answer(row: SampleRow, subject: EvalSubject) -> Receipt:
    from modelscan.core.receipt import Receipt

    return Receipt(
        trace_id="", at=0.0, operation="chat", requested_model=subject.model,
        backend=subject.entry or subject.provider, host=urlsplit(subject.endpoint).hostname,
        served_model=row.served_model or subject.model, tier=subject.tier,
        duration_s=row.seconds, input_tokens=row.prompt_tokens, output_tokens=row.completion_tokens,
        cached_tokens=row.cached_tokens,
    )  # fmt: skip


def with_entries(subject: EvalSubject, entries: Sequence[str], config: Config) -> EvalSubject:
    """The subject as the receipts know it: of several entries, only what they have in common."""
    from modelscan.evals.subject import of_entry

    if not entries or entries == (subject.entry,):
        return subject
    if len(entries) == 1:
        return of_entry(subject, entries[0], config)
    return replace(
        subject, entry=None, provider=", ".join(entries), deployment=None, known_model=None,
        engine=None, quantization=None, sha256=None, revision=None, parallel=None,
        memory_bytes=None,
    )  # fmt: skip
