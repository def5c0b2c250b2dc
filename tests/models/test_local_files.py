"""Folders with more than the model in them: copies, adapters, drafts, importance matrices."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from support.hub_content import gguf
from support.tiny_gguf import Shape, write_tiny_gguf

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.formats.safetensors import BadHeader
from modelscan.models.from_local import from_path
from modelscan.models.local_files import safetensors_files

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 128, "vocab_size": 100, "hidden_act": "silu", "torch_dtype": "bfloat16",
    "tie_word_embeddings": False, "max_position_embeddings": 512,
}  # fmt: skip
UP = "model.layers.0.mlp.up_proj.weight"


def write(path: Path, tensors: dict[str, int], dtype: str = "BF16", **metadata: str) -> None:
    """A safetensors file of these tensors and sizes in bytes; the data is a hole."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, size in tensors.items():
        width = {"BF16": 2, "U32": 4, "I8": 1}[dtype]
        header[name] = {"dtype": dtype, "shape": [size // width], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def index(folder: Path, *names: str) -> None:
    mapping = {f"{name}.{UP}": name for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def names(folder: Path) -> list[str]:
    return [path.name for path in safetensors_files(folder).files]


def test_the_index_says_which_files(folder: Path):
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        write(folder / name, {UP: 1000})
    index(folder, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    write(folder / "consolidated.safetensors", {"layers.0.attention.wq.weight": 2000})
    write(folder / "extra.safetensors", {UP: 500})
    found = safetensors_files(folder)
    assert found.tensor_bytes == 2000
    assert [path.name[:6] for path in found.files] == ["model-", "model-"]
    assert len(found.notes) == 2
    subject = from_path(str(folder), Workload())
    assert subject.candidates[0].variant.weight_bytes == 2000
    assert any("consolidated.safetensors" in warning for warning in subject.warnings)


def test_a_file_of_the_index_that_is_missing(folder: Path):
    index(folder, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    write(folder / "model-00001-of-00002.safetensors", {UP: 1000})
    with pytest.raises(UsageError, match="model-00002-of-00002"):
        safetensors_files(folder)


@pytest.mark.parametrize(
    ("beside", "tensors"),
    [
        ("consolidated.safetensors", {"layers.0.attention.wq.weight": 1000}),
        ("adapter_model.safetensors", {"base_model.model.q_proj.lora_A.weight": 100}),
        ("my-tune.safetensors", {"layers.0.q_proj.lora_A.weight": 8, "x.lora_B.weight": 8}),
        ("mtp.safetensors", {"mtp.fc.weight": 100}),
        ("head.safetensors", {"eagle3.fc.weight": 100, "draft_model.norm.weight": 2}),
    ],
)
def test_without_an_index_the_header_says_what_is_beside(folder: Path, beside, tensors):
    write(folder / "model.safetensors", {UP: 1000})
    write(folder / beside, tensors)
    assert names(folder) == ["model.safetensors"]


def test_a_snapshot_of_consolidated_files_only(folder: Path):
    write(folder / "consolidated.safetensors", {"layers.0.attention.wq.weight": 1000})
    assert names(folder) == ["consolidated.safetensors"]


def test_a_damaged_index_hides_no_file(folder: Path):
    write(folder / "model.safetensors", {UP: 1000})
    (folder / "model.safetensors.index.json").write_text("{")
    assert names(folder) == ["model.safetensors"]


@pytest.mark.parametrize("key", ["quantization", "quantization_config"])
def test_mlx_weights_are_mlx(folder: Path, key: str):
    settings = {"group_size": 64, "bits": 4, "mode": "affine"}
    (folder / "config.json").write_text(json.dumps({**CONFIG, key: settings}))
    write(folder / "model.safetensors", {UP: 1024}, dtype="U32", format="mlx")
    candidate = from_path(str(folder), Workload()).candidates[0]
    assert (candidate.variant.format, candidate.variant.quantization) == ("mlx", "INT4")


def test_mlx_weights_by_their_header_alone(folder: Path):
    write(folder / "model.safetensors", {UP: 1024}, dtype="U32", format="mlx")
    assert from_path(str(folder), Workload()).candidates[0].variant.format == "mlx"


@pytest.mark.parametrize("method", ["torchao", "hqq", "exl3", "fp_quant", "something-new"])
def test_the_files_say_how_large_an_unknown_format_is(folder: Path, method: str):
    (folder / "config.json").write_text(
        json.dumps({**CONFIG, "quantization_config": {"quant_method": method}})
    )
    write(folder / "model.safetensors", {UP: 5000}, dtype="I8")
    candidate = from_path(str(folder), Workload()).candidates[0]
    assert candidate.variant.weight_bytes == 5000
    assert candidate.shape.weights.basis == "exact"


def test_gguf_files_that_are_not_the_model_are_left_out(tmp_path: Path):
    write_tiny_gguf(tmp_path / "model-F32.gguf", shape=Shape(layers=16))
    write_tiny_gguf(tmp_path / "model-small-F32.gguf", shape=Shape(layers=2))
    write_tiny_gguf(tmp_path / "other-F32.gguf", shape=Shape(layers=12))
    subject = from_path(str(tmp_path), Workload())
    files = [Path(candidate.variant.repo).name for candidate in subject.candidates]
    assert files == ["model-F32.gguf", "other-F32.gguf"]
    assert "model-small-F32.gguf is not the model: left out" in subject.warnings


@pytest.mark.parametrize(
    ("projector", "attached"),
    [
        ("mmproj-F16.gguf", True),
        ("mmproj-tiny-vl-f16.gguf", True),
        ("tiny-vl-7b-mmproj.gguf", True),
        ("mmproj-other-3b-f16.gguf", False),
    ],
)
def test_a_projector_of_another_model_in_a_shared_folder(
    tmp_path: Path, projector: str, attached: bool
) -> None:
    """The same width proves nothing; the name says whose it is, and what is left out is said."""
    write_tiny_gguf(tmp_path / "tiny-vl-Q8_0.gguf")
    made = gguf({"general.architecture": "clip", "clip.vision.projection_dim": 64},
                {"v.patch_embd.weight": ("F16", (8, 8))})  # fmt: skip
    (tmp_path / projector).write_bytes(made.head + bytes(made.size - len(made.head)))
    model = from_path(str(tmp_path / "tiny-vl-Q8_0.gguf"), Workload())
    assert any(f.path.endswith(projector) for f in model.candidates[0].variant.files) is attached
    assert any("named after another model" in text for text in model.warnings) is not attached


def test_a_damaged_file_is_named_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadHeader, match=r"model\.safetensors: not a safetensors file") as failed:
        safetensors_files(tmp_path)
    assert "Git LFS" in str(failed.value.hint)
