"""Bits per weight of a name are the same for everybody who asks."""

from __future__ import annotations

import pytest

from modelscan.catalog.sizing import UNQUANTIZED_SHARE, bits_of
from modelscan.catalog.sources.bundled import bundled_snapshots
from modelscan.core.model import Variant
from modelscan.formats.quantization import (
    NAMES,
    bits_per_weight,
    canonical,
    is_weight_only_four_bit,
    means,
    quantization,
)
from modelscan.memory.quantization_mix import BASE, recipe_name
from modelscan.memory.weight_formats import weight_format

# Spellings for which three tables once had up to three answers, and what they are now.
SPELLINGS = {
    "FP32": 32, "BF16": 16, "FP16": 16, "FP8": 8 + 1 / 512, "FP8-block": 8 + 1 / 512,
    "FP8-dynamic": 8 + 1 / 512, "MXFP8": 8.25, "INT8": 8.01, "W8A8": 8.01, "W8A16": 8.01,
    "8bit": 8.01, "BNB-8bit": 8.01, "GPTQ-Int8": 8.1875, "AWQ-8bit": 8.1875, "7bit": 7.125,
    "6bit": 6.125, "5bit": 5.125, "NVFP4": 4.5, "FP4": 4.5, "MXFP4": 4.25, "MXFP4_MOE": 4.25,
    "AWQ": 4.15625, "AWQ-INT4": 4.15625, "GPTQ": 4.15625, "GPTQ-Int4": 4.15625,
    "AUTOROUND": 4.15625, "BNB-4bit": 4.127, "NF4": 4.127, "INT4": 4.125, "W4A16": 4.125,
    "4bit": 4.125, "W4A8": 4.125, "3bit": 3.125, "Q8_0": 8.5, "Q6_K": 6.56, "Q5_K_M": 5.7,
    "Q4_K_M": 4.89, "UD-Q4_K_XL": 4.89, "Q4_0": 4.5, "IQ4_XS": 4.46, "i1-IQ1_S": 2.0,
}  # fmt: skip
UNKNOWN = ("QAT", "EXL", "HQQ", "AQLM", "GPTQ-Int4-Int8Mix", "q17", "something-new", "")


def catalog_spellings() -> list[str]:
    """Every quantization that the bundled snapshots name."""
    records = [record for snapshot in bundled_snapshots() for record in snapshot.records]
    stated = {v.quantization for r in records for v in r.variants}
    stated |= {s.quantization for r in records for s in r.specs}
    return sorted(name for name in stated if name)


def test_forty_one_spellings_have_these_bits() -> None:
    assert len(SPELLINGS) == 41
    assert {name: bits_per_weight(name) for name in SPELLINGS} == SPELLINGS


@pytest.mark.parametrize("spelling", UNKNOWN)
def test_an_unknown_name_is_unknown_and_no_error(spelling: str) -> None:
    assert quantization(spelling) is None
    assert bits_per_weight(spelling) is None
    form = weight_format(spelling or None, None, None, "bfloat16")
    assert form.bits == 16
    assert form.known is (spelling == "")  # none asked for: unquantized


def test_everybody_has_the_same_bits() -> None:
    """The table, the estimator, the catalog's lower bound, and llama-quantize's recipes."""
    spellings = {*SPELLINGS, *NAMES, *catalog_spellings()}
    assert len(spellings) > 150
    for spelling in spellings:
        entry = quantization(spelling)
        if entry is None:
            assert spelling in catalog_spellings(), spelling
            continue
        assert (entry.name, entry.bits) == (canonical(spelling), bits_per_weight(spelling))
        assert canonical(entry.name) == entry.name
        form = weight_format(spelling, None, None, "bfloat16")
        if entry.bits < 16:
            assert (form.name, form.bits) == (entry.name, entry.bits), spelling
        else:
            assert form.name is None
        assert bits_of(variant(spelling)) == in_files(spelling), spelling
        if entry.method == "ggml" and entry.name not in ("Q3", "Q2"):
            assert recipe_name(spelling) in BASE, spelling


def variant(label: str) -> Variant:
    gguf = (entry := quantization(label)) is not None and entry.method == "ggml"
    return Variant(repo="a/b", format="gguf" if gguf else "safetensors", quantization=label)


def in_files(label: str) -> float | None:
    """The catalog adds the tensors that stay at 16 bits, and counts nothing below four bits."""
    entry = quantization(label)
    if entry is None or entry.value_bits < 4:
        return None
    if entry.method == "ggml" or entry.bits >= 16:
        return entry.bits
    return entry.bits + UNQUANTIZED_SHARE * (16 - entry.bits)


def test_groups_change_only_formats_that_have_them() -> None:
    assert bits_per_weight("AWQ", 64) == 4 + 20 / 64
    assert bits_per_weight("W4A16", 32) == 4.5
    assert bits_per_weight("FP8", 32) == bits_per_weight("FP8")


def test_what_a_size_means() -> None:
    assert means("4bit", "AWQ") and means("4bit", "Q4_K_M", "gguf")
    assert means("5bit", "Q5_K_M", "gguf") and not means("5bit", "Q4_K_M", "gguf")
    assert means("awq-4bit", "AWQ") and means("autoround", "GPTQ-Int4")
    assert is_weight_only_four_bit("AutoRound") and not is_weight_only_four_bit("5bit")
