"""The lines below a list of models: why it has its order, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.catalog.answers import EntryScore, LeftOut, LeftOutReason
from modelscan.cli.document import Note

_WORDS = {
    LeftOutReason.OTHER_TASK: "for another task",
    LeftOutReason.TOO_LARGE: "too large",
    LeftOutReason.NO_ENGINE: "without an engine here",
    LeftOutReason.NOTHING_KNOWN: "of unknown size or files",
}


def order_notes(order: str, left_out: Sequence[LeftOut]) -> list[Note]:
    """``order: by public scores: …`` and ``left out: 12 too large, …``."""
    notes = [Note(f"order: {order}")] if order else []
    if left_out:
        groups = ", ".join(f"{group.count:,} {_WORDS[group.reason]}" for group in left_out)
        notes.append(Note(f"left out: {groups}"))
    return notes


def score_cell(score: EntryScore | None) -> str | None:
    """``33.9 Artificial Analysis Intelligence Index 2026-09-14``."""
    if score is None:
        return None
    return " ".join(str(part) for part in (score.value, score.name, score.date) if part)
