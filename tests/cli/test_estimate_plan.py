"""``estimate`` and ``plan`` on the command line: documents, exit codes, overrides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import REPOSITORY, Ran
from support.hub_content import llama_config
from support.tiny_gguf import Shape, write_tiny_gguf

from modelscan.cli.options import check_version

Run = Callable[..., Ran]


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(write_tiny_gguf(tmp_path / "tiny.gguf", shape=Shape(context=8192)))


def checked(ran: Ran) -> Any:
    """The JSON document, validated against its schema."""
    name = ran.json["schema"].removeprefix("modelscan.").partition("/")[0]
    schema = json.loads((REPOSITORY / "modelscan" / "schemas" / f"{name}.json").read_text())
    jsonschema.validate(ran.json, schema, jsonschema.Draft202012Validator)
    return ran.json


def test_estimate_adds_up(run_in_process: Run, tiny: str) -> None:
    found = checked(run_in_process("estimate", tiny, "--context", "2k", "--json"))
    assert sum(found["parts"].values()) == found["total_bytes"]
    assert (found["backend"], found["context_tokens"]) == ("llama.cpp", 2048)
    more = checked(run_in_process("estimate", tiny, "--context", "4k", "--json"))
    assert more["parts"]["kv_cache_bytes"] == 2 * found["parts"]["kv_cache_bytes"]
    assert more["parts"]["weights_bytes"] == found["parts"]["weights_bytes"]


def test_estimate_honours_the_engines_own_options(run_in_process: Run, tiny: str) -> None:
    def cache(*options: str) -> int:
        ran = run_in_process("estimate", tiny, "--context", "4096", *options, "--json")
        value: int = checked(ran)["parts"]["kv_cache_bytes"]
        return value

    whole = cache()
    assert cache("--parallel", "2") == 2 * whole
    assert cache("--parallel", "2", "--param", "kv-unified", "--param", "ctx-size=4096") == whole
    keys = ("--kv-cache", "q8_0,f16", "--flash-attention", "off")  # heads of 16: no whole block
    assert cache(*keys) == whole * (34 + 64) // 128


def test_an_option_that_llama_cpp_lacks_is_said_not_to_count(
    run_in_process: Run, tiny: str
) -> None:
    ran = run_in_process("estimate", tiny, "--param", "swa-ful", "--param", "kvu", "--json")
    said = checked(ran)["warnings"]
    assert [line for line in said if "--swa-ful" in line and "it has '--swa-full'" in line]
    assert not [line for line in said if "kvu" in line]


def test_estimate_with_simulated_gpus(run_in_process: Run, tiny: str) -> None:
    found = checked(run_in_process("estimate", tiny, "--gpu", "RTX 4090", "--json"))
    assert found["verdict"] == "fits"
    assert [device["index"] for device in found["per_gpu"]] == [0]


@pytest.mark.parametrize(
    "options",
    [["--context", "many"], ["--kv-cache", "a,b,c"], ["--param", "="], ["--goal", "cheap"],
     ["--parallel", "0"], ["--backend", "tgi"], ["--kv-cache", "q9_9"],
     ["--backend-version", "banana"], ["--backend-version", "0.11; rm"],
     ["--backend-version", ""], ["--backend-version", "1" * 65],
     ["--param", "chat-template=" + "x" * 4096], ["--tensor-parallel", "99999999999"]],
)  # fmt: skip
@pytest.mark.parametrize("command", ["estimate", "plan"])
def test_wrong_options_exit_2(
    run_in_process: Run, tiny: str, command: str, options: list[str]
) -> None:
    if (command, options) == ("plan", ["--kv-cache", "q9_9"]):
        pytest.skip("a plan says so per engine")
    ran = run_in_process(command, tiny, *options, "--json")
    assert ran.code == 2
    assert ran.json["schema"] == "modelscan.error/1"
    assert ran.json["error"]["hint"]


@pytest.mark.parametrize(
    "version", ["0.11.0", "0.11.0rc1", "b6123", "v0.5", "0.11.0-custom", "1.0+cu128"]
)
def test_versions_are_passed_on(version: str) -> None:
    check_version(version)


def test_a_split_over_more_gpus_than_there_are_is_refused(run_in_process: Run, tiny: str) -> None:
    """It does not silently become a plan for the CPU."""
    ran = run_in_process(
        "plan", tiny, "--gpu", "2x H100 80GB", "--tensor-parallel", "8", "--all", "--json"
    )
    found = checked(ran)
    assert (ran.code, found["verdict"]) == (3, "does_not_fit")
    assert any(
        "--tensor-parallel requires 8 GPUs" in str(row)
        for row in (found["rejected"], found["reasons"])
    )


def test_a_file_of_something_else_has_a_hint(run_in_process: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>404 not found</html>")
    ran = run_in_process("estimate", str(page), "--json")
    assert ran.code == 2 and "not a GGUF file" in ran.json["error"]["message"]
    assert "download it again" in ran.json["error"]["hint"]


def test_exact_mode_equals_the_computed_one(run_in_process: Run, tiny: str) -> None:
    pytest.importorskip("xllamacpp")
    exact = checked(run_in_process("estimate", tiny, "--exact", "--context", "4096", "--json"))
    computed = checked(run_in_process("estimate", tiny, "--context", "4096", "--json"))
    assert (exact["basis"], computed["basis"]) == ("exact", "computed")
    for part in ("weights_bytes", "kv_cache_bytes", "output_bytes"):
        assert exact["parts"][part] == pytest.approx(computed["parts"][part], abs=20_000)
    assert exact["parts"]["compute_bytes"] == pytest.approx(
        computed["parts"]["compute_bytes"], abs=1 << 18
    )


def test_exact_mode_needs_a_gguf_file(run_in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(llama_config()))
    ran = run_in_process("estimate", str(tmp_path / "config.json"), "--exact", "--json")
    assert ran.code == 3
    ran = run_in_process("estimate", "x.gguf", "--exact", "--backend", "vllm", "--json")
    assert ran.code == 2


def test_history_is_empty_before_any_deployment(run_in_process: Run, tiny: str) -> None:
    found = checked(run_in_process("estimate", tiny, "--history", "--json"))
    assert found["rows"] == []


def test_plan_on_this_machine(run_in_process: Run, tiny: str) -> None:
    found = checked(run_in_process("plan", tiny, "--gpu", "none", "--json"))
    plan = found["plan"]
    assert (found["verdict"], plan["backend"], plan["gpus"]) == ("fits", "llama.cpp", [])
    assert plan["context_tokens"] == 8192
    assert plan["parameters"][:2] == ["--ctx-size", "8192"]
    assert len(found["alternatives"]) >= 2
    assert plan["reasons"]


def test_plan_text_says_why_and_quiet_says_what(run_in_process: Run, tiny: str) -> None:
    ran = run_in_process("plan", tiny, "--gpu", "RTX 4090")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert ["backend", "llama.cpp"] in rows
    assert sum(row[0] == "because" for row in rows) >= 4
    assert "\x1b" not in ran.out
    assert run_in_process("plan", tiny, "-q").out.strip() == tiny


def test_plan_that_does_not_fit_is_a_document_with_exit_3(
    run_in_process: Run, tmp_path: Path
) -> None:
    config = llama_config(hidden=8192, layers=80, vocabulary=128256)
    (tmp_path / "big.json").write_text(json.dumps(config))
    ran = run_in_process("plan", str(tmp_path / "big.json"), "--gpu", "RTX 4090", "--json")
    found = checked(ran)
    assert ran.code == 3
    assert (found["verdict"], found["plan"]) == ("does_not_fit", None)
    assert found["needed_bytes"] > found["available_bytes"] > 20 << 30
    assert found["required"]["gpus"]
    assert found["reasons"]


def test_what_does_not_fit_is_answered_with_models_of_its_makers_that_do(
    run_in_process: Run,
) -> None:
    asked = ("plan", "deepseek/deepseek-r1", "--quantization", "INT4", "--gpu", "RTX 4090")
    ran = run_in_process(*asked, "--json")
    found = checked(ran)
    assert ran.code == 3
    assert (found["needed_bytes"], found["available_bytes"]) > (335 * 10**9, 20 << 30)
    assert found["required"]["gpus"][0]["count"] > 1
    near = found["alternatives"]
    assert len(near) == 2
    for plan in near:
        assert plan["model"].startswith("deepseek/")
        assert plan["model"] != found["model"]
        assert plan["estimate"]["verdict"] == "fits"
    assert (
        near[0]["estimate"]["parts"]["weights_bytes"]
        >= (near[1]["estimate"]["parts"]["weights_bytes"])
    )
    shown = run_in_process(*asked)
    assert shown.code == 3
    assert any(line.startswith(near[0]["model"]) for line in shown.out.splitlines())


def test_a_plan_as_the_request_body_of_gpustack(run_in_process: Run) -> None:
    asked = ("plan", "alibaba/qwen3-32b", "--gpu", "2x H100 80GB", "--tensor-parallel", "2", "-o")
    body = json.loads(run_in_process(*asked, "json").out)
    assert yaml.safe_load(run_in_process(*asked, "yaml").out) == body
    assert (body["name"], body["source"], body["backend"]) == ("qwen3-32b", "huggingface", "vLLM")
    assert body["huggingface_repo_id"] == "Qwen/Qwen3-32B"
    assert "--tensor-parallel-size=2" in body["backend_parameters"]
    known = {"name", "replicas", "source", "huggingface_repo_id", "backend", "backend_parameters",
             "categories", "restart_on_error", "enable_model_route"}  # fmt: skip
    assert set(body) <= known
    ran = run_in_process("plan", "deepseek-r1", "--gpu", "RTX 4090", "-o", "yaml")
    assert (ran.code, ran.out) == (3, "")


def test_plan_refuses_weights_that_do_not_exist(run_in_process: Run, tiny: str) -> None:
    ran = run_in_process("plan", tiny, "--quantization", "FP8", "--gpu", "H100", "--json")
    assert ran.code == 3
    assert "no FP8 weights" in checked(ran)["reasons"][0]
    assert "F32 (gguf)" in ran.json["reasons"][0]


def test_plan_all_and_gpus_needed(run_in_process: Run, tiny: str) -> None:
    everything = checked(run_in_process("plan", tiny, "--all", "--gpu", "2x RTX 4090", "--json"))
    assert any("vllm" in item["option"] for item in everything["rejected"])
    needed = checked(run_in_process("plan", tiny, "--gpus-needed", "--json"))
    assert needed["required"]["gpus"][0]["count"] == 1


def test_support_is_said_in_json(run_in_process: Run, tmp_path: Path) -> None:
    """FP8: native on 8.9, weight-only on 8.6, absent on 7.0."""
    file = tmp_path / "config.json"
    config = llama_config(hidden=4096, layers=32) | {"quantization_config": {"quant_method": "fp8"}}
    file.write_text(json.dumps(config))
    kinds = {}
    for name in ("RTX 4090", "RTX 3090", "V100"):
        plan = checked(run_in_process("plan", str(file), "--gpu", name, "--json"))["plan"]
        kinds[name] = plan and plan["support"]
    assert kinds == {"RTX 4090": "native", "RTX 3090": "weight_only", "V100": None}


def test_pickle_only_is_refused(run_in_process: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(llama_config()))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 1000)
    ran = run_in_process("plan", str(tmp_path), "--gpu", "RTX 4090", "--json")
    assert ran.code == 3
    assert "pickle" in json.dumps(checked(ran)["rejected"])


def test_same_answer_as_a_real_process(cli: Run, run_in_process: Run, tiny: str) -> None:
    here = run_in_process("plan", tiny, "--gpu", "RTX 3060 12GB", "--json")
    there = cli("plan", tiny, "--gpu", "RTX 3060 12GB", "--json")
    assert there.code == here.code == 0
    assert there.json["plan"]["parameters"] == here.json["plan"]["parameters"]


def test_closed_weights_exit_3_and_name_open_ones(run_in_process: Run) -> None:
    ran = run_in_process("estimate", "openai/gpt-4o", "--gpu", "H100", "--json")
    assert ran.code == 3
    assert ran.json["error"]["code"] == "closed_weights"
    assert ran.json["error"]["details"]["alternatives"]
    ran = run_in_process("plan", "openai/gpt-4o", "--gpu", "H100", "--json")
    found = checked(ran)
    assert (ran.code, found["verdict"]) == (3, "not_supported")
    shown = run_in_process("plan", "openai/gpt-4o", "--gpu", "H100").out
    assert any(line.startswith("open models") for line in shown.splitlines())


def test_unknown_and_ambiguous_names_exit_2(run_in_process: Run) -> None:
    unknown = run_in_process("plan", "no-such-model-anywhere", "--json")
    assert (unknown.code, unknown.json["error"]["code"]) == (2, "unknown_model")
    several = run_in_process("plan", "qwen3", "--json")
    assert several.code == 2
    assert len(several.json["error"]["details"]["candidates"]) > 1


def test_a_catalog_model_is_planned_with_what_exists(run_in_process: Run) -> None:
    found = checked(run_in_process("plan", "qwen3-8b", "--gpu", "RTX 4090", "--json"))
    assert found["plan"]["quantization"] == "BF16"
    assert len(found["alternatives"]) >= 2
    assert "mlx" not in {item["format"] for item in [found["plan"], *found["alternatives"]]}
    tight = checked(run_in_process("plan", "qwen3-8b", "--gpu", "RTX 3060 12GB", "--json"))
    assert tight["plan"]["format"] == "gguf"
    assert any("not BF16" in reason for reason in tight["plan"]["reasons"])


def test_671_billion_parameters_count_all(run_in_process: Run) -> None:
    ran = run_in_process(
        "plan", "deepseek-r1", "--quantization", "INT4", "--gpu", "24GiB", "--json"
    )
    found = checked(ran)
    assert ran.code == 3
    assert found["needed_bytes"] > 335e9
    assert found["available_bytes"] == 24 << 30
    assert found["required"]["gpus"]


def test_an_unknown_architecture_is_a_range_with_a_warning(run_in_process: Run) -> None:
    ran = run_in_process("estimate", "google/gemma-3-27b-it", "--quant", "Q4_K_M", "--json")
    found = checked(ran)
    if found["basis"] == "range":
        assert found["low_bytes"] < found["total_bytes"] < found["high_bytes"]
        assert any("architecture is not known" in text for text in found["warnings"])
    else:  # a later catalog knows it
        assert found["basis"] == "computed"


def test_several_machines_are_a_table(run_in_process: Run) -> None:
    machines = ("--gpus", "RTX 4090", "--gpus", "8x H200", "--gpus", "none, 8GB RAM")
    found = checked(run_in_process("plan", "qwen3-32b", *machines, "--json"))
    rows = {row["gpu"]: row for row in found["machines"]}
    assert [row["verdict"] for row in rows.values()][:2] == ["fits", "fits"]
    assert rows["8x H200"]["quality"]["basis"] == "original"
    assert rows["none, 8GB RAM"]["reason"]
    nowhere = run_in_process("plan", "qwen3-32b", "--gpus", "none, 8GB RAM")
    assert nowhere.code == 3


def test_a_tight_plan_and_its_contexts_are_measured_alike(run_in_process: Run) -> None:
    plan = checked(run_in_process("plan", "kimi-k2", "--gpu", "8x H200", "--json"))
    assert plan["plan"]["within_margin"]
    own = plan["plan"]["context_tokens"]
    verdicts = {tier["context_tokens"]: tier["verdict"] for tier in plan["contexts"]}
    assert verdicts[own] == "fits"
    assert plan["max_context_tokens"] >= own
    assert all(
        (verdict == "fits") == (context <= plan["max_context_tokens"])
        for context, verdict in verdicts.items()
    )


def test_a_plan_lists_its_memory_at_other_contexts(run_in_process: Run) -> None:
    ran = run_in_process("plan", "qwen3-8b", "--gpu", "RTX 4090", "--json")
    tiers = {tier["context_tokens"]: tier for tier in checked(ran)["contexts"]}
    assert {8_192, 16_384, 32_768, 40_960} <= set(tiers)
    assert tiers[16_384]["kv_cache_bytes"] == 2 * tiers[8_192]["kv_cache_bytes"]
    assert ran.json["plan"]["quality"]["basis"] == "original"


def test_the_curves_are_those_of_each_cache_type(run_in_process: Run) -> None:
    ran = run_in_process("estimate", "qwen3-32b", "--gpu", "RTX 4090", "--contexts", "--json")
    curves = {curve["kv_cache"]: curve["points"] for curve in checked(ran)["curves"]}
    assert list(curves) == ["f16", "q8_0", "q4_0"]
    for wide, narrow in zip(curves["f16"], curves["q8_0"], strict=True):
        assert narrow["kv_cache_bytes"] < 0.6 * wide["kv_cache_bytes"]
    text = run_in_process("estimate", "qwen3-32b", "--gpu", "H100", "--contexts").out
    assert "CONTEXT\tAUTO\tFP8" in text


def test_each_part_of_an_estimate_names_its_origin(run_in_process: Run, tiny: str) -> None:
    found = checked(run_in_process("estimate", tiny, "--gpu", "RTX 4090", "--json"))
    origins = {entry["part"]: entry["origin"] for entry in found["origins"]}
    assert set(origins) == {part for part, size in found["parts"].items() if size}
    assert origins["weights_bytes"] == "file"
    assert origins["non_torch_bytes"] == "measured"


@pytest.mark.parametrize("options", [(), ("--gpu", "0")])
def test_ram_is_of_simulated_machines(run_in_process: Run, options: tuple[str, ...]) -> None:
    ran = run_in_process("plan", "qwen3-8b", *options, "--ram", "64GB")
    assert ran.code == 2
    assert "--gpu 'RTX 4090' --ram 64GB" in ran.err


def test_ram_decides_what_the_host_holds(run_in_process: Run) -> None:
    def host(ram: str) -> int:
        wish = ("--gpu", "RTX 3060 12GB", "--ram", ram, "--json")
        ran = run_in_process("plan", "qwen3-30b-a3b", *wish)
        value: int = checked(ran)["plan"]["estimate"]["host"]["total_bytes"]
        return value

    assert host("16GB") < 13 << 30 < host("64GB")
