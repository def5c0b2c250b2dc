"""Limits, modalities and abilities come from the config, the lab and the majority of hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.catalog_facts import curated, recipe, repo, row, snapshot

from modelscan.catalog.merge import from_config
from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import GPUSTACK, MODELSDEV, SourceRecord, SourceSnapshot
from modelscan.core.model import Model
from modelscan.core.units import parse_least_tokens

REPO = "AcmeAI/Rocket-2-8B"
CONTEXT, INPUT, KINDS = "limits.context_tokens", "limits.input_tokens", "modalities_in"


def rocket(*rows: SourceRecord, config: dict[str, Any] | None = None, **facts: Any) -> Model:
    """The model made of these provider rows and its own repository with these facts."""
    weights = replace(repo(REPO, **facts), architecture=config)
    snapshots: list[SourceSnapshot] = [snapshot("configs", weights)]
    if rows:
        snapshots.append(snapshot(MODELSDEV, *rows))
    return next(m for m in merge(snapshots, curated()) if m.id == "acme/rocket-2-8b")


def host(name: str, **facts: Any) -> SourceRecord:
    return row(f"{name}/rocket-2-8b", "Rocket 2 8B", **facts)


def test_the_config_states_the_trained_context() -> None:
    """The lab's row may state a scaled one, hosts what they serve; both stay visible."""
    rows = [row("acme/rocket-2-8b", "Rocket", "acme/rocket-2-8b", **{CONTEXT: 131072}),
            host("one", **{CONTEXT: 32768})]  # fmt: skip
    model = rocket(*rows, config={"max_position_embeddings": 40960})
    assert model.limits.context_tokens == 40960
    assert model.provenance[CONTEXT].source == "config.json"
    assert (MODELSDEV, 131072) in model.provenance[CONTEXT].others


def test_the_lab_then_the_majority_of_hosts() -> None:
    """Never the one host that serves a shortened or quantized model."""
    hosts = [host("one", **{CONTEXT: 8192}), host("two", **{CONTEXT: 131072}),
             host("three", **{CONTEXT: 131072})]  # fmt: skip
    assert rocket(*hosts).limits.context_tokens == 131072
    own = row("acme/rocket-2-8b", "Rocket", "acme/rocket-2-8b", **{CONTEXT: 65536})
    assert rocket(*hosts, own).limits.context_tokens == 65536
    assert rocket(hosts[0], hosts[1]).limits.context_tokens == 131072  # one each: the larger


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("box/rocket-2-8b-IQ4_XS", "Rocket"),
        ("box/rocket-2-8b-MLX-4bit", "Rocket"),
        ("box/AcmeAI/Rocket-2-8B-AWQ", "Rocket"),
        ("box/rocket-2-8b", "Rocket 2 8B (Q4_K_M)"),
    ],
)
def test_a_quantized_offering_states_nothing_about_the_model(key: str, name: str) -> None:
    """Not even if it is the only row: unknown is better than a host's limit."""
    only = row(key, name, **{CONTEXT: 32768, KINDS: ("text",), "capabilities.tools": False})
    model = rocket(only)
    assert [o.id for o in model.offerings] == [key]
    assert (model.limits.context_tokens, model.modalities_in) == (None, None)
    assert model.capabilities.tools is None
    full = host("two", **{CONTEXT: 131072, KINDS: ("text", "image")})
    both = rocket(only, full)
    assert (both.limits.context_tokens, both.modalities_in) == (131072, ("text", "image"))


def test_image_input_and_vision_agree() -> None:
    """What any reliable source states to be there is there, in both facts."""
    by_hub = rocket(host("one", **{KINDS: ("text",)}), **{"capabilities.vision": True})
    assert (by_hub.capabilities.vision, by_hub.modalities_in) == (True, ("text", "image"))
    assert ("models.dev (hosts)", ("text",)) in by_hub.provenance[KINDS].others
    by_config = rocket(config={"vision_config": {}, "audio_config": {}})
    assert by_config.capabilities.vision
    by_host = rocket(host("one", **{KINDS: ("text", "image")}))
    assert by_host.capabilities.vision


def test_a_part_of_the_context_is_not_larger_than_the_context() -> None:
    """An input limit above it is another service's."""
    both = host("one", **{CONTEXT: 128000, INPUT: 163000})
    assert rocket(both).limits.input_tokens is None


