"""Every command that touches a deployment, in all four modes, against its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran

pytest_plugins = ("support.engine_fixtures",)

SCHEMAS = REPOSITORY / "modelscan" / "schemas"
Run = Callable[..., Ran]

COMMANDS = [
    ("deploy", ["deploy", "MODEL"]),
    ("deploy", ["deploy", "MODEL", "--context", "64", "--replace"]),
    ("deploy", ["deploy", "MODEL", "--dry-run"]),
    ("list", ["list"]),
    ("list", ["ls"]),
    ("show", ["show", "tiny"]),
    ("logs", ["logs", "tiny", "--tail", "2"]),
    ("stop", ["stop", "tiny"]),
    ("show", ["show", "tiny"]),
    ("start", ["start", "tiny"]),
    ("stop", ["stop", "--all"]),
    ("remove", ["remove", "tiny", "--yes"]),
    ("list", ["list"]),
]


@pytest.fixture
def run(run_in_process: Run, home: Path, model_file: Path) -> Run:
    def call(words: list[str], *flags: str) -> Ran:
        return run_in_process(*[str(model_file) if w == "MODEL" else w for w in words], *flags)

    return call


def validate(document: Any) -> None:
    name = document["schema"].removeprefix("modelscan.").removesuffix("/1")
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def test_json(run: Run) -> None:
    for schema, words in COMMANDS:
        done = run(words, "--json")
        assert done.code == 0, (words, done.out)
        assert done.json["schema"] == f"modelscan.{schema}/1"
        assert done.err == ""
        validate(done.json)


def test_pipe_is_tab_separated_with_the_name_first(run: Run) -> None:
    for schema, words in COMMANDS:
        done = run(words)
        assert done.code == 0, (words, done.err)
        assert "\x1b" not in done.out
        if schema in ("list", "start", "stop") and "tiny" in done.out:
            header, row = done.out.splitlines()[:2]
            assert header.split("\t")[:2] == ["NAME", "STATE"]
            assert row.split("\t")[0] == "tiny"
            assert header.count("\t") == row.count("\t")


def test_quiet_prints_names_only(run: Run) -> None:
    for schema, words in COMMANDS:
        done = run(words, "-q")
        assert done.code == 0, (words, done.err)
        if schema != "logs":
            assert done.out.split() in (["tiny"], [])
            assert done.err == ""


def test_events_and_the_last_document(run: Run) -> None:
    done = run(["deploy", "MODEL"], "--json", "--progress")
    *_, last = [json.loads(line) for line in done.out.splitlines()]
    assert last.pop("event") == "done"
    validate(last)


def test_a_failed_deploy_is_an_error_document(run: Run) -> None:
    done = run(["deploy", "MODEL", "--timeout", "0.001"], "--json")
    assert done.code == 5
    validate(done.json)
    failed = run(["list"], "--json").json
    validate(failed)
    assert failed["deployments"][0]["reason"]
