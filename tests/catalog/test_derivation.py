"""After a sync from a hub: a fine-tune, merge or abliteration is never a variant of its base."""

from __future__ import annotations

from typing import Any

import pytest
from support.catalog_facts import repo, snapshot

from modelscan.catalog.curated import curated
from modelscan.catalog.link.join import link
from modelscan.catalog.records import HUGGINGFACE
from modelscan.catalog.sources.huggingface import record
from modelscan.hub.huggingface.parse import parse_search

BASE = "alibaba/qwen3-8b"


def listed(name: str, relation: str | None, *bases: str) -> dict[str, Any]:
    """A row of the hub's list of models, as recorded; relations stand only in the tags."""
    tags = ["safetensors", "license:apache-2.0", *(f"base_model:{base}" for base in bases)]
    tags += [f"base_model:{relation}:{base}" for base in bases if relation]
    return {
        "_id": "67", "id": name, "modelId": name, "likes": 3, "private": False, "downloads": 1200,
        "tags": tags, "pipeline_tag": "text-generation", "library_name": "transformers",
        "createdAt": "2025-05-02T10:00:00.000Z", "cardData": {"base_model": list(bases)},
    }  # fmt: skip


def groups_of(*rows: dict[str, Any]) -> dict[str, str]:
    """Repository -> id of its model, with the lab's repositories listed by another source."""
    known = [repo(name) for name in ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B-Base", "Qwen/Qwen3-14B")]
    hub = [record(info) for info in parse_search(list(rows))]
    groups = link([snapshot("llmfit", *known), snapshot(HUGGINGFACE, *hub)], curated())
    return {m.record.key: g.id for g in groups for m in g.members if m.source == HUGGINGFACE}


@pytest.mark.parametrize(
    ("name", "relation"),
    [
        ("NousResearch/Hermes-9-8B", "finetune"),
        ("someone/Qwen3-8B-roleplay", "finetune"),
        ("someone/Qwen3-8B", "finetune"),
        ("huihui-ai/Huihui-Qwen3-8B-abliterated-v2", "finetune"),
        ("mlabonne/Qwen3-8B-abliterated", None),
        ("someone/Qwen3-8B-SLERP", "merge"),
        ("someone/Qwen3-8B-lora", "adapter"),
        ("someone/Qwen3-8B", "adapter"),
        ("mradermacher/Qwen3-8B-heretic-GGUF", "quantized"),
        ("bartowski/Qwen3-8B-Uncensored-AWQ", "quantized"),
        ("someone/Qwen3-8B-Uncensored-GGUF", "finetune"),
        ("someone/Captain-8B-GGUF", "quantized"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen3-8B", "finetune"),
        ("someone/Qwen3-8B-Sunflower", None),
    ],
)
def test_a_derived_model_is_a_model_of_its_own(name: str, relation: str | None) -> None:
    """Whatever the card names as its base, and also where the card says quantized."""
    assert groups_of(listed(name, relation, "Qwen/Qwen3-8B"))[name] != BASE


@pytest.mark.parametrize(
    ("name", "relation"),
    [
        ("Qwen/Qwen3-8B-FP8", "quantized"),
        ("bartowski/Qwen_Qwen3-8B-GGUF", "quantized"),
        ("someone/Qwen3-8B-Q4_K_M-GGUF", "quantized"),
        ("someone/qwen3-8b-awq", "finetune"),  # the hub did not recognize the quantization
        ("unsloth/Qwen3-8B", "finetune"),  # a converter's unchanged copy
        ("RedHatAI/Qwen3-8B-quantized.w4a16", "quantized"),
        ("mlx-community/Qwen3-8B-4bit", None),
        ("OpenVINO/Qwen3-8B-int4-ov", "quantized"),
        ("someone/Qwen3-8B-int8-ov", "quantized"),
    ],
)
def test_conversions_and_copies_are_variants(name: str, relation: str | None) -> None:
    """The same weights in another format lead to the model."""
    assert groups_of(listed(name, relation, "Qwen/Qwen3-8B"))[name] == BASE


def test_an_instruct_model_is_not_its_base_model() -> None:
    """The lab's own card names the base that it was trained from."""
    groups = groups_of(listed("Qwen/Qwen3-8B", "finetune", "Qwen/Qwen3-8B-Base"))
    assert groups["Qwen/Qwen3-8B"] == BASE


def test_a_conversion_of_a_fine_tune_belongs_to_the_fine_tune() -> None:
    """Also where the fine-tune has the name of its base."""
    tune, same = "someone/Qwen3-8B-roleplay", "other/Qwen3-8B"
    groups = groups_of(
        listed(tune, "finetune", "Qwen/Qwen3-8B"),
        listed("mradermacher/Qwen3-8B-roleplay-GGUF", "quantized", tune),
        listed(same, "finetune", "Qwen/Qwen3-8B"),
        listed("mradermacher/Qwen3-8B-GGUF", "quantized", same),
    )
    assert groups["mradermacher/Qwen3-8B-roleplay-GGUF"] == groups[tune] != BASE
    assert groups["mradermacher/Qwen3-8B-GGUF"] == groups[same] != BASE


def test_a_merge_of_two_models_belongs_to_neither() -> None:
    """Several bases are stated; none of them has these weights."""
    merged = "someone/Qwen3-8B-GGUF"
    groups = groups_of(listed(merged, None, "Qwen/Qwen3-8B", "Qwen/Qwen3-14B"))
    assert groups[merged] not in (BASE, "alibaba/qwen3-14b")
