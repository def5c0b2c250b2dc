"""deployment.yaml: read whole, refused by the key that is wrong, and under the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.core.yaml_reader import read_yaml
from modelscan.deploy.manifest import KEYS, merged, read
from modelscan.deploy.manifest import parse as parse_document
from modelscan.deploy.update import Change, changed_body


def parse(data: Any) -> Any:
    """The manifest of plain data, as YAML would give it."""
    return parse_text(yaml.safe_dump(data))


def parse_text(text: str) -> Any:
    return parse_document(read_yaml(text), "d.yaml")


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
        ({"version": 2, "deployment": {"model": "m"}}, "version '2' is not supported"),
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


def test_text_is_taken_as_it_is_written() -> None:
    """Numbers, on and off, and versions with a zero at the end are no text for YAML."""
    manifest = parse_text(
        "deployment:\n  model: 1e3\n  name: 2070\n  backend_version: 0.10\n  gpu: 0\n"
        "  quantization: 8\n  flash_attention: off\n  kv_cache: 8\n  context: 8192\n"
    )
    assert (manifest.model, manifest.request["name"], manifest.request["gpu"]) == (
        "1e3",
        "2070",
        "0",
    )
    work = manifest.workload
    assert (work.backend_version, work.quantization, work.flash_attention) == ("0.10", "8", "off")
    assert (work.kv_cache_k, work.context_tokens) == ("8", 8192)


def test_engine_options_as_the_engine_reads_them() -> None:
    manifest = parse_text(
        "deployment:\n  model: m\n  env: {HTTP_PROXY: , LEVEL: 0.10, ON: on}\n"
        "  adapters: [a/b, sql=c/d, {e: f/g}]\n  parameters:\n"
        "    hf-overrides: {architectures: [X], rope: {factor: 2.0, on: false}}\n"
        "    allowed-origins: ['*']\n    tensor-split: [3, 1]\n    flash-attn: off\n"
        "    fit: true\n    swa-full:\n    no-warmup: true\n    metrics: false\n"
        "    rope-scale: 1.50\n"
    )
    assert manifest.cluster["env"] == {"HTTP_PROXY": "", "LEVEL": "0.10", "ON": "on"}
    assert manifest.workload.adapters == ("a/b", "sql=c/d", "e=f/g")
    assert manifest.workload.parameters == (
        ("hf-overrides", '{"architectures": ["X"], "rope": {"factor": 2.0, "on": false}}'),
        ("allowed-origins", '["*"]'), ("tensor-split", "3,1"), ("flash-attn", "off"),
        ("fit", "on"), ("swa-full", None), ("no-warmup", None), ("rope-scale", "1.50"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ("model: m\n  model: n", 3, "'model' occurs twice"),
        ("model: m\n  name:\tx", 3, "a tab"),
        ("model: m\n  parameters: [{max-num-seqs: 32}]", 3, r"parameters\[0\] must be text"),
        ("model: m\n  parameters: ['max-num-seqs: 32']", 3, "is not an option"),
        (
            "model: m\n  parameters:\n    served-model-name: [a, b]",
            4,
            "served-model-name is a list",
        ),
        ("model: m\n  env:\n    A: [1]", 4, "env.A must be text"),
        ("model: [m]", 2, "model must be text"),
        ("model: m\n  gpu: [0, 1]", 3, "gpu must be text, not a list"),
        ("model: m\n  timeout: soon", 3, "timeout must be a number, 0 to 31,536,000, not 'soon'"),
        ("model: m\n  port: '8080'", 3, "port must be a whole number"),
        ("model: m\n  port: 99999", 3, "port must be a whole number, 65,535 or less"),
        ("model: m\n  memory_utilization: 90", 3, "0.05 to 1, not '90'"),
        ("model: m\n  timeout: .nan", 3, "timeout must be a number"),
        ("model: m\n  context: lots", 3, "'lots' is not a number of tokens"),
        ("model: m\n  replica: 2", 3, "'replica' is not a key"),
        ("model: m\n  adapters: a/b", 3, "adapters must be a list"),
    ],
)
def test_errors_name_key_and_line(tmp_path: Path, lines: str, line: int, words: str) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(f"deployment:\n  {lines}\n")
    with pytest.raises(UsageError, match=words) as caught:
        read(file)
    assert f"line {line}:" in caught.value.message
    assert str(file) in caught.value.message
