"""Every command in human, pipe, JSON and quiet mode; every JSON document against its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran

SCHEMAS = REPOSITORY / "modelscan" / "schemas"
DEMO = "examples/demo-model.gguf"

# (arguments, schema, exit code). Commands that change a deployment are in test_lifecycle_documents.
CASES: list[tuple[list[str], str, int]] = [
    (["config", "show"], "config.show", 0),
    (["config", "get", "goal"], "config.get", 0),
    (["config", "set", "goal", "speed"], "config.set", 0),
    (["config", "path"], "config.path", 0),
    (["completion", "bash"], "completion", 0),
    (["route", "list"], "route.list", 0),
    (["route", "show", "cloud"], "route.show", 0),
    (["route", "resolve", "cloud"], "route.resolve", 0),
    (["route", "resolve", "nothing"], "route.resolve", 2),
    (["route", "validate"], "route.validate", 0),
    (["route", "test", "dead"], "route.test", 5),
    (["route", "test", "cloud", "--offline"], "error", 5),
    (["doctor"], "doctor", 0),
    (["list"], "list", 0),
    (["gpu"], "gpu", 0),
    (["gpu", "--gpu", "2x RTX 4090"], "gpu", 0),
    (["gpu", "--gpu", "RTX 4091"], "error", 2),
    (["gpu", "facts", "RTX 4090"], "gpu.facts", 0),
    (["catalog", "search", "qwen"], "catalog.search", 0),
    (["catalog", "search", "zzzzqqqq"], "catalog.search", 0),
    (["catalog", "list", "--limit", "3"], "catalog.list", 0),
    (["catalog", "info", "qwen3-8b"], "catalog.info", 0),
    (["catalog", "info", "no-such-model-anywhere"], "error", 2),
    (["catalog", "sources"], "catalog.sources", 0),
    (["catalog", "passport", "openai/gpt-4o"], "catalog.passport", 0),
    (["catalog", "passport", "qwen3-8b", "--offline"], "catalog.passport", 0),
    (["catalog", "passport", "nothing.gguf"], "error", 2),
    (["catalog", "sync", "--offline"], "error", 5),
    (["estimate", DEMO, "--context", "1024"], "estimate", 0),
    (["estimate", "qwen3-8b", "--gpu", "RTX 4090", "--backend", "vllm"], "estimate", 0),
    (["plan", DEMO, "--gpu", "RTX 4090"], "plan", 0),
    (["plan", "deepseek-r1", "--gpu", "RTX 4090"], "plan", 3),
    (["plan", "qwen3-8b", "--gpu", "RTX 4090", "-o", "yaml"], "plan.body", 0),
    (["plan", "qwen3-8b", "--gpu", "none", "-o", "json"], "error", 3),
    (["deploy", DEMO, "--dry-run"], "deploy", 0),
    (["deploy", "openai/gpt-4o"], "error", 3),
    (["show", "nothing"], "error", 2),
]  # fmt: skip

ROUTING = """\
version: 1
routing:
  mode: direct
  direct:
    default_provider: cloud
    providers:
      - {name: cloud, type: openai, base_url: "https://api.example.com", model: x/y}
      - {name: dead, type: local, base_url: "http://127.0.0.1:9", model: m}
"""


@pytest.fixture(autouse=True)
def routing(clean_environment: Path) -> None:
    file = clean_environment / "config" / "routing.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(ROUTING)


def schema(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return value


IDS = [" ".join(arguments) for arguments, _, _ in CASES]


@pytest.mark.parametrize(("arguments", "name", "code"), CASES, ids=IDS)
def test_json_follows_its_schema(
    run_in_process: Callable[..., Ran], arguments: list[str], name: str, code: int
) -> None:
    """One object, its schema's, the right exit code, silence on stderr."""
    ran = run_in_process(*arguments, "--json")
    assert (ran.code, ran.err) == (code, "")
    jsonschema.validate(ran.json, schema(name), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("arguments", "name", "code"), CASES, ids=IDS)
def test_pipe_is_plain(
    run_in_process: Callable[..., Ran], arguments: list[str], name: str, code: int
) -> None:
    """No colour, no padding; an error leaves stdout empty and says what to do."""
    ran = run_in_process(*arguments)
    assert ran.code == code
    assert "\x1b" not in ran.out + ran.err
    assert "Traceback" not in ran.err
    if name == "error":
        assert ran.out == ""
        assert ran.err.partition("error: ")[2]
        assert "\n\nhint: " in ran.err


@pytest.mark.parametrize(("arguments", "name", "code"), CASES, ids=IDS)
def test_quiet_prints_ids_only(
    run_in_process: Callable[..., Ran], arguments: list[str], name: str, code: int
) -> None:
    """One id per line, the exit code unchanged."""
    ran = run_in_process(*arguments, "-q")
    assert ran.code == code
    if name not in ("completion", "error", "config.path", "route.validate"):
        assert all(line and "\t" not in line for line in ran.out.splitlines())


def test_human_output_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, run_in_process: Callable[..., Ran]
) -> None:
    """On a terminal the same answers are aligned columns."""
    from modelscan.cli.output import Mode, Output

    detect = Output.detect.__func__  # type: ignore[attr-defined]

    def as_human(cls: type[Output], **flags: Any) -> Output:
        output: Output = detect(cls, **flags)
        output.mode = Mode.HUMAN
        return output

    monkeypatch.setattr(Output, "detect", classmethod(as_human))
    for arguments, name, code in CASES:
        if name in ("error", "completion"):
            continue
        ran = run_in_process(*arguments)
        assert ran.code == code, arguments
        assert "\t" not in ran.out, arguments


def test_every_schema_is_used_and_valid() -> None:
    """A schema without a command, or not a schema, is a mistake."""
    for path in SCHEMAS.glob("*.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
        const = json.loads(path.read_text())["properties"]["schema"]["const"]
        assert const == f"modelscan.{path.stem}/1"
