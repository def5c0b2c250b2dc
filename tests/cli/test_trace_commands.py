"""``modelscan trace``: documents that follow their schemas, errors with a next step."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.trace_rows import hosted, receipt, talk

from modelscan.state.config import load
from modelscan.state.server.database import open_server
from modelscan.traces.answers import TraceAccess

Run = Callable[..., Ran]
SHOWN = f"{2:032x}"


@pytest.fixture
def some_requests(clean_environment: Path) -> Path:
    config = load({})
    with open_server(config) as database:
        access = TraceAccess(config, database)
        access.store.write([receipt(1), hosted(2, cached_tokens=100)])
        talk(access.store, access.contents, 3, "I am ada@firma.de", "Hello")
    return clean_environment


@pytest.mark.parametrize("words", [
    "list", "list --route cloud --status 200 --limit 1", "list --since 1m", f"show {SHOWN}",
    "cost", "cost --power 300 --tariff 0.3 --hardware 2000 --lifetime 3y --against openai/gpt-4o",
    "status", "on", "off", "on --content --route coder --key ada", "off --content",
    "prune --older-than 1d --sums", "export FOLDER/spans.jsonl --with-content",
    "export FOLDER/spans.json --format otlp-json",
    "dataset FOLDER/chats.jsonl --license CC-BY-4.0 --split 90/10 --yes",
])  # fmt: skip
def test_each_document_follows_its_schema(
    some_requests: Path, run_in_process: Run, tmp_path: Path, words: str
) -> None:
    arguments = words.replace("FOLDER", str(tmp_path)).split()
    ran = run_in_process("trace", *arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    name = ran.json["schema"].removeprefix("modelscan.").removesuffix("/1")
    schema = json.loads((REPOSITORY / "modelscan" / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(ran.json)
    for file in tmp_path.iterdir():
        if file.is_file():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert "ada@firma.de" not in file.read_text()


@pytest.mark.parametrize(("words", "code", "hint"), [
    ("show nothing", 2, "modelscan trace list"),
    ("on --route coder", 2, "modelscan trace on --content"),
    ("export .", 2, "modelscan trace export spans.jsonl"),
    ("dataset chats.jsonl --license MIT", 2, "--yes"),
    ("dataset chats.jsonl --license MIT --yes --split 9", 2, "--split 90/10"),
    ("dataset chats.jsonl --license MIT --yes --where colour=red", 2, "--where route=coder"),
    ("cost --price missing.yaml", 2, "input_usd_per_mtok"),
    ("cost --against no/such-model-at-all", 2, "modelscan"),
    ("prune --older-than soon", 2, "10m"),
])  # fmt: skip
def test_errors_have_a_next_step(
    some_requests: Path, run_in_process: Run, words: str, code: int, hint: str
) -> None:
    ran = run_in_process("trace", *words.split(), "--json")
    assert ran.code == code
    assert hint in ran.json["error"]["hint"]


def test_a_person_reads_what_left_the_machine(some_requests: Path, run_in_process: Run) -> None:
    shown = run_in_process("trace", "show", SHOWN).out
    assert "left_machine\t500 bytes (text, tools) to api.openai.com\n" in shown
    assert "content\tnot kept\n" in shown
    local = run_in_process("trace", "show", f"{3:032x}").out
    assert "left_machine\tnothing\n" in local and "user\tI am ada@firma.de\n" in local


def test_switching_is_in_the_log_of_changes(some_requests: Path, run_in_process: Run) -> None:
    run_in_process("trace", "on", "--content", "--route", "coder")
    changes = run_in_process("server", "audit", "--json").json["changes"]
    assert ("trace.content", "route coder") in [(one["action"], one["target"]) for one in changes]
