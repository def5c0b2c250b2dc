"""models.dev and GPUStack, as published: what is not obvious in their formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelscan.catalog.records import SourceSnapshot, dump, load, sorted_snapshot
from modelscan.catalog.sources.gpustack_parse import context_tokens, parse_catalog
from modelscan.catalog.sources.modelsdev_parse import parse_api, parse_models
from modelscan.core.errors import ModelscanError, RemoteError

ROW = {
    "id": "acme/rocket",
    "name": "Rocket",
    "description": "somebody's words",
    "family": "rocket",
    "attachment": False,
    "reasoning": True,
    "release_date": "2026-01",
    "last_updated": "soon",
    "modalities": {"input": ["text", "image"], "output": ["text"]},
    "open_weights": True,
    "limit": {"context": 131072, "output": 0},
    "cost": {"input": 0, "output": 0.5, "tiers": [{"size": 200000, "input": 1}]},
    "canonical_model_id": "acme/rocket",
    "a_key_of_next_year": 1,
}
YAML = """
.pinned: &pinned "0.22.1"
draft_models:
- name: Draft
model_sets:
- name: Rocket-600M
  description: somebody's words
  size: 600
  size_unit: M
  categories: [llm]
  capabilities: [context/128K, tools]
  licenses: [apache-2.0]
  release_date: "2026-01-02"
  .base_spec: &base
    backend: vLLM
    backend_version: *pinned
    backend_parameters: [--max-model-len=8192, "--config={data_dir}/x"]
    source: huggingface
  specs:
  - <<: *base
    mode: standard
    quantization: BF16
    huggingface_repo_id: AcmeAI/Rocket-600M
  - <<: *base
    mode: throughput
    quantization: FP8
    huggingface_repo_id: AcmeAI/Rocket-600M-FP8
    gpu_filters: {vendor: [nvidia, amd], compute_capability: ">=9.0,<10.0"}
- name: Rocket-1T
  size: 1.6
  size_unit: T
  activated_size: 49
  specs:
  - source: model_scope
    model_scope_model_id: Acme/Rocket-1T
    backend: MindIE
