"""The bundled architectures: they give the parameters that are stated, and sources agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.catalog.search.lookup import find_model
from modelscan.catalog.sources.bundled import bundled_snapshots
from modelscan.core.architecture import PARTIAL, Architecture
from modelscan.core.model import Model
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.architecture.from_config import from_config
from modelscan.models.catalog_shape import COUNTED
from modelscan.models.from_catalog import from_model
from modelscan.state.config import load as load_config
from modelscan.state.paths import paths
from scripts.catalogs_architectures import TOLERANCE, parameters_of, shape_of, verified

TABLES = ("litgpt", "llmfit")


@pytest.fixture(scope="module")
def claims() -> dict[str, dict[str, SourceRecord]]:
    """Source -> repository in lower case -> its record with an architecture."""
    return {
        snapshot.source: {r.key.lower(): r for r in snapshot.records if r.architecture}
        for snapshot in bundled_snapshots()
    }


@pytest.fixture(scope="module")
def models() -> tuple[Model, ...]:
    return merge(bundled_snapshots())


def test_how_many(models: tuple[Model, ...]) -> None:
    """What docs/internals/catalog.md promises of the models that have weights."""
    architectures = [m.architecture for m in models if m.variants and m.architecture]
    partial = sum(bool(a.get(PARTIAL)) for a in architectures)
    assert len(architectures) - partial > 680
    assert partial > 150


def test_sizes_give_the_stated_parameters(claims: dict[str, dict[str, SourceRecord]]) -> None:
    """Layers x widths of every entry are within 3 % of what a hub counted in that repository."""
    counted = 0
    for key, record in claims["llmfit"].items():
        config, stated = record.architecture or {}, record.facts.get("parameters")
        if stated is None:
            continue
        vision = config.get("vision_config", {}).get("parameters", 0)
        architecture = from_config(config)
        counts = [parameters_of(architecture, tied) + vision for tied in (True, False)]
        assert min(abs(count / stated - 1) for count in counts) < TOLERANCE, key
        counted += 1
    assert counted > 500


def _both(
    claims: dict[str, dict[str, SourceRecord]], one: str, other: str
) -> Iterator[tuple[str, Architecture, Architecture]]:
    for key in sorted(claims[one].keys() & claims[other].keys()):
        second = claims[other][key].architecture or {}
        if not second.get(PARTIAL):
            yield key, from_config(claims[one][key].architecture or {}), from_config(second)


@pytest.mark.parametrize("source", ["configs", "litgpt"])
def test_llmfit_agrees_with_exact_sources(
    claims: dict[str, dict[str, SourceRecord]], source: str
) -> None:
    """Every layer, width, expert and tied head, wherever both describe a repository."""
    compared = 0
    for key, exact, table in _both(claims, source, "llmfit"):
        assert shape_of(exact) == shape_of(table), key
        assert exact.tied_embeddings == table.tied_embeddings, key
        compared += 1
    assert compared >= (5 if source == "configs" else 80)


def test_sizes_that_do_not_give_the_parameters_are_left_out() -> None:
    config = {
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 100,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "intermediate_size": 128,
    }  # fmt: skip
    true = parameters_of(from_config(config), True)

    def record(name: str, parameters: int) -> SourceRecord:
        repo = f"meta-llama/{name}"
        facts = {"parameters": parameters, "open_weights": True, "task": "chat"}
        return SourceRecord(
            repo, "repository", name, repos=(repo,), facts=facts, architecture=config
        )

    records = (record("Right-1", true), record("Wrong-2", round(true * 1.5)))
    (made,), lines = verified([SourceSnapshot("llmfit", None, records)])
    right, wrong = made.records
    assert right.architecture == {**config, "tie_word_embeddings": True}
    assert wrong.architecture is None and wrong.facts  # only the architecture goes
    assert len(lines) == 1 and "Wrong-2" in lines[0] and f"{true * 3 // 2:,}" in lines[0]


@pytest.mark.parametrize(
    ("name", "basis"),
    [
        ("meta/llama-3.1-8b-instruct", "computed"),
        ("google/gemma-3-27b-it", "computed"),
        ("mistral/mistral-7b-instruct-v0.3", "computed"),
        ("alibaba/qwen2.5-vl-7b-instruct", "range"),
    ],
)
def test_estimates_of_named_models(name: str, basis: str) -> None:
    """An exact table gives a figure; where windows are not known it is a range, and says so."""
    model = find_model(name, paths())
    (candidate,) = (
        c for c in from_model(model, load_config(), Workload()).candidates
        if c.variant.quantization == "BF16" and c.variant.format == "safetensors"
    )  # fmt: skip
    shape = candidate.shape
    found = estimate(shape, Workload(context_tokens=8192, parallel=1), None, model=model.id)
    assert found.basis == basis
    assert model.parameters and model.provenance["parameters"].source in COUNTED
    assert abs(shape.weights.total_bytes / (2 * model.parameters) - 1) < 0.01
    origin = model.provenance["architecture"].source
    assert origin in TABLES


def test_gemma_3_slides_and_sees(models: tuple[Model, ...]) -> None:
    """Five layers of six have a window; the vision tower has the same size in all three."""
    towers = []
    for size in ("4b", "12b", "27b"):
        (model,) = (m for m in models if m.id == f"google/gemma-3-{size}-it")
        config = model.architecture or {}
        layers = from_config(config).layers
        slides = [layer.window_tokens == 1024 for layer in layers]
        assert slides == [(index + 1) % 6 != 0 for index in range(len(layers))]
        towers.append(config["vision_config"]["parameters"])
    assert max(towers) - min(towers) < 0.02 * max(towers)
