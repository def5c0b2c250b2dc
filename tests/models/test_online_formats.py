"""16-bit weights of folders and hub repositories, quantized by an engine while it loads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fake_hub import FakeHub
from support.hub_content import File
from support.planner_cases import DENSE_32B, EXPERTS_30B, RTX_4090, decide, gpu, machine
from support.sparse_model import QWEN3_8B, QWEN3_32B, write_model

from modelscan.core.plan import Decision
from modelscan.core.workload import Workload
from modelscan.models.online_formats import missing_formats
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

RTX_3060 = gpu("RTX 3060", 12, "8.6")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(write_model(tmp_path / "tuned", QWEN3_8B))


def test_four_bits_where_eight_do_not_fit(tmp_path: Path) -> None:
    plan = decided(str(write_model(tmp_path / "large", QWEN3_32B)), RTX_4090).plan
    assert plan is not None
    assert (plan.quantization, plan.backend) == ("BNB-4bit", "sglang")


def decided(text: str, card: object, **wishes: str) -> Decision:
    wish = Workload(**wishes)  # type: ignore[arg-type]
    return decide(load_subject(text, load(), wish), machine(card), wish)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("card", "wishes", "label", "options"),
    [
        (RTX_3060, {}, "FP8", {"quantization": "fp8"}),
        (RTX_3060, {"quantization": "BNB-4bit"}, "BNB-4bit",
         {"quantization": "bitsandbytes", "load-format": "bitsandbytes"}),
        (RTX_3060, {"quantization": "FP8"}, "FP8", {"quantization": "fp8"}),
        (RTX_3060, {"quantization": "BNB-4bit", "backend": "vllm", "backend_version": "0.27.1"},
         "BNB-4bit", {"quantization": "bitsandbytes"}),
    ],
)  # fmt: skip
def test_a_folder_s_weights_are_made_smaller_while_loading(
    folder: str, card: object, wishes: dict[str, str], label: str, options: dict[str, str]
) -> None:
    plan = decided(folder, card, **wishes).plan
    assert plan is not None
    assert plan.quantization == label
    assert options.items() <= plan.settings.items()
    text = "\n".join(plan.reasons)
    assert "quantized while they are loaded" in text and "perplexity" in text
    assert ("pip install bitsandbytes" in text) is (label == "BNB-4bit")


def test_wide_weights_stay_wide_where_they_fit(folder: str) -> None:
    plan = decided(folder, gpu("L4", 24, "8.9")).plan
    assert plan is not None
    assert (plan.quantization, "quantization" in plan.settings) == ("BF16", False)


@pytest.mark.parametrize("version", ["0.7.0", "0.32.0"])
def test_versions_without_the_method_do_not_use_it(folder: str, version: str) -> None:
    wishes = {"quantization": "BNB-4bit", "backend": "vllm", "backend_version": version}
    assert decided(folder, RTX_3060, **wishes).plan is None


@pytest.mark.parametrize(
    ("config", "fits"),
    [
        (DENSE_32B, True), (EXPERTS_30B, False),
        ({**DENSE_32B, "architectures": ["UnheardOfForCausalLM"]}, False),
        ({**DENSE_32B, "quantization_config": {"quant_method": "fp8"}}, False),
    ],
)  # fmt: skip
def test_a_hub_repository_s_weights_are_made_smaller_too(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, object], fits: bool
) -> None:
    files: dict[str, bytes | File] = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": File(b"", 65_500_000_000),
    }
    with FakeHub() as hub:
        for name, value in hub.environment().items():
            monkeypatch.setenv(name, value)
        hub.add("acme/tuned", files)
        decision = decided("hf:acme/tuned", RTX_4090, quantization="BNB-4bit")
    assert (decision.plan is not None) is fits
    if decision.plan is not None:
        assert decision.plan.backend == "sglang"


def test_published_formats_make_those_of_an_engine_superfluous() -> None:
    assert list(missing_formats(["BF16"])) == ["FP8", "BNB-4bit"]
    assert list(missing_formats(["BF16", "FP8-block"])) == ["BNB-4bit"]
    assert list(missing_formats(["BF16", "Q4_K_M", "Q8_0"])) == ["FP8"]
