"""Plans as files for other tools, checked by those tools' own validators."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from conftest import REPOSITORY, Ran

from modelscan.deploy.exports.formats import FORMATS, ExportFormat
from modelscan.deploy.exports.registry import EXPORTS
from modelscan.deploy.unit_words import unit_word

Run = Callable[..., Ran]
DEMO = REPOSITORY / "examples" / "demo-model.gguf"
PLANS = {
    "two cards": ("qwen3-32b", "--gpu", "2x RTX 4090"),
    "amd": ("qwen3-32b", "--gpu", "MI300X"),
    "llama.cpp": ("qwen3-30b-a3b", "--gpu", "RTX 3090", "--backend", "llama.cpp"),
    "sglang": ("qwen3-8b", "--gpu", "H100 80GB", "--backend", "sglang"),
    "the CPU": ("qwen3-0.6b", "--gpu", "none"),
}
FOLDER = (str(DEMO), "--gpu", "none")
SECRET = "hf_abcdefghijklmnopqrstuvwxyz0123"


@pytest.fixture
def export(run_in_process: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The file, with the plan's numbers as comments and no secret of the environment in it."""
    monkeypatch.setenv("HF_TOKEN", SECRET)

    def made(form: str, words: tuple[str, ...]) -> str:
        ran = run_in_process("plan", *words, "--offline", "--export", form)
        assert ran.code == 0, ran.err
        assert SECRET not in ran.out
        assert ran.out.startswith("# ") and "# memory: " in ran.out
        return ran.out

    return made


@pytest.fixture(scope="session")
def compose_schema() -> dict[str, Any]:
    """The schema of the Compose specification, out of a package that ships it."""
    folder = REPOSITORY / ".cache" / "compose"
    wheel = next(folder.glob("docker_compose-*.whl"), None)
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        subprocess.run([*command, "docker-compose==1.29.2"], check=False, capture_output=True)
        wheel = next(folder.glob("docker_compose-*.whl"), None)
    if wheel is None:
        pytest.skip("the package index cannot be reached")
    with zipfile.ZipFile(wheel) as archive:
        schema: dict[str, Any] = json.loads(archive.read("compose/config/compose_spec.json"))
    return schema


def test_the_formats_are_those_of_the_option() -> None:
    assert get_args(ExportFormat) == FORMATS
    assert {*EXPORTS, "gpustack"} == {*FORMATS}


@pytest.mark.parametrize("name", PLANS)
def test_compose(name: str, export: Callable[..., str], compose_schema: dict[str, Any]) -> None:
    document = yaml.safe_load(export("compose", PLANS[name]))
    assert re.fullmatch("[a-z0-9][a-z0-9_-]*", document.pop("name"))  # younger than the schema
    jsonschema.Draft201909Validator(compose_schema).validate(document)
    (service,) = document["services"].values()
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    assert service["environment"]["HF_TOKEN"] == "${HF_TOKEN:-}"
    assert ("deploy" in service) == (name in ("two cards", "llama.cpp", "sglang"))


def test_a_file_of_this_machine_is_mounted_and_not_sent_elsewhere(
    export: Callable[..., str], run_in_process: Run
) -> None:
    (service,) = yaml.safe_load(export("compose", FOLDER))["services"].values()
    assert service["volumes"][0] == {
        "type": "bind", "source": str(DEMO), "target": str(DEMO), "read_only": True,
    }  # fmt: skip
    for form in ("kubernetes", "skypilot"):
        ran = run_in_process("plan", *FOLDER, "--export", form)
        assert ran.code == 2 and "hint: name the repository" in ran.err


