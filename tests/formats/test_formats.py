"""Names of weight formats, and what their quality is taken to be."""

from __future__ import annotations

import pytest

from modelscan.formats.quantization import bits_per_weight, canonical, means
from modelscan.models.quantization_quality import quality, quality_table
from modelscan.planner.quality import describe, quality_of


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("bf16", "BF16"), ("bfloat16", "BF16"), ("F16", "FP16"), ("fp8_e4m3", "FP8"),
        ("FP8-dynamic", "FP8"), ("W8A8", "INT8"), ("W4A16", "INT4"), ("awq", "AWQ"),
        ("GPTQ-Int4", "GPTQ-INT4"), ("GPTQ-Int8", "GPTQ-INT8"), ("nf4", "BNB-4BIT"),
        ("q4_k_m", "Q4_K_M"), ("UD-Q4_K_XL", "Q4_K_M"), ("Q6_K_L", "Q6_K"), ("iq4-xs", "IQ4_XS"),
        ("nvfp4", "NVFP4"), (None, None), ("Something-New", "SOMETHING-NEW"),
    ],
)  # fmt: skip
def test_one_spelling(name: str | None, spelled: str | None) -> None:
    assert canonical(name) == spelled


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("BF16", 16),
        ("FP8", 8 + 1 / 512),
        ("AWQ", 4 + 20 / 128),
        ("Q4_K_M", 4.89),
        ("W3A16", 3 + 16 / 128),
        ("q17", None),
        ("odd", None),
    ],
)
def test_bits(name: str, bits: float | None) -> None:
    assert bits_per_weight(name) == bits


@pytest.mark.parametrize(
    ("asked", "there", "file_format", "answer"),
    [
        ("INT4", "AWQ", "safetensors", True),
        ("INT4", "GPTQ-Int4", "safetensors", True),
        ("INT4", "Q4_K_M", "gguf", True),
        ("INT4", "NVFP4", "safetensors", False),
        ("INT8", "Q8_0", "gguf", True),
        ("FP8", "FP8-block", "safetensors", True),
        ("FP8", "INT8", "safetensors", False),
        ("Q4_K_M", "Q4_K_S", "gguf", False),
        ("AWQ", "GPTQ-Int4", "safetensors", False),
        ("bf16", "BF16", "safetensors", True),
        ("INT4", None, "safetensors", False),
    ],
)
def test_what_a_wish_means(asked: str, there: str | None, file_format: str, answer: bool) -> None:
    assert means(asked, there, file_format) is answer


def test_every_measurement_names_its_source() -> None:
    rows = quality_table()
    assert len(rows) > 30
    for name, (bits, found) in rows.items():
        assert found.source and found.source.startswith("https://"), name
        assert found.model, name
        assert 0 <= found.loss < 3, name
        assert 1.5 < bits <= 16.5, name


def test_order_follows_the_measurements() -> None:
    order = ["BF16", "Q8_0", "Q6_K", "FP8", "INT8", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K", "IQ1_S"]
    losses = [quality(name).loss for name in order]
    assert losses == sorted(losses)
    assert losses[0] == 0.0


def test_the_published_format_is_the_original() -> None:
    table = quality_table()
    for name in ("MXFP4", "FP8"):
        found = quality_of(name, table, original=name)
        assert (found.loss, found.basis) == (0.0, "original")
    assert quality_of("FP8", table).basis == "measured"


def test_an_unmeasured_format_is_interpolated_and_says_so() -> None:
    found = quality("MXFP4")
    assert found.basis == "interpolated"
    assert quality("Q8_0").loss < found.loss < quality("Q2_K").loss
    assert "interpolated" in describe(found)
    assert quality("something").basis == "unknown"
    assert "2.4 %" in describe(quality("Q4_K_M"))
