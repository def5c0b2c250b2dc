"""``--offline-after-download``: the engine is told to ask no hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran

from modelscan.core.workload import Workload
from modelscan.targets.request import OFFLINE, Request

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


def test_the_launch_keeps_the_variables(run_in_process: Run, model_file: Path) -> None:
    """Also for a later start; deployed anew without the option it loses them."""

    def variables() -> dict[str, str]:
        env = run_in_process("show", "m", "--json").json["launch"]["env"]
        return {name: value for name, value in env.items() if name in OFFLINE}

    options = ("deploy", str(model_file), "--name", "m", "--no-wait")
    assert run_in_process(*options, "--offline-after-download").code == 0
    assert variables() == OFFLINE
    assert run_in_process("stop", "m").code == 0
    assert run_in_process("start", "m").code == 0
    assert variables() == OFFLINE
    assert run_in_process(*options, "--replace").code == 0
    assert variables() == {}
    assert run_in_process("remove", "m", "--yes").code == 0


def test_a_deployment_file_says_it_too(
    run_in_process: Run, model_file: Path, tmp_path: Path
) -> None:
    written = tmp_path / "deployment.yaml"
    written.write_text(f"deployment:\n  model: {model_file}\n  offline_after_download: true\n")
    dry = run_in_process("deploy", "-f", str(written), "--dry-run", "--json")
    assert dry.code == 0, dry.out
    assert dry.json["launch"]["env"].items() >= OFFLINE.items()


def test_ollama_has_an_environment_of_its_own(run_in_process: Run, model_file: Path) -> None:
    ran = run_in_process(
        "deploy", str(model_file), "--target", "ollama", "--offline-after-download", "--json"
    )
    assert (ran.code, ran.json["error"]["code"]) == (2, "local_only")


@pytest.mark.parametrize(("asked", "wanted"), [(True, {"A": "b", **OFFLINE}), (False, {"A": "b"})])
def test_a_cluster_gets_them_in_the_body(asked: bool, wanted: dict[str, str]) -> None:
    """What the user says of a variable wins."""
    from types import SimpleNamespace
    from typing import Any

    from modelscan.targets.gpustack.client import Dialect
    from modelscan.targets.gpustack.plan import choices

    plan: Any = SimpleNamespace(worker=None, gpus=())
    env = {"A": "b", **({"HF_HUB_OFFLINE": "0"} if asked else {})}
    request = Request("m", Workload(), offline_after_download=asked, cluster={"env": env})
    hardware: Any = SimpleNamespace(gpus=())
    found = choices(plan, hardware, request, Dialect("v2.3.0", "/v2", "/v1")).env
    assert found == {**wanted, **env}
