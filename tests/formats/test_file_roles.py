"""What a file of a repository is, over real listings."""

from __future__ import annotations

import pytest

from modelscan.core.model import WeightFile
from modelscan.formats.files import Role, Shard, describe, gguf_sets, parts, projectors

# Path -> role, format, label, shard; from repositories of these publishers.
LISTING = {
    # unsloth
    "UD-Q4_K_XL/Qwen3-235B-A22B-UD-Q4_K_XL-00002-of-00003.gguf":
        (Role.WEIGHTS, "gguf", "UD-Q4_K_XL", Shard(2, 3)),
    "mmproj-BF16.gguf": (Role.PROJECTOR, "gguf", "BF16", None),
    "imatrix_unsloth.gguf": (Role.IMPORTANCE_MATRIX, "gguf", None, None),
    "mtp-Qwen3.5-9B-Q8_0.gguf": (Role.DRAFT, "gguf", "Q8_0", None),
    # bartowski, MaziyarPanahi, mradermacher, mistralai, google, Qwen
    "mmproj-google_gemma-3-4b-it-f16.gguf": (Role.PROJECTOR, "gguf", "F16", None),
    "Mixtral-8x22B.Q4_K_M.gguf-00001-of-00005.gguf":
        (Role.WEIGHTS, "gguf", "Q4_K_M", Shard(1, 5)),
    "Qwen3-8B.i1-IQ2_XXS.gguf": (Role.WEIGHTS, "gguf", "IQ2_XXS", None),
    "Ministral-3-8B-BF16-mmproj.gguf": (Role.PROJECTOR, "gguf", None, None),
    "gemma-3-4b-it-q4_0.gguf": (Role.WEIGHTS, "gguf", "Q4_0", None),
    "qwen2.5-7b-instruct-fp16-00001-of-00004.gguf":
        (Role.WEIGHTS, "gguf", "FP16", Shard(1, 4)),
    # safetensors and pickles
    "model-00001-of-00002.safetensors": (Role.WEIGHTS, "safetensors", None, Shard(1, 2)),
    "model.safetensors.index.json": (Role.INDEX, None, None, None),
    "pytorch_model.bin": (Role.WEIGHTS, "pickle", None, None),
    "pytorch_model.bin.index.json": (Role.INDEX, None, None, None),
    "training_args.bin": (Role.TRAINING, "pickle", None, None),
    "onnx/model.bin": (Role.OTHER, "pickle", None, None),
    "original/consolidated.00.pth": (Role.OTHER, "pickle", None, None),
    "adapter_model.safetensors": (Role.ADAPTER, "safetensors", None, None),
    # what goes with them
    "adapter_config.json": (Role.CONFIG, None, None, None),
    "config.json": (Role.CONFIG, None, None, None),
    "1_Pooling/config.json": (Role.CONFIG, None, None, None),
    "unet/config.json": (Role.OTHER, None, None, None),
    "tokenizer.model": (Role.TOKENIZER, None, None, None),
    "vocab.json": (Role.TOKENIZER, None, None, None),
    "chat_template.jinja": (Role.TOKENIZER, None, None, None),
    "modeling_deepseek.py": (Role.CODE, None, None, None),
    "README.md": (Role.OTHER, None, None, None),
    ".gitattributes": (Role.OTHER, None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("path", LISTING)
def test_what_a_file_is(path: str) -> None:
    file = describe(path)
    assert (file.role, file.format, file.quantization, file.shard) == LISTING[path]


def test_copies_of_the_weights_are_marked() -> None:
    assert describe("consolidated.safetensors").copy
    assert describe("original/params.json").copy
    assert not describe("model.safetensors").copy


def test_parts_of_a_split_file() -> None:
    first = "Q8_0/m-Q8_0-00001-of-00002.gguf"
    assert parts(first) == [first, "Q8_0/m-Q8_0-00002-of-00002.gguf"]
    assert parts("m.gguf") == ["m.gguf"]
    assert [describe(part).whole for part in parts(first)] == ["Q8_0/m-Q8_0.gguf"] * 2
    assert [describe(part).starts_model for part in parts(first)] == [True, False]


def test_models_in_gguf_files() -> None:
    files = [WeightFile(path, 1) for path in LISTING]
    sets = {label: [file.path for file in found] for label, found in gguf_sets(files)}
    assert list(sets) == ["FP16", "IQ2_XXS", "Q4_0", "Q4_K_M", "UD-Q4_K_XL"]
    assert gguf_sets([WeightFile("b.gguf", 1), WeightFile("a.gguf", 1)]) == [
        (None, (WeightFile("a.gguf", 1),)),
        (None, (WeightFile("b.gguf", 1),)),
    ]


def test_projectors_in_the_order_of_choice() -> None:
    names = ("mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-x.gguf", "m.gguf")
    assert [file.path for file in projectors(WeightFile(name, 1) for name in names)] == [
        "mmproj-F16.gguf", "mmproj-BF16.gguf", "mmproj-F32.gguf", "mmproj-x.gguf",
    ]  # fmt: skip
