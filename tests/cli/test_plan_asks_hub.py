"""Plans of catalog models whose files the catalog does not list: asked online, computed offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.fake_hub import FakeHub
from support.hub_content import File
from support.tiny_gguf import write_tiny_gguf

Cli = Callable[..., Ran]
SMALL_CARD = ("--gpu", "RTX 3060 12GB")
GPT_OSS = "ggml-org/gpt-oss-20b-GGUF"
BYTES = 12_109_566_560  # of the file on the hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        made.add(GPT_OSS, {"gpt-oss-20b-mxfp4.gguf": File(b"GGUF", BYTES), "README.md": b""})
        yield made


def plan_of(run: Cli, *args: str, code: int = 0) -> dict[str, Any]:
    done = run("plan", *args, "--json")
    assert done.code == code, done.err
    answer: dict[str, Any] = done.json
    return answer


def reasons(answer: dict[str, Any]) -> str:
    return "\n".join(answer["plan"]["reasons"])


def host(hub: FakeHub) -> str:
    return hub.url.partition("//")[2]


def test_online_the_hub_is_asked_once(run_in_process: Cli, hub: FakeHub) -> None:
    first = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    assert first["verdict"] == "fits"
    assert first["plan"]["files"] == ["gpt-oss-20b-mxfp4.gguf"]
    assert first["plan"]["revision"] == hub.repos[GPT_OSS].branches["main"]
    assert not first["plan"]["files_expected"]
    assert f"queried {host(hub)}: {GPT_OSS} has 1 GGUF files" in reasons(first)
    assert [seen.path for seen in hub.log] == [f"/api/models/{GPT_OSS}"]
    again = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    assert f"the files of {GPT_OSS} are those of" in reasons(again)
    offline = plan_of(run_in_process, "--offline", "gpt-oss-20b", *SMALL_CARD)
    for later in (again, offline):
        assert later["plan"]["files"] == first["plan"]["files"]
        assert later["plan"]["parameters"] == first["plan"]["parameters"]
    assert len(hub.log) == 1


def test_offline_sizes_are_computed_and_names_expected(run_in_process: Cli) -> None:
    answer = plan_of(run_in_process, "--offline", "gpt-oss-20b", *SMALL_CARD)
    plan = answer["plan"]
    assert (answer["verdict"], plan["files_expected"]) == ("fits", True)
    assert plan["quantization"] == "MXFP4"
    text = reasons(answer)
    assert "is computed from the model's sizes" in text and "expected" in text
    assert abs(plan["estimate"]["parts"]["weights_bytes"] / BYTES - 1) < 0.01


def test_a_hub_that_does_not_answer_changes_nothing_but_a_note(
    run_in_process: Cli, hub: FakeHub
) -> None:
    hub.fault("/api/models", "500")
    answer = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    assert (answer["verdict"], answer["plan"]["files_expected"]) == ("fits", True)
    assert f"queried {host(hub)} about" in reasons(answer)
    assert len(hub.log) == 1  # neither repeated nor followed by other questions


@pytest.mark.parametrize("fault", ["503", "hang", "reset", "429"])
def test_a_failed_query_is_not_repeated_by_the_next_plan(
    run_in_process: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "0.2")
    hub.fault("/api/models", fault)
    first = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    again = plan_of(run_in_process, "qwen3-8b", *SMALL_CARD)
    assert len(hub.log) == 1
    assert f"{host(hub)} could not be queried at" in reasons(again)
    for answer in (first, again):
        assert "queried again after" in reasons(answer)
        assert "`modelscan catalog sync --source huggingface`" in reasons(answer)
    info = run_in_process("catalog", "info", "gpt-oss-20b", *SMALL_CARD, "--json").json
    assert (info["fit"]["verdict"], len(hub.log)) == ("fits", 1)


def test_a_hub_that_failed_is_queried_again_on_request(
    run_in_process: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault("/api/models", "503")
    plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    hub.heal()
    plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    assert len(hub.log) == 1
    hub.add("Qwen/Qwen3-0.6B", {"config.json": b"{}"}, tags=["text-generation"], downloads=10**9)
    assert run_in_process("catalog", "sync", "--source", "huggingface").code == 0
    answer = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)
    assert not answer["plan"]["files_expected"]
    with FakeHub() as other:  # another endpoint is another hub
        hub.fault("/api/models", "503")
        plan_of(run_in_process, "ornith-1.0-9b", *SMALL_CARD)
        monkeypatch.setenv("HF_ENDPOINT", other.url)
        plan_of(run_in_process, "ornith-1.0-9b", *SMALL_CARD)
        assert other.log


def test_a_repository_that_is_gone_is_asked_for_once(run_in_process: Cli, hub: FakeHub) -> None:
    del hub.repos[GPT_OSS]
    name = "unsloth/gpt-oss-20b-GGUF"
    hub.add(name, {"gpt-oss-20b-F16.gguf": File(b"GGUF", 13_792_638_400),
                   "gpt-oss-20b-Q4_K_M.gguf": File(b"GGUF", 11_624_856_416)})  # fmt: skip
    answer = plan_of(run_in_process, "gpt-oss-20b", "--gpu", "RTX 4090", "--backend", "llama.cpp")
    assert answer["plan"]["repo"] == name
    assert f"{GPT_OSS} does not exist there, or is private" in reasons(answer)
    asked = len(hub.log)
    plan_of(run_in_process, "gpt-oss-20b", "--gpu", "RTX 4090", "--backend", "llama.cpp")
    assert len(hub.log) == asked


def test_subfolders_splits_and_projectors_count(run_in_process: Cli, hub: FakeHub) -> None:
    name = "unsloth/Qwen3.5-122B-A10B-GGUF"
    part = "Q4_K_M/Qwen3.5-122B-A10B-Q4_K_M-0000{}-of-00003.gguf"
    files = {part.format(k): File(b"GGUF", 25_000_000_000) for k in (1, 2, 3)}
    files |= {"Qwen3.5-122B-A10B-UD-IQ1_M.gguf": File(b"GGUF", 35_000_000_000),
              "imatrix_unsloth.gguf": File(b"GGUF", 500_000_000),
              "mmproj-F16.gguf": File(b"GGUF", 900_000_000),
              "mmproj-F32.gguf": File(b"GGUF", 1_800_000_000)}  # fmt: skip
    hub.add(name, files)
    plan = plan_of(run_in_process, "qwen3.5-122b-a10b", "--gpu", "M4 Max 128GB")["plan"]
    assert plan["quantization"] == "Q4_K_M"
    assert plan["files"] == [*(part.format(k) for k in (1, 2, 3)), "mmproj-F16.gguf"]
    assert round(plan["estimate"]["parts"]["weights_bytes"], -3) == 75_000_000_000


def test_info_and_plan_answer_alike(run_in_process: Cli, hub: FakeHub) -> None:
    info = run_in_process("catalog", "info", "gpt-oss-20b", *SMALL_CARD, "--json").json
    plan = plan_of(run_in_process, "gpt-oss-20b", *SMALL_CARD)["plan"]
    fit = info["fit"]
    assert (fit["verdict"], fit["quantization"]) == ("fits", plan["quantization"])
    assert fit["needed_bytes"] == plan["estimate"]["total_bytes"]
    (listed,) = [v for v in info["variants"] if v["listing"] == "whole"]
    assert listed["weight_bytes"] == BYTES
    assert len(hub.log) == 1


def test_a_requested_quantization_is_looked_for_in_other_lists(
    run_in_process: Cli, hub: FakeHub
) -> None:
    name = "Llama-3.2-1B-Instruct"
    hub.add(f"unsloth/{name}-GGUF", {f"{name}-Q4_K_M.gguf": File(b"GGUF", 807_694_464)})
    hub.add(f"bartowski/{name}-GGUF", {f"{name}-IQ3_M.gguf": File(b"GGUF", 657_289_344)})
    wish = ("llama-3.2-1b-instruct", *SMALL_CARD, "--quantization", "IQ3_M")
    plan = plan_of(run_in_process, *wish)["plan"]
    assert (plan["repo"], plan["files"]) == (f"bartowski/{name}-GGUF", [f"{name}-IQ3_M.gguf"])
    absent = plan_of(run_in_process, *wish[:-1], "IQ2_M", code=3)
    assert "no IQ2_M weights" in absent["reasons"][0] and "IQ3_M (gguf)" in absent["reasons"][0]


def test_sync_lists_the_files_of_the_most_used_models(run_in_process: Cli, hub: FakeHub) -> None:
    hub.add("Qwen/Qwen3-0.6B", {"config.json": b"{}"}, tags=["text-generation"], downloads=10**9)
    listing = {f"Qwen3-0.6B-{label}.gguf": File(b"GGUF", 700_000_000) for label in ("Q8_0",)}
    hub.add("unsloth/Qwen3-0.6B-GGUF", listing)
    done = run_in_process("catalog", "sync", "--source", "huggingface", "--json")
    assert done.code == 0
    asked = len(hub.log)
    offline = run_in_process("--offline", "catalog", "info", "qwen3-0.6b", *SMALL_CARD, "--json")
    listed = [v for v in offline.json["variants"] if v["listing"] == "whole"]
    assert [v["weight_bytes"] for v in listed] == [700_000_000]
    run_in_process("catalog", "sync", "--source", "huggingface")
    again = [seen.path for seen in hub.log[asked:]]
    assert not any("Qwen3-0.6B" in path for path in again)


def test_conversions_are_looked_up_where_none_is_known(run_in_process: Cli, hub: FakeHub) -> None:
    wish = ("sarvam-30b", "--gpu", "RTX 4090")
    offline = plan_of(run_in_process, "--offline", *wish, code=3)
    assert offline["verdict"] == "unknown"
    assert offline["missing"][0]["command"] == "modelscan plan sarvam/sarvam-30b"
    name = "bartowski/sarvamai_sarvam-30b-GGUF"
    hub.add(name, {"sarvamai_sarvam-30b-Q4_K_M.gguf": File(b"GGUF", 19_500_000_000)},
            tags=["base_model:quantized:sarvamai/sarvam-30b"])  # fmt: skip
    answer = plan_of(run_in_process, *wish)
    assert (answer["plan"]["repo"], answer["plan"]["quantization"]) == (name, "Q4_K_M")
    assert "1 GGUF repositories of sarvamai/sarvam-30b" in reasons(answer)
    asked = len(hub.log)
    again = plan_of(run_in_process, "--offline", *wish)
    assert again["plan"]["files"] == answer["plan"]["files"]
    assert len(hub.log) == asked


def test_config_json_is_read_where_no_architecture_is_known(
    run_in_process: Cli, hub: FakeHub
) -> None:
    config = {
        "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "head_dim": 128,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 12288,
        "vocab_size": 151936, "max_position_embeddings": 40960,
    }  # fmt: skip
    hub.add("ornith-ai/Ornith-1.0-9B", {"config.json": json.dumps(config).encode()})
    hub.add("deepreinforce-ai/Ornith-1.0-9B", {"config.json": json.dumps(config).encode()})
    before = plan_of(run_in_process, "--offline", "ornith-1.0-9b", "--gpu", "RTX 4090")
    assert before["plan"]["estimate"]["basis"] == "range"
    plan = plan_of(run_in_process, "ornith-1.0-9b", "--gpu", "RTX 4090")["plan"]
    assert plan["estimate"]["basis"] == "computed"
    assert "read config.json of" in "\n".join(plan["reasons"])
    info = run_in_process("--offline", "catalog", "info", "ornith-1.0-9b", "--json").json
    assert info["architecture"]["num_hidden_layers"] == 36
    assert info["provenance"]["architecture"]["source"].startswith("huggingface (")


def test_without_a_config_json_a_header_states_the_architecture(
    run_in_process: Cli, hub: FakeHub, tmp_path: Path
) -> None:
    body = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    name = "bartowski/sarvamai_sarvam-30b-GGUF"
    files = {f"sarvamai_sarvam-30b-{label}.gguf": File(body, len(body) + more)
             for label, more in (("Q4_K_M", 0), ("Q8_0", 100_000))}  # fmt: skip
    hub.add(name, files, tags=["base_model:quantized:sarvamai/sarvam-30b"])
    wish = ("sarvam-30b", "--gpu", "RTX 4090", "--quantization", "Q4_K_M")
    answer = plan_of(run_in_process, *wish)
    assert "read header of sarvamai_sarvam-30b-Q4_K_M.gguf" in reasons(answer)
    estimate = answer["plan"]["estimate"]
    assert answer["plan"]["context_tokens"] == 2048
    named = plan_of(run_in_process, f"hf:{name}", *wish[1:])["plan"]["estimate"]
    assert named["parts"] == estimate["parts"]
    asked = len(hub.log)
    again = plan_of(run_in_process, *wish)
    assert again["plan"]["estimate"] == estimate
    other = plan_of(run_in_process, *wish[:-1], "Q8_0")["plan"]
    assert (other["quantization"], other["context_tokens"]) == ("Q8_0", 2048)
    assert other["estimate"]["parts"]["weights_bytes"] > estimate["parts"]["weights_bytes"]
    assert len(hub.log) == asked
    offline = plan_of(run_in_process, "--offline", *wish)
    assert offline["plan"]["estimate"] == estimate


def test_a_file_without_a_header_leaves_the_architecture_unknown(
    run_in_process: Cli, hub: FakeHub
) -> None:
    name = "bartowski/sarvamai_sarvam-30b-GGUF"
    hub.add(name, {"sarvamai_sarvam-30b-Q4_K_M.gguf": File(b"<html>", 19_500_000_000)},
            tags=["base_model:quantized:sarvamai/sarvam-30b"])  # fmt: skip
    answer = plan_of(run_in_process, "sarvam-30b", "--gpu", "RTX 4090")
    assert "no readable header of" in reasons(answer)
    assert answer["plan"]["estimate"]["basis"] == "range"
    asked = len(hub.log)
    plan_of(run_in_process, "sarvam-30b", "--gpu", "RTX 4090")
    assert len(hub.log) == asked


def test_a_size_that_is_not_known_is_a_verdict_and_no_error(run_in_process: Cli) -> None:
    """Also where hardware is searched that would be large enough."""
    ran = run_in_process("plan", "thenlper/gte-large", "--gpu", "T4", "--offline", "--json")
    assert ran.code == 3 and ran.json["verdict"] == "unknown"
    assert [one["command"] for one in ran.json["missing"]] == [
        "modelscan plan hf:thenlper/gte-large"
    ]
    assert ran.json["required"]["gpus"] == []
