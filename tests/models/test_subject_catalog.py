"""The format a catalog's model was published in, which loses nothing."""

from __future__ import annotations

import pytest

from modelscan.core.model import Model, Variant
from modelscan.core.workload import Workload
from modelscan.models.from_catalog import from_model
from modelscan.state.config import load


def losses(*variants: tuple[str, str | None]) -> dict[str | None, str]:
    """Quantization -> basis of its quality, of a model with these repositories."""
    made = Model(
        id="acme/large", name="Large", lab="acme", task="chat", open_weights=True,
        parameters=10**12,
        variants=tuple(Variant(repo=repo, format="safetensors", quantization=name,
                               source="huggingface") for repo, name in variants),
    )  # fmt: skip
    found = from_model(made, load(), Workload()).candidates
    return {c.variant.quantization: c.quality.basis if c.quality else "-" for c in found}


def test_the_makers_only_format_is_the_published_one() -> None:
    found = losses(("acme/Large", "INT4"), ("other/Large-FP8", "FP8"), ("mirror/Large", None))
    assert found["INT4"] == "original"
    assert found["FP8"] == "measured"
    assert "BF16" not in found  # a mirror without a label holds what was published


@pytest.mark.parametrize(
    "variants",
    [
        (("acme/Large", "BF16"), ("acme/Large-INT4", "INT4")),
        (("acme/Large", "BF16"), ("acme/Large", "INT4")),
        (("acme/Large-INT4", "INT4"),),  # somebody's quantization of a model not listed
    ],
)  # fmt: skip
def test_a_format_beside_a_wider_one_costs_what_was_measured(
    variants: tuple[tuple[str, str], ...],
) -> None:
    assert losses(*variants)["INT4"] != "original"
