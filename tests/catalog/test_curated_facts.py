"""Facts of ``catalogs/aliases.yaml`` in the bundled catalog: published formats, sizes, layers."""

from __future__ import annotations

import math

import pytest

from modelscan.catalog.curated import curated
from modelscan.catalog.search.lookup import find_model
from modelscan.core.model import Model
from modelscan.core.workload import Workload
from modelscan.memory.architecture.from_config import from_config
from modelscan.memory.tensor_table import tensor_table
from modelscan.models.from_catalog import from_model, original_format
from modelscan.state.config import load
from modelscan.state.paths import paths


def bundled(repo: str) -> Model:
    return find_model(repo, paths())


@pytest.mark.parametrize("repo", ["MiniMaxAI/MiniMax-M2", "deepseek-ai/DeepSeek-V3-0324",
                                  "mistralai/Devstral-Small-2-24B-Instruct-2512"])  # fmt: skip
def test_a_model_published_in_eight_bits_has_no_16_bit_weights(
    repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a table or recipe says 16 bits of the makers' repository."""
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    model = bundled(repo)
    assert original_format(model) == "FP8"
    candidates = from_model(model, load(), Workload()).candidates
    own = {c.variant.quantization for c in candidates if c.variant.repo == repo}
    assert own == {"FP8"}
    wide = [c for c in candidates if c.variant.quantization == "BF16"]
    assert all(c.quality and c.quality.basis == "upcast" for c in wide)


def test_every_size_by_hand_is_used_or_exceeded_by_a_count() -> None:
    for repo, (total, *active) in curated().known_parameters.items():
        model = bundled(repo)
        assert model.parameters and abs(model.parameters / total - 1) < 0.05, repo
        assert not active or model.active_parameters, repo


def test_layers_by_hand_give_the_counted_parameters() -> None:
    """With one prediction block, which has an embedding and a head of its own."""
    repo = "zai-org/GLM-4.7-Flash"
    config = curated().known_architectures[repo]
    architecture = from_config(config)
    language = sum(math.prod(shape) for _, shape in tensor_table(architecture))
    hidden, width = config["hidden_size"], config["moe_intermediate_size"]
    heads, latent = config["num_attention_heads"], config["kv_lora_rank"]
    query, rope = config["q_lora_rank"], config["qk_rope_head_dim"]
    head, value = config["qk_nope_head_dim"], config["v_head_dim"]
    attention = (
        hidden * query + query * heads * (head + rope) + hidden * (latent + rope)
        + latent * heads * (head + value) + heads * value * hidden
    )  # fmt: skip
    experts = (config["n_routed_experts"] + 1) * 3 * hidden * width
    block = attention + experts + 2 * hidden * hidden + 2 * config["vocab_size"] * hidden
    counted = bundled(repo).parameters
    assert counted is not None and abs((language + block) / counted - 1) < 0.0001
    assert bundled(repo).architecture == config


def test_an_instruct_model_that_hears_is_for_chats() -> None:
    assert bundled("microsoft/Phi-4-multimodal-instruct").task == "chat"
    assert bundled("openai/whisper-large-v3").task == "speech_to_text"
