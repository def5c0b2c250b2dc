"""Plans beside what practitioners start, from the rows that this repository has itself."""

from __future__ import annotations

import pytest

from benchmarks.experts import OWN, Expert, check, read
from modelscan.state.config import load


@pytest.mark.parametrize("row", read(OWN), ids=lambda row: f"{row.model} on {row.gpu} {row.args}")
def test_the_plan_is_what_a_practitioner_starts(
    row: Expert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    checked = check(row, load())
    assert not checked.causes, (
        checked.outcome.verdict,
        checked.outcome.reason,
        checked.outcome.plan,
    )
