"""Memory of fine-tuning and calibration, against published numbers."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.architecture import ModelShape
from modelscan.core.units import GIB
from modelscan.memory.shape import from_config
from modelscan.memory.training import (
    TrainingCase,
    adapter_values,
    calibration_parts,
    training_parts,
    weight_bytes,
)


def shape(**changes: Any) -> ModelShape:
    """Llama 3 8B, or with other sizes."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
        "torch_dtype": "bfloat16", "tie_word_embeddings": False, **changes,
    }  # fmt: skip
    return from_config(config)


LLAMA_2_7B = {"intermediate_size": 11008, "num_key_value_heads": 32, "vocab_size": 32000}


@pytest.mark.parametrize(
    ("changes", "rank", "values"),
    [
        ({}, 16, 41_943_040),  # Unsloth's notebooks for Llama 3 8B: "trainable parameters"
        (LLAMA_2_7B, 16, 39_976_960),  # PEFT: print_trainable_parameters, all linear layers
        (LLAMA_2_7B, 8, 19_988_480),
    ],
)
def test_values_of_an_adapter(changes: dict[str, Any], rank: int, values: int) -> None:
    assert adapter_values(shape(**changes).architecture, rank) == values


def test_weights_of_the_methods() -> None:
    """16 bits, or NF4 with 0.127 bits of constants but for embeddings and head (QLoRA, 3)."""
    model = shape()
    parameters = model.weights.parameters
    assert parameters == 8_030_261_248
    assert weight_bytes(model, "lora") == 2 * parameters
    ends = 2 * 128256 * 4096
    expected = ends * 2 + (parameters - ends) * 4.127 / 8
    assert weight_bytes(model, "qlora") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [
        ((6656, 17920, 60, 52), 24),  # QLoRA, table 6: 33B on a card of 24 GB
        ((8192, 22016, 80, 64), 48),  # 65B on one of 48 GB
    ],
)
def test_qlora_of_the_paper_fits_its_card(sizes: tuple[int, int, int, int], limit: int) -> None:
    hidden, feed_forward, layers, heads = sizes
    model = shape(hidden_size=hidden, intermediate_size=feed_forward, num_hidden_layers=layers,
                  num_attention_heads=heads, num_key_value_heads=heads, vocab_size=32000)  # fmt: skip
    case = TrainingCase("qlora", 64, 512, 1, 2)
    assert limit * 0.6 * GIB < sum(training_parts(model, case).values()) < limit * GIB


def test_what_grows_with_what() -> None:
    model = shape()
    base = training_parts(model, TrainingCase("lora", 16, 1024, 1, 8))
    assert base["gradients"] == 41_943_040 * 4 and base["optimizer"] == 41_943_040 * 8
    assert base["adapter"] == 41_943_040 * 4
    longer = training_parts(model, TrainingCase("lora", 16, 2048, 1, 8))
    batch = training_parts(model, TrainingCase("lora", 16, 1024, 2, 8))
    assert longer == batch
    assert longer["activations"] == 2 * base["activations"]
    assert longer["logits"] == 2 * base["logits"] == 2048 * 128256 * 10
    chunked = training_parts(model, TrainingCase("lora", 16, 2048, 1, 8, logit_tokens=1024))
    assert chunked["logits"] == base["logits"]
    full = training_parts(model, TrainingCase("full", 16, 1024, 1, 8))
    assert full["gradients"] == 2 * 8_030_261_248 and full["adapter"] == 0


def test_calibration_has_one_layer_and_its_hessians() -> None:
    """Llama 3 8B: six matrices of 4096 x 4096 and one of 14336 x 14336 values in 32 bits."""
    model = shape()
    parts = calibration_parts(model, 2048, hessians=True)
    assert parts["hessians"] == 4 * (6 * 4096**2 + 14336**2)
    assert parts["weights"] == 2 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336)
    assert calibration_parts(model, 2048, hessians=False)["hessians"] == 0


def test_experts_are_calibrated_too() -> None:
    model = shape(model_type="mixtral", architectures=["MixtralForCausalLM"],
                  num_local_experts=8, num_experts_per_tok=2, vocab_size=32000)  # fmt: skip
    parts = calibration_parts(model, 2048, hessians=True)
    assert parts["hessians"] == 4 * (4 * 4096**2 + 8 * (2 * 4096**2 + 14336**2))
