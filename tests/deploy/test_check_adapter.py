"""LoRA adapters: read from their files, checked against a base and an engine's version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.adapters import lora, write_peft, write_safetensors
from support.tiny_gguf import write_tiny_gguf
from support.tiny_hf import write_tiny_hf

from modelscan.core.errors import UsageError
from modelscan.core.workload import Backend, Workload
from modelscan.deploy.adapters import AdapterChecked, check_adapter
from modelscan.deploy.planning import Question, plan_model
from modelscan.engines.vllm.adapters import lora_ranks
from modelscan.models.adapters import read_adapter
from modelscan.state.config import Config, load


@pytest.fixture
def config(clean_environment: Path) -> Config:
    return load({"offline": True})


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder: 2 layers, hidden size 128, 2 heads of 64, 1 KV head."""
    return write_tiny_hf(tmp_path_factory.mktemp("hf") / "base")


def checked(path: Path, base: Path, config: Config, backend: Backend = "vllm") -> AdapterChecked:
    return check_adapter(path, str(base), config, backend)


def failed(answer: AdapterChecked) -> dict[str, str]:
    return {one.name: one.reason for one in answer.checks if one.state == "fails"}


def test_a_good_adapter(base: Path, config: Config, tmp_path: Path) -> None:
    path = write_peft(tmp_path / "a", rank=64, base_model_name_or_path=str(base))
    answer = checked(path, base, config)
    assert (answer.fits, failed(answer)) == (True, {})
    assert (answer.adapter.r, answer.adapter.max_rank, answer.adapter.alpha) == (64, 64, 16)
    assert answer.adapter.target_modules == ("q_proj",)
    assert [(one.name, one.value) for one in answer.engine_options] == [("max-lora-rank", "64")]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("rank", {"rank": 1024}, "rank 1024 is larger than 512"),
        ("config", {"r": "x"}, "'r' is 'x'"),
        ("config", {"r": 0}, "'r' is 0"),
        ("config", {"r": True}, "'r' is True"),
        ("config", {"lora_alpha": None}, "'lora_alpha' is None"),
        ("config", {"target_modules": None}, "'target_modules' is missing"),
        ("config", {"rank_pattern": 3}, "'rank_pattern' is 3"),
        ("tensors", {"r": 16}, "has rank 8, the config says 16"),
        ("tensors", {"target_modules": ["v_proj"]}, "q_proj is adapted, the config names only"),
        ("tensors", {"use_dora": True}, "no magnitude vectors"),
        ("modules_to_save", {"modules_to_save": ["lm_head"]}, "whole modules: lm_head"),
        ("bias", {"bias": "all"}, "biases: all"),
        ("method", {"peft_type": "IA3"}, "this is IA3"),
        ("base", {"base_model_name_or_path": "Qwen/Qwen3-8B"}, None),
        ("sizes", {"hidden": 256}, "is 256 x 128, the base's is 128 x 128"),
    ],
)
def test_what_vllm_refuses(
    base: Path,
    config: Config,
    tmp_path: Path,
    name: str,
    change: dict[str, Any],
    reason: str | None,
) -> None:
    path = write_peft(tmp_path / "a", **change)
    answer = checked(path, base, config)
    if reason is None:  # a base that the catalog knows, against a folder: not known
        states = {one.name: one.state for one in answer.checks}
        assert states[name] == "unknown"
        return
    assert reason in failed(answer)[name]
    assert answer.fits is False
    decision = plan_model(
        Question(str(base), Workload(backend="vllm", adapters=(str(path),)), "RTX 4090"), config
    ).decision
    assert decision.plan is None
    assert decision.refusal is not None
    assert any(reason in text for text in decision.refusal.reasons)


def test_tensors_beside_the_matrices(base: Path, config: Config, tmp_path: Path) -> None:
    """Whole modules that the config does not name, biases it denies, and names of nothing."""
    matrices = lora("layers.0.self_attn.q_proj", 8, 128, 128)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    for number, (other, shape, check, reason) in enumerate((
        ("base_model.model.lm_head.weight", (264, 128), "modules_to_save", "lm_head"),
        (f"{name}.bias", (128,), "tensors", "the config none"),
        ("totally.unexpected", (3,), "tensors", "totally.unexpected is no tensor"),
    )):  # fmt: skip
        path = write_peft(tmp_path / str(number), {**matrices, other: shape})
        assert reason in failed(checked(path, base, config))[check]
    grown = "base_model.model.model.embed_tokens.base_layer.weight"  # rows of a larger vocabulary
    path = write_peft(tmp_path / "grown", {**matrices, grown: (264, 128)})
    assert failed(checked(path, base, config)) == {}


