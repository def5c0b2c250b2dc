"""Which files of a repository a plan needs: pure."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.model import WeightFile
from modelscan.hub.needed_files import check_path, needed


def listing(*names: str) -> list[WeightFile]:
    return [WeightFile(name, 10, None) for name in names]


def plan_of(file_format: str, *files: str) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(
        format=file_format, files=files, repo="a/b", model="m", source="huggingface",
        revision=None, estimate=room(0), settings={}, files_expected=False, quantization=None,
    )  # fmt: skip


def room(free_bytes: int) -> Any:
    """An estimate of which so much memory is left."""
    from types import SimpleNamespace

    host = SimpleNamespace(free_bytes=1000 + free_bytes, total_bytes=900)
    return SimpleNamespace(per_gpu=(), host=host, margin_bytes=100)


def test_an_expected_name_gives_way_to_the_repositorys_list() -> None:
    plan = plan_of("gguf", "m-Q4_K_M.gguf")
    plan.files_expected, plan.quantization = True, "Q4_K_M"
    split = listing("Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf",
                    "m-Q8_0.gguf", "imatrix.gguf")  # fmt: skip
    assert [f.path for f in needed(plan, split)] == [f.path for f in split[:2]]
    assert [f.path for f in needed(plan, listing("m-Q4_K_M.gguf", "m-Q8_0.gguf"))] == [
        "m-Q4_K_M.gguf"
    ]
    plan.files = ()  # no name could be predicted
    assert [f.path for f in needed(plan, split)] == [f.path for f in split[:2]]
    plan.quantization = "Q5_K_M"
    with pytest.raises(NotDeployableError, match="no file in Q5_K_M"):
        needed(plan, split)


def test_shards_come_together_and_pickles_never() -> None:
    """All parts of the chosen quantization; safetensors with their index and tokenizer only."""
    files = listing("m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "m-Q8_0.gguf",
                    "mmproj-F16.gguf")  # fmt: skip
    chosen = needed(plan_of("gguf", "m-Q4_K_M-00001-of-00002.gguf", "mmproj-F16.gguf"), files)
    assert [f.path for f in chosen] == [
        "m-Q4_K_M-00001-of-00002.gguf",
        "m-Q4_K_M-00002-of-00002.gguf",
        "mmproj-F16.gguf",
    ]
    files = listing("config.json", "model-00001-of-00001.safetensors", "model.safetensors.index.json",
                    "consolidated.safetensors", "original/params.json", "original/x.safetensors",
                    "pytorch_model.bin", "tokenizer.json", "training_args.bin", "README.md",
                    "onnx/model.onnx", "1_Pooling/config.json")  # fmt: skip
    assert [f.path for f in needed(plan_of("safetensors"), files)] == [
        "config.json", "model-00001-of-00001.safetensors", "model.safetensors.index.json",
        "tokenizer.json", "1_Pooling/config.json"]  # fmt: skip
    assert [
        f.path
        for f in needed(plan_of("safetensors"), listing("consolidated.safetensors", "params.json"))
    ] == ["consolidated.safetensors", "params.json"]


def test_a_projector_that_the_plan_knows_nothing_of_is_taken_where_it_fits() -> None:
    """A plan by catalog name knows no file list; one by repository saw it and decided."""
    files = listing("m-Q8_0.gguf", "mmproj-m-f32.gguf", "mmproj-m-f16.gguf")
    plan = plan_of("gguf", "m-Q8_0.gguf")
    assert [f.path for f in needed(plan, files)] == ["m-Q8_0.gguf"]
    plan.estimate = room(20)
    assert [f.path for f in needed(plan, files)] == ["m-Q8_0.gguf", "mmproj-m-f16.gguf"]
    plan.revision = "c0ffee"
    assert [f.path for f in needed(plan, files)] == ["m-Q8_0.gguf"]


def test_what_is_not_there_is_named() -> None:
    """A missing part, a missing file, pickles only."""
    for plan, files in (
        (plan_of("gguf", "m-00001-of-00002.gguf"), listing("m-00001-of-00002.gguf")),
        (plan_of("gguf", "x.gguf"), listing("y.gguf")),
        (plan_of("safetensors"), listing("pytorch_model.bin", "config.json")),
        (plan_of("safetensors"), listing("README.md")),
    ):
        with pytest.raises(NotDeployableError) as caught:
            needed(plan, files)
        assert caught.value.hint


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../b", "C:\\x", "a\\b", "a\0b", "", "a/"]
)
def test_names_that_leave_the_folder_are_refused(path: str) -> None:
    """Whatever a hub sends."""
    with pytest.raises(UsageError):
        check_path(path)
    with pytest.raises(UsageError):
        needed(plan_of("safetensors"), listing("model.safetensors", path))
