"""deployment.yaml: read whole, refused by the key that is wrong, and under the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.deploy.manifest import KEYS, merged, parse, read
from modelscan.deploy.update import Change, changed_body


def test_the_example() -> None:
    found = read(REPOSITORY / "examples" / "deployment.yaml")
    assert found.model == "Qwen/Qwen3-8B"
    assert found.workload.context_tokens == 16 * 1024
    assert dict(found.workload.parameters) == {"max-num-seqs": "32", "enable-prefix-caching": None}
    assert found.cluster == {"replicas": 1, "env": {"VLLM_LOGGING_LEVEL": "WARNING"}}
    assert found.request == {"name": "qwen3-8b", "target": "gpustack"}
    assert found.metadata["ticket"] == "ML-42"


def test_the_example_names_only_keys_that_exist() -> None:
    """The commented lines too."""
    text = (REPOSITORY / "examples" / "deployment.yaml").read_text()
    inside = text.partition("deployment:")[2].partition("# Your own notes")[0]
    names = [line.replace("# ", "", 1).strip().partition(":")[0] for line in inside.splitlines()
             if line.startswith("  ") and not line.startswith("    ") and ":" in line]  # fmt: skip
    assert len(names) > 15
    assert [name for name in names if name not in KEYS and " " not in name] == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be a mapping"),
        ({"deployment": {"name": "a"}}, "deployment.model is missing"),
        ({"deployment": {"model": "m", "replica": 2}}, "'replica' is not a key"),
        ({"deploy": {}}, "'deploy' is not a key"),
        ({"version": 2, "deployment": {"model": "m"}}, "version 2"),
        ({"deployment": {"model": "m", "replicas": 0}}, "deployment.replicas must be"),
        ({"deployment": {"model": "m", "replicas": True}}, "deployment.replicas must be"),
        ({"deployment": {"model": "m", "replicas": "two"}}, "deployment.replicas must be"),
        ({"deployment": {"model": "m", "route": "yes"}}, "deployment.route must be true or false"),
        ({"deployment": {"model": "m", "env": ["A=1"]}}, "deployment.env must be a mapping"),
        ({"deployment": {"model": "m", "backend": "vlm"}}, "deployment.backend is 'vlm'"),
        ({"deployment": {"model": "m", "context": "lots"}}, "lots"),
    ],
)
def test_what_is_wrong_is_named(document: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(document)


def test_not_yaml_and_not_there(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    with pytest.raises(UsageError, match=r"cannot read .*: No such file or directory$") as caught:
        read(file)
    assert caught.value.hint
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read(file)
    file.write_text("deployment: [")
    with pytest.raises(UsageError, match="is not YAML"):
        read(file)


def test_the_command_line_wins() -> None:
    file = parse({"deployment": {"model": "m", "context": "8k", "quantization": "FP8",
                                 "goal": "speed", "parameters": {"a": 1, "b": True}}}).workload  # fmt: skip
    typed = Workload(context_tokens=4096, parameters=(("a", "2"),))
    both = merged(file, typed, "quality")
    assert (both.context_tokens, both.quantization, both.goal) == (4096, "FP8", "speed")
    assert both.parameter("a") == "2"
    assert both.parameter("b") == "true"


def test_an_update_changes_what_it_names() -> None:
    body = {"name": "m", "replicas": 1, "backend_parameters": ["--a=1", "--b"], "env": {"X": "1"}}
    change = Change(
        replicas=3, parameters=(("a", "2"), ("c_d", None)), dropped=("b",), env={"Y": "2"}
    )
    assert changed_body(body, change) == {
        "name": "m", "replicas": 3, "backend_parameters": ["--a=2", "--c-d"],
        "env": {"X": "1", "Y": "2"},
    }  # fmt: skip
    with pytest.raises(UsageError, match="--z is not an option"):
        changed_body(body, Change(dropped=("z",)))
