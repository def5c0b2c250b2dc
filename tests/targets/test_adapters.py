"""LoRA adapters that lie on a hub: fetched, verified, handed to the engine as it wants them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Ran
from support.fake_hub import FakeHub
from support.hub_content import gguf, llama_tensors, safetensors
from support.planner_cases import decide

from modelscan.core.errors import NotDeployableError
from modelscan.core.reference import Kind, Reference
from modelscan.core.workload import Workload
from modelscan.gpu.inventory import inventory
from modelscan.models.adapters import on_hub
from modelscan.models.resolve import load_subject
from modelscan.state.config import load
from modelscan.targets.local.adapters import fetch

pytest_plugins = ("support.engine_fixtures", "support.hub_fixtures")

Run = Callable[..., Ran]
ADAPTER = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora",
           "adapter.lora.alpha": 8.0}  # fmt: skip
QUERY = "blk.0.attn_q.weight"


def adapter() -> bytes:
    """For the tiny model of the tests (64 wide): rank 4, all zeros."""
    tensors = {f"{QUERY}.lora_a": ("F32", (64, 4)), f"{QUERY}.lora_b": ("F32", (4, 64))}
    made = gguf(ADAPTER, tensors)
    return made.head + bytes(made.size - len(made.head))


@pytest.fixture(autouse=True)
def content(hub: FakeHub) -> None:
    hub.add("demo/lora-GGUF", {"adapter.gguf": adapter(), "README.md": b"an adapter"})
    hub.add("demo/lora", {"adapter_config.json": json.dumps({"r": 4}).encode(),
                             "adapter_model.safetensors": safetensors(llama_tensors()),
                             "optimizer.pt": b"x"})  # fmt: skip
    hub.add("demo/pickled", {"adapter_config.json": b"{}", "adapter_model.bin": b"x"})


@pytest.mark.parametrize("text", ["demo/lora-GGUF", "hf:demo/lora-GGUF"])
def test_llamacpp_gets_the_file(hub: FakeHub, cli: Run, model_file: Path, text: str) -> None:
    """The engine runs with it; prune knows that it is used; a start asks nobody."""
    done = cli("deploy", str(model_file), "--name", "m", "--adapter", text, "--json")
    assert done.code == 0, done.out + done.err
    argv = cli("show", "m", "--json").json["launch"]["argv"]
    assert argv[argv.index("--lora") + 1].endswith("/adapter.gguf")
    assert "lora" in cli("logs", "m").out
    assert cli("cache", "prune", "--yes", "--json").json["items"] == []
    hub.log.clear()
    assert cli("restart", "m").code == 0
    assert hub.log == []
    assert cli("remove", "m", "--yes").code == 0


@pytest.mark.parametrize(
    ("repo", "code"),
    [("demo/lora", "adapter_format"), ("demo/nothing", "unknown_or_private")],
)
def test_an_adapter_that_cannot_be_used_is_said_before_anything_starts(
    run_in_process: Run, model_file: Path, repo: str, code: str
) -> None:
    ran = run_in_process("deploy", str(model_file), "--name", "m", "--adapter", repo, "--json")
    assert ran.json["error"]["code"] == code
    assert run_in_process("list", "--json").json["deployments"] == []


def test_vllm_gets_a_name_and_the_folder(hub: FakeHub) -> None:
    """Its configuration and weights, not what a training left; pickles are refused."""
    asked = Workload(backend="vllm")
    plan = decide(load_subject("qwen3-8b", load(), asked), inventory("RTX 4090"), asked).plan
    assert plan is not None
    wanted = replace(plan, adapters=("demo/lora", "mine=hf:demo/lora", "/here"))
    first, second, third = fetch(wanted, load()).adapters
    name, _, folder = first.partition("=")
    assert (name, second, third) == ("lora", f"mine={folder}", "/here")
    assert sorted(file.name for file in Path(folder).iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    with pytest.raises(NotDeployableError) as caught:
        fetch(replace(wanted, adapters=("demo/pickled",)), load())
    assert caught.value.code == "unsafe_format"


def test_what_is_a_path_and_what_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "folder").mkdir()
    assert on_hub("some/folder") is None
    assert on_hub("name=/some/where/else") is None
    assert on_hub("x.gguf") is None
    assert on_hub("ms:a/b@v1") == Reference(Kind.MODELSCOPE, "a/b", "v1")
    assert on_hub("a/b") == Reference(Kind.HUGGINGFACE, "a/b")
