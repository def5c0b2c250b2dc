"""The table of features claims only what a test shows; the gates have measured figures."""

from __future__ import annotations

import pytest

from scripts.docs_features import TABLE, FeatureRow, counts, faults, read_table
from scripts.gates import GATES, gates_page, read_figures


@pytest.fixture(scope="module")
def rows() -> list[FeatureRow]:
    return read_table(TABLE.read_text(encoding="utf-8"))


def test_nothing_works_without_a_test(rows: list[FeatureRow]) -> None:
    assert list(faults(rows)) == []
    assert sum(counts(rows).values()) == 228


@pytest.mark.parametrize(
    ("proof", "fault"),
    [("nothing:here", "no test"), ("features:no_such_test", "no test"), ("-", "nothing shows it"),
     ("`make nothing`", "no make nothing")],
)  # fmt: skip
def test_a_claim_without_its_test_is_a_fault(proof: str, fault: str) -> None:
    rows = read_table(f"A. Part\n1 | works | It | {proof}\n")
    assert any(fault in text for text in faults(rows))


def test_the_pages_are_what_the_tables_say() -> None:
    """Figures belong to gates that exist, and each is on the page with its command."""
    figures = read_figures()
    assert set(figures) <= {gate.name for gate in GATES}
    page = gates_page()
    assert all(f"`{figure.command}`" in page for figure in figures.values())
    assert page.count("not measured |") == len(GATES) - len(figures)
