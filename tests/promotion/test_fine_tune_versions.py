"""Fine-tunes as versions: their lineage is shown, an adapter is not deployed alone, and nothing
is published unasked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.talking_gguf import write_talking_adapter, write_talking_gguf
from support.tiny_gguf import write_tiny_gguf

from modelscan.routing.file import load
from modelscan.state.config import Config

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Any]


@pytest.fixture
def answer(run_in_process: Run) -> Callable[..., Any]:
    """The JSON of a command."""

    def run(*words: object, code: int = 0) -> Any:
        ran = run_in_process(*map(str, words), "--json")
        assert ran.code == code, ran.out + ran.err
        return json.loads(ran.out)

    return run


def test_the_lineage_of_a_run_is_shown(
    tmp_path: Path, answer: Callable[..., Any], run_in_process: Run
) -> None:
    """A recipe's own record: base, method, run and digests."""
    base = write_tiny_gguf(tmp_path / "tiny.gguf")
    made = answer("recipe", "render", "gguf", base, "--method", "q8_0", "--out", tmp_path / "out")
    done = answer("recipe", "run", tmp_path / "out")
    answer("registry", "add", "tiny", "--from", base)
    place = ("registry", "version", "add", "tiny", "--from", tmp_path / "out" / "run.json")
    added = answer(*place, "--base", "tiny@1")
    assert added["version"] == "2"
    lineage = answer("registry", "show", "tiny@2")["lineage"]
    assert (lineage["base"], lineage["method"]) == ("tiny@1", "gguf q8_0")
    assert (lineage["run"], lineage["adapter"]) == (made["artifact_name"], False)
    assert len(lineage["run_digest"]) == 64
    shown = run_in_process("registry", "show", "tiny@2").out
    for text in ("tiny@1", "gguf q8_0", made["artifact_name"], f"sha256:{lineage['run_digest']}"):
        assert text in shown
    # Private by default: only a line that publishes it is printed, and the public list is empty.
    assert answer("registry", "list", "--visibility", "public")["models"] == []
    told = run_in_process("recipe", "show", str(tmp_path / "out")).out
    assert f"hf upload YOUR-NAME/{made['artifact_name']}" in told and "--private" in told
    ran = run_in_process("registry", "edit", "tiny", "visibility=public")
    edited = ran.out + ran.err
    assert "nothing was uploaded" in edited
    assert f"hf upload YOUR-NAME/tiny {done['paths']['output']}" in edited


def test_an_adapter_version_names_how_it_runs(
    config: Config, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    """`deploy tuned@1` says what it is; the entry of a base with an adapter has no version's name."""
    base = write_talking_gguf(tmp_path / "base.gguf", "yes")
    adapter = write_talking_adapter(tmp_path / "adapter.gguf", "yes", "no")
    answer("registry", "add", "base", "--from", base)
    answer("registry", "add", "tuned")
    answer("registry", "version", "add", "tuned", "--from", adapter, "--base", "base@1")
    refused = answer("deploy", "tuned@1", code=3)
    assert "is an adapter of base@1" in refused["error"]["message"]
    assert f"modelscan deploy base@1 --adapter {adapter}" in refused["error"]["hint"]
    answer("deploy", "base@1", "--adapter", adapter, "--name", "mixed")
    answer("deploy", "base@1", "--name", "plain")
    file = load(config.routing_file)
    mixed, plain = file.route("mixed"), file.route("plain")
    assert mixed is not None and plain is not None
    assert (mixed.model, plain.model) == (str(base), "base@1")
