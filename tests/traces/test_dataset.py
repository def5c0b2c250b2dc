"""Datasets: only complete conversations, none twice, split by conversation, with consent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.trace_rows import talk

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess, write_dataset
from modelscan.traces.dataset import DatasetWish, parse_split, parse_where
from modelscan.traces.near_duplicates import NearDuplicates
from modelscan.traces.store import EVERY

LONG = " ".join(f"word{n}" for n in range(200))


@pytest.fixture
def access(clean_environment: Path) -> Iterator[TraceAccess]:
    config = load({})
    with ServerDatabase.open(config.paths.state) as database:
        yield TraceAccess(config, database)


def rows(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_duplicates_and_incomplete_conversations_are_left_out(
    access: TraceAccess, tmp_path: Path
) -> None:
    store, texts = access.store, access.contents
    talk(store, texts, 1, "Hi", "Hello, who are you?")
    talk(store, texts, 2, "Hi", "Hello, who are you?", "Ada, ada@firma.de", "Welcome")
    talk(store, texts, 3, "Hi", "Hello, who are you?", "Ada, ada@firma.de", "Welcome")
    talk(store, texts, 4, f"Summarize {LONG}", "short")
    talk(store, texts, 5, f"Summarize {LONG} please", "short")
    talk(store, texts, 6, "Count", "1 2 3", finish_reason="length")
    talk(store, texts, 7, "Fail", "no", status=500)
    talk(store, texts, 8, "Other", "route", route="else")
    wish = DatasetWish("CC-BY-4.0", True, parse_where(["route=coder"]))
    answer = write_dataset(access, tmp_path / "chats.jsonl", wish, EVERY)
    assert answer.rows == 2
    found = answer.duplicates
    assert (found.exact, found.contained, found.near) == (1, 1, 1)
    assert answer.left_out == {"ended by length": 1, "failed": 1}
    first = rows(answer.files[0].file)[0]
    assert [m["content"] for m in first["messages"]][2] == "Ada, [redacted:email:1]"
    assert first["metadata"]["license"] == "CC-BY-4.0"
    provenance = json.loads(Path(answer.provenance_file).read_text())
    assert provenance["consent"]["stated_by_option"] == "--yes"
    assert provenance["files"][0]["sha256"] == answer.files[0].sha256


def test_the_split_is_by_conversation_and_the_same_for_the_same_seed(
    access: TraceAccess, tmp_path: Path
) -> None:
    for n in range(60):
        question = f"question number {n} about {n * 7919} {n * 31}"
        talk(access.store, access.contents, 2 * n, question, f"answer a {n}")
        talk(access.store, access.contents, 2 * n + 1, question, f"answer b {n * 17}")
    wish = DatasetWish("MIT", True, split=parse_split("80/20", 3))
    first = write_dataset(access, tmp_path / "chats.jsonl", wish, EVERY)
    train, test = ([r["metadata"]["conversation"] for r in rows(one.file)] for one in first.files)
    assert not set(train) & set(test)
    assert 70 <= 100 * len(train) / (len(train) + len(test)) <= 90
    again = write_dataset(access, tmp_path / "again.jsonl", wish, EVERY)
    assert [one.sha256 for one in again.files] == [one.sha256 for one in first.files]


def test_nothing_is_written_without_consent_or_license(access: TraceAccess, tmp_path: Path) -> None:
    talk(access.store, access.contents, 1, "Hi", "Hello")
    file = tmp_path / "chats.jsonl"
    for wish in (DatasetWish("MIT", False), DatasetWish("whatever you like", True)):
        with pytest.raises(UsageError):
            write_dataset(access, file, wish, EVERY)
    with pytest.raises(ModelscanError, match="no kept conversation"):
        write_dataset(access, file, DatasetWish("MIT", True, {"route": "none"}), EVERY)
    assert list(tmp_path.glob("chats*")) == []


@pytest.mark.parametrize("text", ["90", "90/20", "0/100x", "a/b", "-10/110"])
def test_a_split_adds_up_to_a_hundred(text: str) -> None:
    with pytest.raises(UsageError, match="is no split"):
        parse_split(text, 0)


def test_near_in_languages_without_blanks() -> None:
    """One other character of many is near; another text, or other signs, are not."""
    near = NearDuplicates()
    chinese = "".join(chr(0x4E00 + (at * 37) % 5000) for at in range(120))
    assert not near.seen(chinese)
    assert near.seen(chinese[:60] + "變" + chinese[61:])
    assert not near.seen(chinese[::-1])
    assert not near.seen("\U0001f600\U0001f600")
    assert not near.seen("?!")
    assert near.seen("?!")


def test_near_is_four_fifths_of_the_runs_of_words() -> None:
    words = LONG.split()
    near = NearDuplicates()
    assert not near.seen(LONG)
    assert near.seen(" ".join([*words[:100], "changed", *words[101:]]).upper())
    assert not near.seen(" ".join(words[::-1]))
    assert not near.seen(" ".join(words[:100]))  # half of it