def test_bases_of_the_catalog_are_told_apart(config: Config, tmp_path: Path) -> None:
    """By their names, also where the sizes agree; an unknown name decides nothing."""
    shapes = lora("layers.0.self_attn.q_proj", 8, 4096, 4096)
    for base, state in (
        ("meta-llama/Llama-3.1-8B", "fails"), ("Qwen/Qwen3-8B", "ok"),
        ("somebody/unknown-8b", "unknown"), ("Qwen/Qwen3-8B-unknown", "unknown"),
    ):  # fmt: skip
        path = write_peft(tmp_path / "a", shapes, base_model_name_or_path=base)
        answer = check_adapter(path, "qwen3-8b", config, "vllm")
        assert {one.name: one.state for one in answer.checks}["base"] == state, base


def test_patterns_of_ranks(base: Path, config: Config, tmp_path: Path) -> None:
    """The largest rank counts; a scale that differs from module to module is not applied."""
    shapes = {
        **lora("layers.0.self_attn.q_proj", 8, 128, 128),
        **lora("layers.1.self_attn.q_proj", 32, 128, 128),
    }
    pattern = {"layers.1.self_attn.q_proj": 32}
    path = write_peft(tmp_path / "a", shapes, rank_pattern=pattern)
    answer = checked(path, base, config)
    assert (answer.adapter.r, answer.adapter.max_rank) == (8, 32)
    assert "patterns' other ranks" in failed(answer)["scaling"]
    even = write_peft(tmp_path / "b", shapes, rank_pattern=pattern, alpha_pattern=dict.fromkeys(
        pattern, 64
    ))  # fmt: skip
    answer = checked(even, base, config)
    assert failed(answer) == {}
    assert [one.value for one in answer.engine_options] == ["32"]
    layers = write_peft(tmp_path / "c", lora("layers.7.self_attn.q_proj", 8, 128, 128))
    assert "is in layer 7, the base has 2" in failed(checked(layers, base, config))["sizes"]


@pytest.mark.parametrize(
    ("damage", "name", "reason"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "files", "no adapter_config.json"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "files", "no adapter_model"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "config", "is no JSON"),
        (lambda f: (f / "adapter_config.json").write_text("[1]"), "config", "not a JSON object"),
        (lambda f: (f / "adapter_config.json").write_bytes(b"\xff\xfe"), "config", "is no JSON"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"abc"), "files", "3 bytes"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(
            (f / "adapter_model.safetensors").read_bytes()[:-4]), "files", "cut off"),
        (lambda f: write_safetensors(f / "adapter_model.safetensors", {"x": (1,)}), "tensors",
         "no LoRA tensors"),
        (lambda f: write_safetensors(f / "adapter_model.safetensors", {
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (8, 128)}),
         "tensors", "only one of"),
    ],
)  # fmt: skip
def test_damaged_files(
    base: Path, config: Config, tmp_path: Path, damage: Any, name: str, reason: str
) -> None:
    path = write_peft(tmp_path / "a")
    damage(path)
    answer = checked(path, base, config)
    assert reason in failed(answer)[name], answer.checks
    assert {one.state for one in answer.checks} == {"fails"}  # nothing else is claimed


def test_a_pickle_is_not_opened(base: Path, config: Config, tmp_path: Path) -> None:
    path = write_peft(tmp_path / "a")
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")
    assert "pickle" in failed(checked(path, base, config))["files"]
    with pytest.raises(UsageError, match="there is no adapter"):
        read_adapter(tmp_path / "nowhere")


def test_engines_differ(base: Path, config: Config, tmp_path: Path) -> None:
    """SGLang takes any rank and no rsLoRA, Ollama and llama.cpp no PEFT folder."""
    large = write_peft(tmp_path / "a", rank=1024)
    assert failed(checked(large, base, config, "sglang")) == {}
    rooted = write_peft(tmp_path / "b", use_rslora=True)
    assert failed(checked(rooted, base, config)) == {}
    assert "root of the rank" in failed(checked(rooted, base, config, "sglang"))["scaling"]
    assert "GGUF files only" in failed(checked(large, base, config, "llama.cpp"))["format"]
    assert "Ollama" in failed(checked(large, base, config, "ollama"))["engine"]


def test_an_own_limit_that_is_too_small(base: Path, config: Config, tmp_path: Path) -> None:
    path = write_peft(tmp_path / "a", rank=64)
    for stated, fits in (("32", False), ("128", True)):
        wishes = Workload(
            backend="vllm", adapters=(str(path),), parameters=(("max-lora-rank", stated),)
        )
        decision = plan_model(Question(str(base), wishes, "RTX 4090"), config).decision
        assert (decision.plan is not None) is fits
        if decision.refusal is not None:
            assert any("smaller than the adapter's rank, 64" in r for r in decision.refusal.reasons)


def test_ranks_belong_to_a_version() -> None:
    assert lora_ranks((0, 7, 3))[-1] == 256
    assert lora_ranks((0, 8, 0))[-1] == 512
    assert 1 not in lora_ranks((0, 11, 0))
    assert 1 in lora_ranks((0, 11, 1))


