"""Recommended sampling values: only what the makers state, in the ranges that samplers accept."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.sampling import Sampling
from modelscan.formats.sampling import from_generation_config, from_gguf


def test_a_published_generation_config() -> None:
    """Qwen/Qwen3-8B, as published."""
    config = {
        "bos_token_id": 151643, "do_sample": True, "eos_token_id": [151645, 151643],
        "pad_token_id": 151643, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
        "transformers_version": "4.51.0",
    }  # fmt: skip
    found = from_generation_config(config)
    assert found == Sampling(0.6, 0.95, 20, None, None, "generation_config.json")
    assert found.body() == {"temperature": 0.6, "top_p": 0.95, "top_k": 20}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"eos_token_id": 2},
        {"do_sample": False, "temperature": 0.6},
        {"temperature": "hot", "top_p": True, "top_k": -1, "min_p": 2},
    ],
)
def test_nothing_is_invented(config: dict[str, Any]) -> None:
    """No values, greedy decoding, and values of no sampler."""
    assert from_generation_config(config) is None


def test_a_gguf_header() -> None:
    """The keys that llama.cpp's converter writes."""
    metadata = {"general.sampling.temp": 1.0, "general.sampling.top_k": 64, "general.name": "x"}
    assert from_gguf(metadata) == Sampling(1.0, None, 64, source="GGUF header")
    assert from_gguf({"general.name": "x"}) is None
