"""Which engine ``deploy`` plans for: the one that is here, in the version that is here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.tiny_hf import write_tiny_hf

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.plan import Plan
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.models.resolve import load_subject
from modelscan.state.config import load
from modelscan.state.store import Store
from modelscan.supervisor import installed
from modelscan.targets.local.plan import plan_here
from modelscan.targets.request import Request

GPU = Gpu(
    index=0, name="NVIDIA H100 80GB HBM3", vendor="nvidia", memory_bytes=80 * GIB,
    free_bytes=79 * GIB, source="nvml", compute_capability="9.0", visible_index=0,
    backends=("llama.cpp", "vllm", "sglang", "ollama"),
)  # fmt: skip
MACHINE = Inventory(
    gpus=(GPU,), host=Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB, platform="linux")
)


@pytest.fixture(autouse=True)
def a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscan.gpu.inventory.inventory", lambda *_: MACHINE)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    installed.forget()


def environment(root: Path, version: str, name: str = "vllm") -> str:
    """A Python that has an engine's metadata."""
    site = root / "site"
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (site / name).mkdir()
    (site / name / "__init__.py").write_text("")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    python = root / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


def planned(model: Path, workload: Workload, *, dry_run: bool = False) -> Plan:
    config = load()
    subject = load_subject(str(model), config, workload)
    request = Request(str(model), workload, dry_run=dry_run)
    with Store.open(config.paths.store_file) as store:
        return plan_here("m", subject, request, config, store)


@pytest.mark.parametrize(("version", "share"), [("0.11.0", "0.9"), ("0.32.0", "0.92")])
def test_the_plan_is_made_for_the_installed_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, share: str
) -> None:
    """Their budgets differ: the default share of the GPU is another one."""
    monkeypatch.setenv("MODELSCAN_VLLM", environment(tmp_path, version))
    model = write_tiny_hf(tmp_path / "tiny")
    wanted = Workload(backend="vllm", context_tokens=1024)
    plan = planned(model, wanted)
    assert (plan.backend, plan.backend_version, plan.gpus) == ("vllm", version, (0,))
    at = plan.parameters.index("--gpu-memory-utilization")
    assert plan.parameters[at + 1] == share


def test_an_engine_that_was_asked_for_and_is_missing(tmp_path: Path) -> None:
    model = write_tiny_hf(tmp_path / "tiny")
    wanted = Workload(backend="vllm", context_tokens=1024)
    with pytest.raises(NotDeployableError, match="vLLM is not installed") as caught:
        planned(model, wanted)
    assert caught.value.code == "engine_missing"
    assert caught.value.hint == "modelscan engine install vllm"
    assert caught.value.details["verdict"] == "not_supported"
    (missing, *_) = caught.value.details["missing"]
    assert (missing["kind"], missing["name"]) == ("engine", "vllm")
    shown = planned(model, wanted, dry_run=True)  # what would start once it is installed
    assert (shown.backend, list(shown.parameters)) == ("vllm", missing["plan"]["parameters"])


def test_where_only_a_missing_engine_could_run_it_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safetensors on a GPU: llama.cpp does not load them."""
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", "/bin/true")  # a build that can use the GPU
    model = write_tiny_hf(tmp_path / "tiny")
    with pytest.raises(ModelscanError, match="is not installed") as caught:
        planned(model, Workload(context_tokens=1024))
    assert caught.value.code == "engine_missing"


def test_the_other_engine_is_taken_where_the_better_one_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCAN_SGLANG", environment(tmp_path, "0.5.23", "sglang"))
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", "/bin/true")
    plan = planned(write_tiny_hf(tmp_path / "tiny"), Workload(context_tokens=1024))
    assert (plan.backend, plan.backend_version) == ("sglang", "0.5.23")


@pytest.mark.parametrize("server", ["/bin/true", None])
def test_one_that_is_here_is_chosen_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str | None
) -> None:
    """Whether or not llama.cpp could use the GPU, too."""
    monkeypatch.setenv("MODELSCAN_VLLM", environment(tmp_path, "0.28.0"))
    if server:
        monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", server)
    model = write_tiny_hf(tmp_path / "tiny")
    plan = planned(model, Workload(context_tokens=1024))
    assert (plan.backend, plan.backend_version) == ("vllm", "0.28.0")


def test_an_engine_that_is_installed_later_is_found(tmp_path: Path) -> None:
    """In a process that has looked before: a gateway, an assistant's server."""
    python = tmp_path / "bin" / "python"
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for folder in (python.parent, site):
        folder.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert installed.probe("vllm", str(python)) is None
    info = site / "vllm-0.32.0.dist-info"
    info.mkdir()
    (site / "vllm").mkdir()
    (site / "vllm" / "__init__.py").write_text("")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n")
    found = installed.probe("vllm", str(python))
    assert found is not None and found.version == "0.32.0"