def test_adapters_in_gguf(config: Config, tmp_path: Path) -> None:
    """Against the tensors of a real file, as llama.cpp compares them."""
    pytest.importorskip("gguf")
    from support.talking_gguf import write_talking_adapter, write_talking_gguf

    model = write_talking_gguf(tmp_path / "base.gguf", "yes")
    good = write_talking_adapter(tmp_path / "good.gguf", "yes", "no")
    answer = checked(good, model, config, "llama.cpp")
    assert failed(answer) == {}
    assert (answer.adapter.format, answer.adapter.max_rank) == ("gguf", 4)
    assert failed(checked(good, model, config, "vllm")).keys() == {"format"}
    wide = write_talking_adapter(tmp_path / "wide.gguf", "yes", "no", width=64)
    assert "is 64 x" in failed(checked(wide, model, config, "llama.cpp"))["sizes"]
    other = write_talking_adapter(tmp_path / "other.gguf", "yes", "no", architecture="qwen3")
    assert failed(checked(other, model, config, "llama.cpp")).keys() == {"architecture"}
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf")
    assert "output is its embedding" in failed(checked(good, tiny, config, "llama.cpp"))["sizes"]
    assert "is no adapter" in failed(checked(model, model, config, "llama.cpp"))["config"]
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(good.read_bytes()[:-64])
    assert "cut off" in failed(checked(cut, model, config, "llama.cpp"))["files"]
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"GGUF" + b"\xff" * 100)
    assert failed(checked(junk, model, config, "llama.cpp")).keys() == {"files"}


def test_the_adapter_is_part_of_the_plan(config: Config, tmp_path: Path) -> None:
    """Its bytes count, and its path is an option."""
    pytest.importorskip("gguf")
    from support.talking_gguf import write_talking_adapter, write_talking_gguf

    model = write_talking_gguf(tmp_path / "base.gguf", "yes")
    adapter = write_talking_adapter(tmp_path / "a.gguf", "yes", "no", rank=64)

    def weights(**wishes: Any) -> int:
        plan = plan_model(Question(str(model), Workload(**wishes)), config).decision.plan
        assert plan is not None
        return plan.estimate.parts.weights_bytes

    assert weights(adapters=(str(adapter),)) - weights() == adapter.stat().st_size
    assert weights(parameters=(("lora", str(adapter)),)) - weights() == adapter.stat().st_size


@pytest.mark.parametrize("text", ["", "null", "3", "{}", '{"r": 1e999}', '{"r": NaN}', "[" * 5000])
def test_any_config_is_an_answer(config: Config, base: Path, tmp_path: Path, text: str) -> None:
    path = write_peft(tmp_path / "a")
    (path / "adapter_config.json").write_text(text)
    assert checked(path, base, config).fits is False


def test_a_run_with_its_record(config: Config, base: Path, tmp_path: Path) -> None:
    """run.json: its result, base, dataset and digest; the same content is the same version."""
    pytest.importorskip("sqlalchemy")
    from modelscan.promotion.fine_tune import facts_from, is_fine_tune
    from modelscan.registry.models import create_model
    from modelscan.registry.types import RegistryModelFacts
    from modelscan.registry.versions import add_version
    from modelscan.state.server.audit import local_user
    from modelscan.state.server.database import open_server

    write_peft(tmp_path / "out")
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n')
    record = {"output": "out", "base": str(base), "dataset": "train.jsonl", "method": "lora",
              "base_revision": "abc123", "run_id": "base-lora-20261130-0a1b2c3d"}  # fmt: skip
    run = tmp_path / "run.json"
    run.write_text(json.dumps(record))
    assert is_fine_tune(str(run), None)
    assert is_fine_tune(str(tmp_path / "out"), None)
    assert not is_fine_tune(str(base), None)
    with open_server(config) as database:
        facts = facts_from(run, None, config, database)
        lineage = facts.lineage
        assert lineage is not None and lineage.adapter_facts is not None
        assert (lineage.base_model, lineage.base_revision) == (str(base), "abc123")
        assert (lineage.adapter_facts.r, lineage.adapter) == (8, True)
        assert (lineage.tokenizer_kept, lineage.template_kept) == (True, True)
        assert lineage.dataset_digest is not None and len(lineage.dataset_digest) == 64
        with database.writing() as connection:
            create_model(connection, local_user(), RegistryModelFacts(slug="tuned"))
            first, new = add_version(connection, local_user(), "tuned", facts)
            again, newer = add_version(connection, local_user(), "tuned", facts)
        assert (first.version, new, again.version, newer) == ("1", True, "1", False)
        for broken, words in (
            ({"base": "x"}, "does not say where"), ({**record, "output": "gone"}, "is not there"),
            ({**record, "dataset": "gone.jsonl"}, "the dataset"),
        ):  # fmt: skip
            run.write_text(json.dumps(broken))
            with pytest.raises(UsageError, match=words):
                facts_from(run, None, config, database)
        whole = facts_from(base, str(base), config, database)
        assert whole.lineage is not None
        assert (whole.lineage.adapter, whole.lineage.tokenizer_kept) == (False, True)
        assert {one.path for one in whole.files} >= {"config.json", "model.safetensors"}
