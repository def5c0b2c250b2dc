"""Lists for a use: by named public scores, else by size class and date; the rest is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelscan.catalog.answers import LeftOutReason
from modelscan.catalog.browse import order_of, other_uses
from modelscan.catalog.index.read import Index
from modelscan.catalog.index.write import build
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.catalog.search.use_cases import GENERAL, USE_CASES
from modelscan.cli.catalog.filters import USES
from modelscan.core.errors import UsageError
from modelscan.core.model import Capabilities, Model, TokenLimits


def score(name: str, value: float, date: str = "2026-01-08") -> dict[str, Any]:
    return {"name": name, "score": value, "date": date, "source": "https://a.invalid"}


def model(name: str, billions: float, release: str = "2026-01-01", **facts: Any) -> Model:
    return Model(f"acme/{name}", name, task=facts.pop("task", "chat"), open_weights=True,
                 parameters=round(billions * 1e9), release_date=release, **facts)  # fmt: skip


MODELS = (
    model("strong", 9, benchmarks=(score(GENERAL[0], 40.0), score(GENERAL[1], 10.0))),
    model("weak", 300, benchmarks=(score(GENERAL[0], 5.0, "2026-06-29"),)),
    model("other-score", 9, benchmarks=(score(GENERAL[1], 70.0),)),
    model("good-coder", 9, benchmarks=(score("SWE-Bench Verified", 50.0),), tags=("coding",)),
    model("large-old", 70, "2024-01-01", capabilities=Capabilities(tools=True, vision=True)),
    model("large-new", 64, "2026-05-01", limits=TokenLimits(300_000)),
    model("small-new", 8, "2026-06-01", limits=TokenLimits(1_000_000), tags=("coding",)),
    model("hears", 1, task="speech_to_text"),
    model("embeds", 1, task="embedding"),
)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    build(MODELS, tmp_path / "index.sqlite3")
    return Index(tmp_path / "index.sqlite3")


def names(index: Index, use: str, **query: Any) -> list[str]:
    return [row.name for row in search(index, Query(use=use, limit=None, **query)).rows]


def test_scores_first_then_size_class_and_date(index: Index) -> None:
    """A model is placed by its first score; different benchmarks are not mixed."""
    assert names(index, "chat") == [
        "strong", "weak", "other-score", "large-new", "large-old", "small-new", "good-coder",
    ]  # fmt: skip
    assert names(index, "coding")[:4] == ["good-coder", "strong", "weak", "other-score"]
    assert names(index, "coding")[4:] == ["small-new", "large-new", "large-old"]  # made for it


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("agents", ["large-old"]),
        ("vision", ["large-old"]),
        ("transcription", ["hears"]),
        ("embedding", ["embeds"]),
        ("rerank", []),
        ("long-context", ["small-new", "large-new"]),
    ],
)
def test_a_use_needs_a_task_and_abilities(index: Index, use: str, expected: list[str]) -> None:
    """Unknown abilities do not pass."""
    assert names(index, use) == expected


def test_a_list_states_its_order_and_what_is_left_out(index: Index) -> None:
    """The score that placed each model, the dates, and the models for other tasks."""
    query = Query(use="chat", limit=3)
    page = search(index, query)
    assert [row.score and (row.score.name, row.score.value) for row in page.rows] == [
        (GENERAL[0], 40.0), (GENERAL[0], 5.0), (GENERAL[1], 70.0),
    ]  # fmt: skip
    assert (page.total, other_uses(index, query, page.total)) == (7, 2)
    order = order_of(query, page.rows)
    assert f"{GENERAL[0]} (2026-01-08 to 2026-06-29), then {GENERAL[1]} (2026-01-08)" in order
    embedding = Query(use="embedding")
    assert order_of(embedding, search(index, embedding).rows) == (
        "no public score for embedding is known here: by size class and release date"
    )


def test_pages_words_and_filters_apply(index: Index) -> None:
    """A use is a filter and an order, besides the others."""
    assert names(index, "chat", text="other score") == ["other-score"]
    assert names(index, "chat", max_parameters=10**10) == [
        "strong", "other-score", "small-new", "good-coder",
    ]  # fmt: skip
    second = search(index, Query(use="chat", limit=2, offset=2))
    assert [row.name for row in second.rows] == ["other-score", "large-new"]


def test_the_command_line_has_every_use() -> None:
    """It lists them itself, because importing the search costs start-up time."""
    assert tuple(USE_CASES) == USES


def test_an_unknown_use_is_refused(index: Index) -> None:
    with pytest.raises(UsageError, match="the uses are coding, agents"):
        search(index, Query(use="poetry"))


def test_every_group_has_words() -> None:
    from modelscan.cli.catalog.order import _WORDS

    assert set(_WORDS) == set(LeftOutReason)
