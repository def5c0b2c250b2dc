"""After a failed start: the next best plan, where the engine itself has no advice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ran
from support.deployments import ESTIMATE, plan
from support.fake_hub import FakeHub
from support.hub_content import llama_config, llama_tensors, safetensors

from modelscan.core.end_cause import EndCause
from modelscan.core.errors import NotDeployableError
from modelscan.core.units import MIB
from modelscan.core.workload import Workload
from modelscan.deploy.retry import next_request
from modelscan.state.config import load
from modelscan.targets.base import StartFailed
from modelscan.targets.request import Request

pytest_plugins = ("support.engine_fixtures", "support.hub_fixtures")

DEMO = (REPOSITORY / "examples" / "demo-model.gguf").read_bytes()
MODEL = "hf:demo/three-GGUF"


@pytest.fixture(autouse=True)
def content(hub: FakeHub) -> None:
    """A model in three formats, the sizes of which count, and one for vLLM."""
    size = len(DEMO)
    hub.add(MODEL[3:], {"t-Q4_0.gguf": DEMO, "t-Q8_0.gguf": DEMO + bytes(3 * size),
                           "t-F16.gguf": DEMO + bytes(8 * size)})  # fmt: skip
    hub.add("demo/tiny-hf", {"config.json": json.dumps(llama_config()).encode(),
                                "model.safetensors": safetensors(llama_tensors())})  # fmt: skip


def failed(kind: str | None, *, total_bytes: int = 12 * MIB, **tried: Any) -> StartFailed:
    estimate = replace(ESTIMATE, total_bytes=total_bytes)
    values = {"quantization": "Q8_0", "context_tokens": 1024, "estimate": estimate, **tried}
    return StartFailed("no", cause=EndCause.OUT_OF_MEMORY, kind=kind, tried=plan(**values))


def options(request: Request, error: StartFailed) -> str | None:
    found = next_request(request, error, load())
    return None if found is None else " ".join(found[1].options())


def test_out_of_memory_asks_for_smaller_weights() -> None:
    """The next smaller that is a real difference; what is as large would fail again."""
    request = Request(MODEL, Workload())
    assert (
        options(request, failed("memory", quantization="F16", total_bytes=20 * MIB))
        == "--quantization Q8_0"
    )
    assert options(request, failed("memory")) == "--quantization Q4_0"
    assert options(request, failed("memory", total_bytes=MIB)) is None
    assert options(request, failed("memory", quantization="Q4_0")) is None


def test_what_the_user_chose_stays() -> None:
    """The context gives way then; where that was chosen it is only halved when nothing else is."""
    chosen = Request(MODEL, Workload(quantization="Q8_0", force=True))
    assert options(chosen, failed("memory", context_tokens=8192, total_bytes=90 * MIB)) == (
        "--context 4096"
    )
    assert options(chosen, failed("memory", context_tokens=2048)) is None


def test_an_unknown_format_or_model_goes_to_another_format_or_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only to an engine that this machine has a plan for, and never against the user's wish."""
    from modelscan.targets.local import plan as local_plan

    request = Request(MODEL, Workload())
    assert options(request, failed("quantization")) == "--quantization F16"
    tried: list[str | None] = []

    def plan_here(name: str, subject: Any, asked: Request, *_: Any) -> Any:
        tried.append(asked.workload.backend)
        if asked.workload.backend != "sglang":
            raise NotDeployableError("not here")

    monkeypatch.setattr(local_plan, "plan_here", plan_here)
    other = Request("hf:demo/tiny-hf", Workload())
    unknown = failed("architecture", backend="vllm", quantization="BF16")
    assert options(other, unknown) == "--backend sglang"
    assert tried == ["llama.cpp", "sglang"]
    assert options(Request("hf:demo/tiny-hf", Workload(backend="vllm")), unknown) is None


@pytest.mark.parametrize("kind", [None, "driver", "port"])
def test_what_no_other_plan_helps(kind: str | None) -> None:
    assert options(Request(MODEL, Workload()), failed(kind)) is None
    assert options(Request(MODEL, Workload(), target="cluster"), failed("memory")) is None


def test_the_offer_is_the_hint_and_is_taken(
    run_in_process: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A llama-server without memory for anything but the smallest format."""
    server = tmp_path / "llama-server"
    server.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--help*) exit 1;; *Q8_0.gguf*|*F16.gguf*)\n'
        '  echo "0.00.1 E alloc: failed to allocate buffer of size 9999" >&2; exit 1;; esac\n'
        f'exec {sys.executable} -m modelscan.supervisor.embedded.launcher "$@"\n'
    )
    server.chmod(0o755)
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", str(server))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr("modelscan.deploy.retry._SMALLER", 10)  # padding is not counted
    refused = run_in_process("deploy", MODEL, "--name", "m", "--json")
    assert refused.code == 5, refused.out
    assert refused.json["error"]["details"]["kind"] == "memory"
    assert refused.json["error"]["hint"] == (
        f"modelscan deploy {MODEL} --name m --quantization Q8_0"
    )
    done = run_in_process("deploy", MODEL, "--name", "m", "--retry-plan", "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["deployment"]["quantization"] == "Q4_0"
    assert run_in_process("remove", "m", "--yes").code == 0