def test_unknown_modalities_are_null() -> None:
    """Unless the task implies them."""
    assert rocket().modalities_in is None
    text = rocket(config={"model_type": "qwen3"}, task="chat")
    assert (text.modalities_in, text.modalities_out, text.capabilities.vision) == (
        ("text",), ("text",), False,
    )  # fmt: skip
    assert rocket(config={"model_type": "new_class"}, task="chat").modalities_in is None
    heard = rocket(task="speech_to_text")
    assert (heard.modalities_in, heard.modalities_out) == (("audio",), ("text",))


def test_the_lab_decides_against_a_recipe_catalog() -> None:
    """A recipe's context is used where neither config nor lab states one."""
    model = next(
        m
        for m in merge([snapshot(GPUSTACK, recipe("Rocket", REPO, **{CONTEXT: 40960})),
                        snapshot(MODELSDEV, host("one", **{CONTEXT: 8192}))], curated())
        if REPO in m.repos
    )  # fmt: skip
    assert model.limits.context_tokens == 40960


@pytest.mark.parametrize(
    ("config", "parameters", "expected"),
    [
        # moonshotai/Kimi-K2-Instruct: 32 billion
        ({"n_routed_experts": 384, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
          "hidden_size": 7168, "num_hidden_layers": 61, "first_k_dense_replace": 1,
          "intermediate_size": 18432, "n_shared_experts": 1, "vocab_size": 163840},
         1_026_408_235_864, 32.9),
        # zai-org/GLM-5: 40 billion; the hub's count includes a prediction layer
        ({"n_routed_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
          "hidden_size": 6144, "num_hidden_layers": 78, "first_k_dense_replace": 3,
          "intermediate_size": 12288, "n_shared_experts": 1, "vocab_size": 154880,
          "num_nextn_predict_layers": 1}, 753_864_139_008, 42.1),
        # mistralai/Mixtral-8x7B: 12.9 billion
        ({"num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 14336,
          "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 32000}, 46_702_792_704, 12.9),
    ],
)  # fmt: skip
def test_active_parameters_by_the_config(
    config: dict[str, Any], parameters: int, expected: float
) -> None:
    """All parameters less the experts that a token does not use."""
    active = from_config.active_parameters(config, parameters)
    assert active is not None and round(active / 1e9, 1) == expected
    assert from_config.active_parameters(config, parameters + parameters // 5) is None
    assert from_config.active_parameters({**config, "hidden_size": None}, parameters) is None


def test_active_parameters_in_the_name() -> None:
    """``17B-16E`` names the active parameters of a model with 16 experts."""
    records = snapshot("llmfit", repo("AcmeAI/Rocket-4-17B-16E-Instruct", parameters=109 * 10**9))
    (model,) = merge([records], curated())
    assert model.active_parameters == 17 * 10**9


@pytest.mark.parametrize(
    ("text", "least"),
    [("128k", 128_000), ("1M", 1_000_000), ("131072", 131_072), ("0.5m", 500_000)],
)
def test_a_least_context_in_either_unit(text: str, least: int) -> None:
    """128,000 and 131,072 are both called 128k."""
    assert parse_least_tokens(text) == least


def test_texts_are_made_from_facts() -> None:
    """No source's text is copied; a user's own text is kept."""
    model = rocket(parameters=8 * 10**9, task="chat", **{CONTEXT: 262144})
    assert model.description == ("Chat model by acme: 8B parameters, 262,144 tokens of context.")
    assert model.provenance["description"].source == "facts"
    assert model.tags == ("long-context",)
    mine = SourceRecord("acme/rocket-2-8b", "overlay", canonical="acme/rocket-2-8b",
                        facts={"description": "Our default."})  # fmt: skip
    (changed,) = merge([snapshot("user", mine)], curated())
    assert (changed.description, changed.provenance["description"].source) == (
        "Our default.",
        "user",
    )


def test_scores_belong_to_the_model_that_they_name() -> None:
    """A score for a name without a model is no model."""
    score = {
        "name": "Some Bench",
        "score": 41.5,
        "date": "2026-01-08",
        "source": "https://x.invalid",
    }
    scores = [SourceRecord(key, "scores", benchmarks=(score,))
              for key in ("AcmeAI/rocket-2-8b", "AcmeAI/Rocket-9")]  # fmt: skip
    found = merge([snapshot("llmfit", repo(REPO)), snapshot("bench", *scores)], curated())
    assert [(m.id, m.benchmarks) for m in found] == [("acme/rocket-2-8b", (score,))]
    assert found[0].provenance["benchmarks"].source == "bench"
