"""``modelscan registry``: documents that follow their schemas, errors with a next step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran

Run = Callable[..., Ran]
DEMO = str(REPOSITORY / "examples" / "demo-model.gguf")


def document(ran: Ran, name: str) -> Any:
    """The document of a command that succeeded, checked against its schema."""
    assert ran.code == 0, ran.out + ran.err
    assert ran.json["schema"] == f"modelscan.{name}/1"
    schema = json.loads((REPOSITORY / "modelscan" / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(ran.json)
    return ran.json


@pytest.fixture
def registry(run_in_process: Run) -> Callable[..., Any]:
    """Run a command and return its document: ``registry("show a", "registry.model")``."""

    def run(words: str, name: str) -> Any:
        return document(run_in_process("registry", *words.split(), "--json"), name)

    return run


def test_a_file_becomes_a_model_with_its_facts(registry: Callable[..., Any]) -> None:
    shown = registry(f"add acme/demo --from {DEMO}", "registry.model")
    assert (shown["license"], shown["context_tokens"]) == ("apache-2.0", 1024)
    assert (shown["visibility"], shown["latest_version"]) == ("private", None)
    version = shown["versions"][0]
    assert (version["state"], version["quantization"]) == ("draft", "Q8_0")
    assert version["weights_url"] == f"file://{DEMO}"
    assert len(version["files"][0]["sha256"]) == 64
    assert version["min_vram_bytes"] > version["size_bytes"] and version["context_tokens"] == 1024
    larger = registry(f"add acme/short --from {DEMO} --context 512", "registry.model")
    assert larger["versions"][0]["min_vram_bytes"] < version["min_vram_bytes"]


def test_a_version_from_its_draft_to_its_end(registry: Callable[..., Any]) -> None:
    registry(f"add acme/demo --from {DEMO}", "registry.model")
    resolved = registry("resolve acme/demo", "registry.resolve")
    assert resolved["chosen_by"] == "newest_draft" and resolved["warnings"]
    published = registry("version publish acme/demo@1", "registry.version")
    assert published["state"] == "published"
    same = registry(f"version add acme/demo --from {DEMO}", "registry.version")
    assert same["version"] == "1"
    second = registry(
        "version add acme/demo weights_url=https://host/acme/demo revision=abc"
        " min_vram_bytes=2GiB lineage.base=acme/demo@1 lineage.adapter=yes --publish",
        "registry.version",
    )
    assert (second["version"], second["min_vram_bytes"]) == ("2", 2 << 30)
    assert second["lineage"]["base"] == "acme/demo@1" and second["lineage"]["adapter"] is True
    registry("tag add acme/demo@2 quick", "registry.version")
    registry("alias set acme/demo champion 1", "registry.model")
    resolved = registry("resolve acme/demo@champion", "registry.resolve")
    assert (resolved["version"], resolved["aliases"]) == ("1", ["champion"])
    assert set(resolved["sha256"]) == {"demo-model.gguf"}
    assert registry("resolve acme/demo@2", "registry.resolve")["tags"] == ["quick"]
    deprecated = registry("edit acme/demo@2 state=deprecated", "registry.version")
    assert deprecated["state"] == "deprecated"
    registry("alias rm acme/demo champion", "registry.model")
    assert registry("resolve acme/demo", "registry.resolve")["version"] == "1"
    registry("tag rm acme/demo@2 quick", "registry.version")
    events = [one["event"] for one in registry("history acme/demo", "registry.history")["events"]]
    assert events[0] == "tag.removed" and events[-1] == "model.created"
    assert registry("remove acme/demo --yes", "registry.remove")["removed"] == ["acme/demo"]
    assert registry("list", "registry.list")["models"] == []


def test_lists_are_filtered(registry: Callable[..., Any]) -> None:
    registry(f"add acme/demo --from {DEMO}", "registry.model")
    registry("add acme/large family=llama modalities=text,image parameters=7", "registry.model")
    registry("tag add acme/demo@1 quick", "registry.version")

    def slugs(words: str) -> list[str]:
        return [one["slug"] for one in registry(f"list {words}", "registry.list")["models"]]

    assert slugs("") == ["acme/demo", "acme/large"]
    for words in ("--tag quick", "--max-vram 1", "--license apache-2.0", "--min-context 512",
                  "demo", "modelsc --family llama"):  # fmt: skip
        assert slugs(words) == ["acme/demo"], words
    assert slugs("--modality text,image") == ["acme/large"]
    assert slugs("--min-context 2k") == [] and slugs("--tag quick --tag other") == []
    page = registry("list --limit 1", "registry.list")
    assert page["total"] == 2
    rest = registry(f"list --limit 1 --cursor {page['next_cursor']}", "registry.list")
    assert [one["slug"] for one in rest["models"]] == ["acme/large"]


def test_an_export_comes_back_byte_by_byte(
    registry: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry(f"add acme/demo --from {DEMO} --publish description=Écrit", "registry.model")
    registry("version add acme/demo weights_url=https://host/b", "registry.version")
    registry("remove acme/demo@2", "registry.remove")
    registry("tag add acme/demo@1 quick", "registry.version")
    registry("alias set acme/demo champion 1", "registry.model")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert registry(f"export {first}", "registry.export")["versions"] == 1
    monkeypatch.setenv("MODELSCAN_HOME", str(tmp_path / "other"))
    assert registry(f"import {first}", "registry.import")["models"] == 1
    assert registry(f"import {first}", "registry.import")["unchanged"] == 2
    registry(f"export {second}", "registry.export")
    assert first.read_bytes() == second.read_bytes()
    third = registry("version add acme/demo weights_url=https://host/c", "registry.version")
    assert third["version"] == "3"


@pytest.mark.parametrize(("words", "code", "hint"), [
    ("show nothing", 2, "modelscan registry list"),
    ("show dem", 2, "modelscan registry show demo"),
    ("show demo@9", 2, "modelscan registry show demo"),
    ("show demo@champion", 2, "modelscan registry show demo"),
    ("add demo", 1, "registry version add demo --help"),
    ("add Not/A/Slug", 2, "modelscan registry"),
    ("add other --from /missing.gguf", 2, "modelscan"),
    ("add other --quant Q4_0", 2, "--from"),
    ("edit demo licence=mit", 2, None),
    ("edit demo context_tokens=many", 2, "8192 or 32k"),
    ("edit demo family=x --if-match 0000", 1, "read it again"),
    ("edit demo@1 quantization=Q4_0", 1, "modelscan registry version add demo --help"),
    ("alias set demo latest 1", 2, "alias set --help"),
    ("alias set demo v2 1", 2, "alias set --help"),
    ("alias rm demo champion", 2, "modelscan registry show demo"),
    ("tag rm demo@1 quick", 2, "modelscan registry show demo"),
    ("version publish demo", 2, "modelscan registry show demo"),
    ("remove demo", 2, "modelscan registry rm demo --yes"),
    ("remove demo@1", 1, "modelscan registry version add"),
    ("import /missing.jsonl", 2, "ls -l"),
    ("import README.md", 2, None),
    ("list --cursor garbage", 2, "leave the cursor out"),
])  # fmt: skip
def test_errors_have_a_next_step(
    registry: Callable[..., Any], run_in_process: Run, words: str, code: int, hint: str | None
) -> None:
    registry(f"add demo --from {DEMO} --publish", "registry.model")
    ran = run_in_process("registry", *words.split())
    assert ran.code == code, ran.err
    assert ran.err.startswith("error: ") and "Traceback" not in ran.err
    if hint is not None:
        assert hint in ran.err, ran.err


def test_a_damaged_import_changes_nothing(
    registry: Callable[..., Any], run_in_process: Run, tmp_path: Path
) -> None:
    registry(f"add demo --from {DEMO}", "registry.model")
    file = tmp_path / "all.jsonl"
    registry(f"export {file}", "registry.export")
    registry("remove demo", "registry.remove")
    lines = file.read_bytes().splitlines(keepends=True)
    for damaged in (
        lines[0] + lines[1] + b"{",
        lines[0] + lines[2] + lines[1],
        lines[0] + lines[1] + lines[2] + lines[2],
        lines[0] + lines[1].replace(b'"aliases":{}', b'"aliases":{"champion":"7"}'),
        lines[0] + lines[1].replace(b'"slug":"demo"', b'"slug":"../demo"'),
        lines[0] + lines[1].replace(b'"updated_at":"2', b'"updated_at":"x2'),
        lines[1], b"", b"\xff\xfe" * 10, b"[" * 50_000,
    ):  # fmt: skip
        file.write_bytes(damaged)
        ran = run_in_process("registry", "import", str(file))
        if damaged:
            assert ran.code == 2 and ran.err.startswith("error: "), (damaged[-40:], ran.err)
    assert registry("list", "registry.list")["models"] == []


def test_two_at_once_are_both_stored(registry: Callable[..., Any]) -> None:
    registry("add demo", "registry.model")
    command = [sys.executable, "-m", "modelscan", "registry", "version", "add", "demo"]
    running = [
        subprocess.Popen([*command, f"weights_url=https://host/{n}"], stdout=subprocess.DEVNULL)
        for n in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    shown = registry("show demo", "registry.model")
    assert [one["version"] for one in shown["versions"]] == ["4", "3", "2", "1"]