"""


def api(**models: Any) -> bytes:
    return json.dumps(
        {"host": {"id": "host", "api": "https://h.invalid", "models": models}}
    ).encode()


def test_a_providers_row() -> None:
    """0 is unknown for limits and free for prices; unknown keys are normal; no descriptions."""
    (record,) = parse_api(api(rocket=ROW))
    (offering,) = record.offerings
    assert (record.key, record.kind, record.canonical) == ("host/rocket", "offering", "acme/rocket")
    assert (offering.provider, offering.api) == ("host", "https://h.invalid")
    assert (offering.limits.context_tokens, offering.limits.output_tokens) == (131072, None)
    assert offering.pricing is not None
    assert offering.pricing.input_usd_per_mtok == 0.0
    assert offering.pricing.reasoning_usd_per_mtok is None
    assert offering.pricing.tiers == ({"size": 200000, "input": 1},)
    assert (offering.capabilities.vision, offering.capabilities.tools) == (True, None)
    assert record.facts["release_date"] == "2026-01"
    assert {"last_updated", "description", "capabilities.tools"}.isdisjoint(record.facts)


@pytest.mark.parametrize(
    "cost", [None, {}, {"input": None}, {"input": -1}, "free", {"input": True}]
)
def test_no_cost_is_unknown_not_free(cost: object) -> None:
    """What is no price is no price."""
    (record,) = parse_api(api(rocket={**ROW, "cost": cost}))
    assert record.offerings[0].pricing is None


@pytest.mark.parametrize(
    "limit",
    [None, [], {"context": "many"}, {"context": -5}, {"context": True}, {"context": 99_999_999}],
)
def test_odd_limits_are_unknown(limit: object) -> None:
    """And do not stop the rest of the row."""
    (record,) = parse_api(api(rocket={**ROW, "limit": limit}))
    assert record.offerings[0].limits.context_tokens is None
    assert record.name == "Rocket"


@pytest.mark.parametrize(
    "payload", [b"", b"<html>", b"[]", b"{}", b'{"a": {"models": {}}}', b"[" * 5000]
)
def test_what_is_not_the_api_is_refused(payload: bytes) -> None:
    """An error of the source, never an empty catalog."""
    with pytest.raises(RemoteError, match=r"models\.dev sent"):
        parse_api(payload)


def test_canonical_models_and_the_combined_document() -> None:
    """Weights on the hub are repositories; catalog.json is both parts at once."""
    weights = [
        {"label": "BF16", "url": "https://huggingface.co/AcmeAI/Rocket"},
        {"label": "other", "url": "https://example.invalid/AcmeAI/Rocket"},
    ]
    models = {
        "acme/rocket": {**ROW, "weights": weights, "license": "mit", "benchmarks": [{"name": "x"}]}
    }
    (record,) = parse_models(json.dumps(models))
    assert (record.repos, record.facts["license"]) == (("AcmeAI/Rocket",), "mit")
    assert record.benchmarks == ({"name": "x"},)
    both = {"models": models, "providers": json.loads(api(rocket=ROW))}
    assert {r.kind for r in parse_api(json.dumps(both))} == {"model", "offering"}


def test_recipes() -> None:
    """Anchors, dot keys, units, filters and parameters verbatim."""
    small, large = parse_catalog(YAML)
    assert (small.facts["parameters"], small.facts["limits.context_tokens"]) == (
        600_000_000,
        131072,
    )
    assert small.facts["capabilities.tools"] is True and "capabilities.vision" not in small.facts
    assert "description" not in small.facts
    first, second = small.specs
    assert (first.backend, first.backend_version) == ("vLLM", "0.22.1")
    assert first.backend_parameters == ("--max-model-len=8192", "--config={data_dir}/x")
    assert second.gpu_filters == {
        "vendor": ["nvidia", "amd"],
        "compute_capability": ">=9.0,<10.0",
    }
    assert small.repos == ("AcmeAI/Rocket-600M", "AcmeAI/Rocket-600M-FP8")
    assert large.facts["parameters"] == 1_600_000_000_000
    assert large.facts["active_parameters"] == 49_000_000_000  # more than the total: billions
    assert (large.repos, large.specs[0].source, large.specs[0].repo) == (
        (), "model_scope", "Acme/Rocket-1T",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["model_sets: {}", "a: [", "- 1\n- 2", "", "!!python/object:os.x {}"]
)
def test_what_is_no_catalogue(text: str) -> None:
    """Refused, or without a single set; a YAML tag runs nothing."""
    try:
        assert parse_catalog(text) == ()
    except RemoteError as error:
        assert "GPUStack" in error.message


def test_contexts() -> None:
    """Binary K and M."""
    assert context_tokens(["tools", "context/128K"]) == 131072
    assert context_tokens(["context/1M"]) == 1 << 20
    assert context_tokens(["context/lots"]) is None


def test_a_snapshot_on_disk_is_the_snapshot() -> None:
    """Compressed, in a total order, the same bytes for the same facts; damage is explained."""
    records = (*parse_catalog(YAML), *parse_api(api(rocket=ROW, zap=ROW)))
    snapshot = SourceSnapshot("test", "2026-01-01T00:00:00Z", records, error=None)
    data = dump(snapshot)
    assert load(data) == sorted_snapshot(snapshot)
    assert dump(SourceSnapshot("test", "2026-01-01T00:00:00Z", records[::-1])) == data
    for broken in (b"", data[:50], b"\x1f\x8b\x08", dump(snapshot)[:-8]):
        with pytest.raises(ModelscanError, match="is not a catalog snapshot"):
            load(broken)


@pytest.mark.shared
def test_the_published_catalogues(shared: Path) -> None:
    """GPUStack 2.3.0: 130 sets and 216 specs; 0.7.1 and the ModelScope file are read too."""
    folder = shared / "data" / "gpustack" / "catalog"
    sets = parse_catalog((folder / "2.3.0" / "model-catalog.yaml").read_text())
    assert (len(sets), sum(len(s.specs) for s in sets)) == (130, 216)
    other = parse_catalog(
        (folder / "2.3.0" / "model-catalog-modelscope.yaml").read_text(), flavour="modelscope"
    )
    assert (len(other), sum(len(s.specs) for s in other)) == (124, 211)
    assert len(parse_catalog((folder / "0.7.1" / "model-catalog.yaml").read_text())) == 82


@pytest.mark.shared
def test_the_published_rows(shared: Path) -> None:
    """models.dev of 2026-09-30: 8,337 rows of 225 providers, 412 canonical ids."""
    records = parse_api((shared / "data" / "models.dev.api.json").read_bytes())
    assert len(records) == 8337
    assert len({r.offerings[0].provider for r in records}) == 225
    assert sum(o.pricing is None for r in records for o in r.offerings) == 423
    models = parse_models((shared / "data" / "models.dev.models.json").read_bytes())
    assert (len(models), sum(bool(m.repos) for m in models)) == (231, 82)
