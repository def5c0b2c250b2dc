"""Sizes of GGUF files and config.json contents that the bundle has from packages."""

from __future__ import annotations

import pytest

from modelscan.catalog.records import SourceSnapshot
from modelscan.catalog.sources.bundled import bundled_snapshots
from modelscan.core.model import WeightFile
from modelscan.memory.architecture.from_config import from_config
from scripts.catalogs_architectures import Stated, gated_delta_settled
from scripts.catalogs_llmfit_shapes import config_of
from scripts.catalogs_qvac import pinned_files


@pytest.fixture(scope="module")
def snapshots() -> dict[str, SourceSnapshot]:
    return {snapshot.source: snapshot for snapshot in bundled_snapshots()}


def test_sizes_of_two_packages_agree(snapshots: dict[str, SourceSnapshot]) -> None:
    """Xinference adds the projector to each file; without it both state the same bytes."""
    sizes = {
        source: {
            (v.repo, v.files[0].path): v.weight_bytes
            for record in snapshots[source].records
            for v in record.variants
            if v.format == "gguf" and v.weight_bytes and v.source == "huggingface"
        }
        for source in ("xinference", "qvac")
    }
    assert len(sizes["xinference"]) == 160
    both = sizes["xinference"].keys() & sizes["qvac"].keys()
    assert len(both) >= 8
    assert all(sizes["xinference"][key] == sizes["qvac"][key] for key in both)


def test_a_split_files_size_is_that_of_its_parts() -> None:
    digest = "a" * 64
    registry = f"""export const models = [
    {{
        name: 'SPLIT',
        registryPath: 'o/m-GGUF/resolve/{"0" * 40}/Q/m-Q4_0-00001-of-00002.gguf',
        registrySource: 'hf',
        expectedSize: 300,
        sha256Checksum: '{digest}',
        shardMetadata: [
            {{ filename: 'm-Q4_0-00001-of-00002.gguf', expectedSize: 100, sha256Checksum: '{digest}' }},
            {{ filename: 'm-Q4_0-00002-of-00002.gguf', expectedSize: 200, sha256Checksum: '{digest}' }}
        ]
    }},
    {{
        name: 'ELSEWHERE',
        registryPath: 'copies/x.gguf',
        registrySource: 's3',
        expectedSize: 5,
        sha256Checksum: '{digest}'
    }},
];
"""
    assert pinned_files(registry) == {
        "o/m-GGUF": (
            WeightFile("Q/m-Q4_0-00001-of-00002.gguf", 100, digest),
            WeightFile("Q/m-Q4_0-00002-of-00002.gguf", 200, digest),
        )
    }


# llmfit's rows: Qwen3-Coder-Next as counted by the hub, and Qwen3-Next with its prediction block.
_NEXT = {
    "architecture": "qwen3_next", "num_hidden_layers": 48, "hidden_size": 2048,
    "vocab_size": 151936, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
    "moe_intermediate_size": 512, "num_experts": 512, "active_experts": 10,
    "shared_expert_intermediate_size": 512, "context_length": 262144,
}  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "blocks"), [(79_674_391_296, None), (81_324_862_720, 1), (75_000_000_000, -1)]
)
def test_gated_delta_nets_are_believed_where_the_count_fits(
    parameters: int, blocks: int | None
) -> None:
    architecture = from_config(config_of(_NEXT) or {})
    settled = gated_delta_settled(architecture, Stated(parameters, True))
    if blocks == -1:
        assert settled is None
        return
    assert settled is not None and settled["tie_word_embeddings"] is False
    assert settled.get("mtp_num_hidden_layers") == blocks
    assert gated_delta_settled(architecture, Stated(parameters, False)) is None


def test_hybrid_models_have_their_layers(snapshots: dict[str, SourceSnapshot]) -> None:
    """Qwen3.5-9B: 32 kB of cache a token, not 128."""
    records = {r.key: r for s in ("llmfit", "xinference") for r in snapshots[s].records
               if r.architecture}  # fmt: skip
    shapes = [from_config(records["Qwen/Qwen3.5-9B"].architecture or {})]
    shapes += [from_config(r.architecture or {}) for r in snapshots["xinference"].records
               if r.key == "Qwen/Qwen3.5-9B"]  # fmt: skip
    for shape in shapes:
        cached = [layer for layer in shape.layers if layer.kv_heads and not layer.state]
        assert (len(shape.layers), len(cached)) == (32, 8)
        assert shape.known and shape.context_tokens == 262144
