"""Facts by engine version: which version's facts apply, and what is said about others."""

from __future__ import annotations

import pytest

from modelscan.core.workload import Workload
from modelscan.engines.option_names import LaunchSettings
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.engines.version_tables import facts_of, version_key


@pytest.mark.parametrize(
    ("engine_name", "requested", "used"),
    [
        ("vllm", "0.32.0", "0.32.0"), ("vllm", "0.32.4", "0.32.0"), ("vllm", "0.99.0", "0.33.0"),
        ("vllm", "0.20.2rc1.dev249+g1", "0.20.2"), ("vllm", "latest", "0.33.0"),
        ("vllm", "0.1.0", "0.7.0"), ("vllm", "0.8.5.post1", "0.8.5.post1"),
        ("sglang", "0.5.12.post1", "0.5.12.post1"), ("sglang", "0.5.4.post1", "0.5.4"),
        ("llama.cpp", "b9500", "b9294"), ("llama.cpp", "2026.10.11549", "b11549"),
        ("llama.cpp", "b5000", "b8672"), ("llama.cpp", "0.2.5", "0.2.5"),
    ],
)  # fmt: skip
def test_the_nearest_older_version_applies(engine_name: str, requested: str, used: str) -> None:
    facts = facts_of(engine_name, requested)
    assert facts.version == used
    same = version_key(requested) == version_key(used)
    assert (facts.note is None) is same
    if facts.note:
        assert requested in facts.note
        assert used in facts.note


def test_words_name_the_versions_that_have_a_fact() -> None:
    facts = facts_of("vllm", "0.32.0")
    assert facts.when("method", "bitsandbytes") == "until 0.27.1"
    assert facts.when("architecture", "GptOssForCausalLM") == "from 0.10.1 on"
    assert facts.when("method", "petit_nvfp4") == "0.10.2 to 0.19.1"
    assert facts.when("method", "never") is None
    assert facts_of("vllm", "0.40.0").newest
    assert not facts.newest


def test_what_the_readers_found_in_known_releases() -> None:
    """Counts and facts that were checked by hand in the packages."""
    facts = facts_of("vllm", "0.33.0")
    assert len(facts.rows("architecture")) == 415
    assert facts.rows("method")["modelopt_mxfp8"] == "80 bfloat16"
    assert facts.rows("removed")["ArcticForCausalLM"] == "0.28.0"
    assert facts.has("transcription", "WhisperForConditionalGeneration")
    assert sorted(facts.rows("float16_ban")) == ["gemma2", "gemma3", "gemma3_text", "glm4"]
    assert "modelopt_fp4" in (facts.platform_methods("rocm") or ())
    assert facts_of("vllm", "0.26.0").platform_methods("xpu") is None
    assert "fp8" in (facts.platform_methods("xpu") or ())
    sglang = facts_of("sglang", "0.5.23")
    assert sglang.rows("method")["fp8"].startswith("80/100 ")
    assert not sglang.has("method", "gptq")
    assert facts_of("llama.cpp", "b11549").has("architecture", "deepseek4")


def test_coded_defaults_agree_with_the_packages() -> None:
    for version in facts_of("vllm", None).table.versions:
        share = facts_of("vllm", version).rows("default").get("gpu_memory_utilization")
        if share and version not in ("0.20.0", "0.20.1"):
            assert engine("vllm").default_memory_share(version) == float(share), version


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_every_option_that_modelscan_writes_exists_in_every_version(name: str) -> None:
    one = engine(name)
    assert isinstance(one, PoolEngine)
    launch = LaunchSettings(
        one.name, "embedding", 4096, 8, tensor_parallel=2, memory_utilization=0.9, dtype="half",
    )  # fmt: skip
    for version in facts_of(name, None).table.versions:
        workload = Workload(backend_version=version, kv_cache_k="fp8", allow_unsafe=True)
        options = tuple(one.options(launch, workload))
        checked = Workload(backend_version=version, parameters=options)
        assert one.option_support(checked, version), one.option_support(checked, version).reason
