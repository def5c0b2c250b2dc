"""Models of which only the parameters are known: a range, by models of the series, with experts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelscan.catalog.search.lookup import find_model
from modelscan.core.model import Model
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.architecture.from_config import from_config
from modelscan.models.from_catalog import from_model
from modelscan.models.siblings import sibling_of
from modelscan.state.config import Config, load
from modelscan.state.paths import paths


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    return load()


def forgotten(name: str) -> Model:
    """A catalog model without its architecture, under a name that is not in the catalog."""
    model = find_model(name, paths())
    return replace(model, architecture=None, id=f"{model.id}-next")


@pytest.mark.parametrize("name", ["qwen3.5-9b", "gemma-4-31b-it", "qwen3-30b-a3b", "gpt-oss-20b"])
def test_the_range_holds_the_real_size(name: str, offline: Config) -> None:
    known, unknown = find_model(name, paths()), forgotten(name)
    wish = Workload(context_tokens=65536, parallel=1)

    def sized(model: Model) -> tuple[int, int, int]:
        candidates = from_model(model, offline, wish).candidates
        chosen = next(c for c in candidates if c.variant.format == "gguf")
        shape = chosen.shape
        assert shape.architecture.known == (model is known)
        found = estimate(shape, wish, None, model=name)
        return found.low_bytes or 0, found.total_bytes, found.high_bytes or 0

    _, real, _ = sized(known)
    low, likely, high = sized(unknown)
    assert low < real < high
    assert abs(likely / real - 1) < 0.25


def test_a_series_goes_before_a_size(offline: Config) -> None:
    model = find_model("gemma-4-12b-it", paths())
    found = sibling_of(model, offline.paths)
    assert found is not None
    name, architecture = found
    assert "gemma-4" in name and architecture.experts is None
    assert {layer.window_tokens for layer in architecture.layers} != {None}


def test_a_sibling_lends_its_layers_not_its_class(offline: Config) -> None:
    """An engine may list the one's class and not the other's (Step-3.5 and Step-3.7)."""
    model = forgotten("step-3.7-flash")
    assert (find_model("step-3.7-flash", paths()).architecture or {}).get("architectures")
    (candidate, *_) = from_model(model, offline, Workload()).candidates
    assert candidate.shape.architecture.checkpoint.classes == ()


def test_the_major_version_goes_after_the_series_and_before_a_guess(offline: Config) -> None:
    model = replace(forgotten("mimo-v2-flash"), id="xiaomi/mimo-v2.9", parameters=900 * 10**9)
    found = sibling_of(model, offline.paths)
    assert found is not None and found[0] == "xiaomi/mimo-v2-flash"
    assert sibling_of(replace(model, id="xiaomi/mimo-v7"), offline.paths) is None


def test_experts_are_experts(offline: Config) -> None:
    """A mixture of experts of an unknown series can keep its experts in host memory."""
    model = replace(forgotten("qwen3-30b-a3b"), lab="nobody", id="nobody/own-30b-a3b")
    assert sibling_of(model, offline.paths) is None
    (candidate, *_) = from_model(model, offline, Workload()).candidates
    shape = candidate.shape
    assert shape.architecture.experts and not shape.architecture.known
    assert (shape.weights.expert_bytes or 0) > 0.8 * shape.weights.total_bytes
    assert any("experts" in note for note in shape.architecture.notes)
    gguf = next(c for c in from_model(model, offline, Workload()).candidates
                if c.variant.format == "gguf")  # fmt: skip
    assert gguf.shape.architecture.name == "qwen3moe"  # as llama.cpp names it


def test_what_the_sibling_is_follows_from_its_config() -> None:
    found = sibling_of(forgotten("qwen3.5-9b"), paths())
    assert found is not None and "qwen3.5-9b" in found[0]
    config = find_model("qwen3.5-9b", paths()).architecture or {}
    assert len(found[1].layers) == len(from_config(config).layers)
