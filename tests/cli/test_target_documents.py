"""``target …``, ``adopt``, ``update`` and ``restart`` without a server: documents and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY

Run = Callable[..., Any]
SCHEMAS = REPOSITORY / "modelscan" / "schemas"
DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, run_in_process: Run) -> None:
    monkeypatch.setenv("LAB_KEY", "gpustack_planted_secret_0123456789")
    run_in_process("target", "add", "lab", DEAD, "--key", "env:LAB_KEY")


CASES: list[tuple[list[str], str, int]] = [
    (["target", "add", "two", DEAD, "--cluster", "west", "--default"], "target.add", 0),
    (["target", "list"], "target.list", 0),
    (["target", "use", "lab"], "target.use", 0),
    (["target", "test", "lab"], "target.test", 5),
    (["target", "remove", "lab"], "target.remove", 0),
    (["target", "add", "two", DEAD, "--key", "literal"], "error", 2),
    (["target", "use", "lob"], "error", 2),
    (["list"], "list", 0),
    (["gpu", "--target", "lab"], "error", 5),
    (["plan", "examples/demo-model.gguf", "--target", "lab"], "error", 5),
    (["deploy", "examples/demo-model.gguf", "--target", "lab"], "error", 5),
    (["deploy"], "error", 2),
    (["deploy", "-f", "no-such-file.yaml"], "error", 2),
    (["adopt", "theirs", "--target", "lab"], "error", 5),
    (["update", "nothing", "--replicas", "2"], "error", 2),
    (["update", "nothing"], "error", 2),
    (["restart", "nothing"], "error", 2),
    (["route", "validate"], "route.validate", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "schema", "code"), CASES, ids=lambda v: "-".join(v) if isinstance(v, list) else None
)
def test_documents(words: list[str], schema: str, code: int, run_in_process: Run) -> None:
    done = run_in_process(*words, "--json")
    assert done.code == code, done.out + done.err
    document = json.loads(done.out)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    assert "planted_secret" not in done.out + done.err


def test_a_server_that_is_away_is_a_warning_of_list(run_in_process: Run) -> None:
    warnings = json.loads(run_in_process("list", "--json").out)["warnings"]
    assert any("did not answer" in text for text in warnings)


def test_offline_sends_nothing(run_in_process: Run) -> None:
    run_in_process("target", "add", "far", "http://gpustack.example", "--key", "env:LAB_KEY")
    done = run_in_process(
        "deploy", "examples/demo-model.gguf", "--target", "far", "--offline", "--json"
    )
    assert json.loads(done.out)["error"]["code"] == "offline"


def test_a_literal_secret_is_refused(run_in_process: Run) -> None:
    done = run_in_process("update", "x", "--env", "HF_TOKEN=hf_abc", "--json")
    assert done.code == 2