@pytest.mark.parametrize("name", PLANS)
def test_kubernetes(name: str, export: Callable[..., str]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    documents = list(yaml.safe_load_all(export("kubernetes", PLANS[name])))
    assert [one["kind"] for one in documents] == ["PersistentVolumeClaim", "Deployment", "Service"]
    for one in documents:
        validate.validate(one, "1.33", strict=True)
        assert re.fullmatch("[a-z]([-a-z0-9]{,61}[a-z0-9])?", one["metadata"]["name"])
    (container,) = documents[1]["spec"]["template"]["spec"]["containers"]
    keys = [row for row in container["env"] if "valueFrom" in row]
    assert {row["valueFrom"]["secretKeyRef"]["key"] for row in keys} == {"server-key", "hub-key"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert documents[2]["spec"]["type"] == "ClusterIP"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", PLANS)
def test_systemd(name: str, export: Callable[..., str], tmp_path: Path) -> None:
    unit = tmp_path / "model.service"
    unit.write_text(export("systemd", PLANS[name]))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=one", str(unit)],
        capture_output=True, text=True, env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert "model.service" not in checked.stderr, checked.stderr


@pytest.mark.parametrize("name", PLANS)
def test_quadlet(name: str, export: Callable[..., str]) -> None:
    text = export("quadlet", PLANS[name])
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    container = parser["Container"]
    assert container["PublishPort"] == "127.0.0.1:8000:8000"
    assert container["DropCapability"] == "all" and container["NoNewPrivileges"] == "true"
    assert text.count("AddDevice=nvidia.com/gpu=") == {"two cards": 2, "amd": 0, "the CPU": 0}.get(
        name, 1
    )


@pytest.mark.parametrize("name", PLANS)
def test_skypilot(name: str, export: Callable[..., str]) -> None:
    task = yaml.safe_load(export("skypilot", PLANS[name]))
    assert set(task) == {"name", "resources", "envs", "secrets", "run"}
    assert all(value is None for value in task["secrets"].values())
    assert "--host 127.0.0.1" in task["run"]
    expected = {
        "two cards": {"RTX4090": 2}, "amd": {"MI300X": 1}, "llama.cpp": {"RTX3090": 1},
        "sglang": {"H100": 1},
    }  # fmt: skip
    assert task["resources"].get("accelerators") == expected.get(name)


def test_a_command_listens_on_loopback(export: Callable[..., str]) -> None:
    last = export("command", PLANS["two cards"]).splitlines()[-1]
    assert "--host 127.0.0.1" in last and "--tensor-parallel-size 2" in last


def test_gpustack_is_the_create_request(export: Callable[..., str], run_in_process: Run) -> None:
    ran = run_in_process("plan", *PLANS["two cards"], "--offline", "--export", "gpustack", "--json")
    document = json.loads(ran.out)
    assert document["schema"] == "modelscan.plan.export/1" and document["format"] == "gpustack"
    body = yaml.safe_load(document["text"])
    assert body["name"] == document["name"] and body["backend"] == "vLLM"


def test_a_deployment_is_exported_with_its_own_plan(run_in_process: Run) -> None:
    deploy = run_in_process("deploy", str(DEMO), "--name", "one", "--context", "256")
    assert deploy.code == 0, deploy.err
    try:
        ran = run_in_process("show", "one", "--export", "systemd")
        assert ran.code == 0 and "--ctx-size 256" in ran.out
        assert "--alias one" in ran.out
    finally:
        run_in_process("remove", "one", "--yes")


def test_refusals(run_in_process: Run) -> None:
    nothing = run_in_process("plan", "qwen3-235b-a22b", "--gpu", "8GiB", "--ram", "16GiB",
                             "--export", "compose")  # fmt: skip
    assert nothing.code == 3 and not nothing.out
    ollama = run_in_process(
        "plan", "qwen3-8b", "--gpu", "24GiB", "--backend", "ollama", "--export", "compose"
    )
    assert ollama.code == 2 and "--backend llama.cpp" in ollama.err


def test_words_of_unit_files() -> None:
    assert unit_word('a "b" 50% $HOME\\', command=True) == '"a \\"b\\" 50%% $$HOME\\\\"'
