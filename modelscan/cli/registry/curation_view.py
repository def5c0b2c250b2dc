"""Curations and results as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Note, Table

if TYPE_CHECKING:
    from modelscan.registry.curation import Curation, CurationList
    from modelscan.registry.gates import GateCheck
    from modelscan.registry.results import ModelResults

_MOST_COLUMNS = 4
_NO_RESULTS = "there are no results: modelscan registry eval ingest FILE"


def curation_document(one: Curation) -> Document[Any]:
    """A curation with its gates, and what comes next."""
    approvals = ", ".join(row.by.name for row in one.approvals)
    pairs: list[tuple[str, object]] = [
        ("id", one.id),
        ("version", one.place),
        ("tag", one.tag),
        ("state", one.state),
        ("proposed", f"{one.proposed_at} by {one.proposer.name}"),
        ("approvals", approvals or None),
        ("flagged", f"{one.flagged.at}: {one.flagged.reason}" if one.flagged else None),
        ("reason", one.reason),
        ("changed", one.changed_at),
    ]
    blocks: list[Block] = [Fields(pairs)]
    if one.gates:
        blocks.append(_gates(one.gates))
    if one.state == "proposed":
        blocks.append(
            Note(f"another person approves it:\nmodelscan registry curate approve {one.id}")
        )
    return Document("registry.curation", one, blocks, [one.id])


def _gates(gates: tuple[GateCheck, ...]) -> Table:
    rows = [
        (
            gate.workload, gate.metric, f"{gate.op} {gate.threshold:g}",
            None if gate.observed is None else f"{gate.observed:g}", _age(gate.age_s),
            "yes" if gate.met else "no", gate.eval_id, gate.reason,
        )
        for gate in gates
    ]  # fmt: skip
    return Table(
        ("GATE", "METRIC", "NEEDS", "OBSERVED", "AGE", "MET", "RESULT", "REASON"), rows,
        optional=("RESULT", "AGE"), below=("REASON",),
    )  # fmt: skip


def _age(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def list_document(answer: CurationList) -> Document[Any]:
    """The curations, the newest first."""
    rows = [
        (
            one.id, one.place, one.tag, "flagged" if one.flagged and one.tagged else one.state,
            len(one.approvals), one.proposer.name,
        )
        for one in answer.curations
    ]  # fmt: skip
    table = Table(
        ("ID", "VERSION", "TAG", "STATE", "APPROVALS", "BY"), rows,
        numeric=("APPROVALS",), optional=("BY",),
        empty="nothing is proposed: modelscan registry curate propose SLUG@1 --tag curated",
    )  # fmt: skip
    return Document("registry.curations", answer, [table], [one.id for one in answer.curations])


def results_document(answer: ModelResults, wanted: tuple[str, ...] = ()) -> Document[Any]:
    """Results across models: a row per version, subject and load, a column per metric."""
    columns = _columns(answer, wanted)
    rows = [
        (
            f"{one.slug}@{one.version}", one.name, one.concurrency,
            *(_figure(one.metrics.get(name)) for name in columns), one.quantization, one.hardware,
            one.observed_at[:10],
        )
        for one in answer.results
    ]  # fmt: skip
    names = tuple(name.upper() for name in columns)
    table = Table(
        ("VERSION", "TASKS", "AT ONCE", *names, "FORMAT", "HARDWARE", "DATE"), rows,
        numeric=("AT ONCE", *names), optional=("AT ONCE", "HARDWARE", "FORMAT", "DATE"),
        empty=_NO_RESULTS,
    )  # fmt: skip
    blocks: list[Block] = [table, *_notes(answer)]
    return Document("registry.evals", answer, blocks, [one.id for one in answer.results])


def _notes(answer: ModelResults) -> list[Note]:
    notes = []
    for one in answer.ingested:
        how = f"by its {one.matched_by}" if one.matched_by != "named" else "as named"
        state = "stored" if one.new else "stored already"
        notes.append(Note(f"{one.report_id}: {state}, {one.slug}@{one.version} ({how})"))
        notes += [Note(f"flagged: modelscan registry curate status {name}") for name in one.flagged]
    if answer.next_cursor is not None:
        notes.append(Note(f"the next ones: --cursor {answer.next_cursor}"))
    return notes


def _columns(answer: ModelResults, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics to show: those that were requested, the one that sorts, the most frequent."""
    from collections import Counter

    counts = Counter(name for one in answer.results for name in one.metrics)
    sort = () if answer.sort is None else (answer.sort,)
    usual = [name for name, _ in counts.most_common()]
    preferred = [name for name in _USUAL if name in counts]
    names = tuple(dict.fromkeys((*sort, *wanted, *(() if wanted else (*preferred, *usual)))))
    return names[: max(len(sort) + len(wanted), _MOST_COLUMNS if not wanted else 0)]


_USUAL = ("accuracy", "f1", "pass_rate", "ttft_s.p50", "tokens_per_s", "output_tokens_per_s")


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
