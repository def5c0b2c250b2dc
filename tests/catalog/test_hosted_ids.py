"""Ids of providers that no source lists: the model they mean, by the rules of linking."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.catalog_facts import curated, repo, row, snapshot

from modelscan.catalog.index.read import Index
from modelscan.catalog.index.write import build
from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import MODELSDEV
from modelscan.catalog.search import hosted_ids
from modelscan.catalog.search.lookup import find_row
from modelscan.core.errors import UsageError


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """One provider with one row, and a repository that nobody hosts."""
    facts = curated()
    snapshots = [
        snapshot(
            MODELSDEV,
            row("host/acme/rocket-two", "Rocket 2 8B", "acme/rocket-2-8b"),
            row("host/acme/rkt-28", "Rocket 2 8B", "acme/rocket-2-8b"),
            row("host/acme/large", "Rocket 2 8B", "acme/rocket-2-8b"),
            row("host/rkt3", "Rocket 2 8B", "acme/rocket-2-8b"),
            row("other/rkt-3", "Rocket 3 9B", "acme/rocket-3-9b"),
        ),
        snapshot("llmfit", repo("AcmeAI/Rocket-2-8B"), repo("BoltLabs/Zap-1.5-30B-A3B")),
    ]
    build(merge(snapshots, facts), tmp_path / "index.sqlite3", least=lambda model: None)
    monkeypatch.setattr(hosted_ids, "curated", lambda: facts)
    return Index(tmp_path / "index.sqlite3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host/acme.rocket2-8b-v1:0", "acme/rocket-2-8b"),
        ("host/rocket-2:8b", "acme/rocket-2-8b"),
        ("host/acme/rocket-two:free", "acme/rocket-2-8b"),
        ("host/zap-1.5-30b-turbo", "bolt/zap-1.5-30b-a3b"),
        ("rkt-28", "acme/rocket-2-8b"),  # what a provider alone calls it
        ("unheard-of/boltlabs/zap-1.5-30b-a3b", "bolt/zap-1.5-30b-a3b"),
    ],
)
def test_the_rules_answer(index: Index, text: str, expected: str) -> None:
    """As for the ids that a source lists."""
    with index:
        assert index.model(find_row(index, text)).id == expected


@pytest.mark.parametrize(
    "text",
    [
        "host/rocket-latest",
        "host/rocket-chat",
        "host/else/zap-9b",
        "large",
        "rkt3",
        "unheard-of/pirate/rocket-2-8b",
    ],
)
def test_what_is_not_sure_stays_unknown(index: Index, text: str) -> None:
    """Moving names and other sizes: the nearest names, no guess."""
    with index, pytest.raises(UsageError):
        find_row(index, text)
