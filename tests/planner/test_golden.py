"""The golden table: what is chosen for 30 models on 12 machines, read by a person.

When a change moves rows on purpose: ``python -m scripts.golden_plans --write``, read the
difference, commit it with the change.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scripts.golden_plans import COLUMNS, MACHINES, MODELS, table

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def golden() -> list[dict[str, str]]:
    return read((HERE / "golden.tsv").read_text(encoding="utf-8"))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_it_is_complete(golden: list[dict[str, str]]) -> None:
    assert len(MODELS) == 30
    assert len(MACHINES) == 12
    asked = {(model, machine) for model in MODELS for machine in MACHINES}
    assert {(row["model"], row["machine"]) for row in golden} == asked
    assert all(row["why"] for row in golden)


@pytest.mark.timeout(900)
def test_every_plan_is_exactly_the_one_in_the_table(golden: list[dict[str, str]]) -> None:
    changes = [
        f"{old['model']} on {old['machine']}: {column}: {old[column]} -> {new[column]}"
        for old, new in zip(golden, read(table()), strict=True)
        for column in COLUMNS
        if old[column] != new[column]
    ]
    hint = "meant so? python -m scripts.golden_plans --write, and commit the difference"
    assert not changes, "\n".join([*changes, hint])


def test_it_obeys_what_everybody_knows(golden: list[dict[str, str]]) -> None:
    rows = {(row["model"], row["machine"]): row for row in golden}
    for row in golden:
        if row["machine"] == "none":
            assert row["backend"] in ("llama.cpp", "-")
        if row["machine"] == "M4 Max 64GB":
            assert row["backend"] in ("llama.cpp", "-")
        if row["machine"] == "V100 32GB" and row["backend"] != "llama.cpp":
            assert row["quantization"] not in ("FP8", "NVFP4", "AWQ", "MXFP4")
        if row["quantization"] == "NVFP4":
            assert row["machine"] not in ("none", "M4 Max 64GB", "V100 32GB")
    assert rows["alibaba/qwen3-8b", "RTX 4090"]["quantization"] == "BF16"
    assert rows["deepseek/deepseek-r1", "8x H200"]["quantization"] == "FP8"
    assert rows["openai/gpt-oss-120b", "H100 80GB"]["quantization"] == "MXFP4"
    assert rows["deepseek/deepseek-r1", "RTX 4090"]["why"].startswith("does not fit")
