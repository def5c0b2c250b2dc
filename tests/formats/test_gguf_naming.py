"""File names of GGUF repositories as their publishers write them."""

from __future__ import annotations

import pytest

from modelscan.formats.files import describe
from modelscan.formats.gguf_naming import expected_files, usual_quantizations

# (repository, quantization, bytes, first file): names that the repositories have.
_PUBLISHED = (
    ("unsloth/Qwen3-8B-GGUF", "Q4_K_M", 5e9, "Qwen3-8B-Q4_K_M.gguf"),
    ("unsloth/Qwen3.5-9B-MTP-GGUF", "UD-Q4_K_XL", 6e9, "Qwen3.5-9B-UD-Q4_K_XL.gguf"),
    ("unsloth/Qwen3.5-122B-A10B-GGUF", "Q4_K_M", 75e9,
     "Q4_K_M/Qwen3.5-122B-A10B-Q4_K_M-00001-of-00003.gguf"),
    ("bartowski/Qwen_Qwen3-8B-GGUF", "Q6_K", 6e9, "Qwen_Qwen3-8B-Q6_K.gguf"),
    ("bartowski/Qwen_Qwen3-8B-GGUF", "BF16", 16e9, "Qwen_Qwen3-8B-bf16.gguf"),
    ("bartowski/Llama-3.3-70B-Instruct-GGUF", "Q8_0", 75e9,
     "Llama-3.3-70B-Instruct-Q8_0/Llama-3.3-70B-Instruct-Q8_0-00001-of-00002.gguf"),
    ("mradermacher/gemma-3-12b-it-i1-GGUF", "Q4_K_M", 7e9, "gemma-3-12b-it.i1-Q4_K_M.gguf"),
    ("mradermacher/gemma-3-12b-it-GGUF", "Q8_0", 12e9, "gemma-3-12b-it.Q8_0.gguf"),
    ("TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "Q4_0", 4e9, "mistral-7b-instruct-v0.2.Q4_0.gguf"),
    ("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Q4_K_M", 5e8, "qwen2.5-0.5b-instruct-q4_k_m.gguf"),
    ("Qwen/Qwen2-1.5B-Instruct-GGUF", "F16", 3e9, "qwen2-1_5b-instruct-fp16.gguf"),
    ("Qwen/Qwen3-VL-8B-Instruct-GGUF", "Q8_0", 8e9, "Qwen3VL-8B-Instruct-Q8_0.gguf"),
    ("ggml-org/gpt-oss-20b-GGUF", "MXFP4", 12e9, "gpt-oss-20b-mxfp4.gguf"),
    ("somebody/Own-7B-GGUF", "Q4_K_M", 4e9, "Own-7B-Q4_K_M.gguf"),
)  # fmt: skip


@pytest.mark.parametrize(("repo", "quantization", "size", "first"), _PUBLISHED)
def test_names_are_the_published_ones(
    repo: str, quantization: str, size: float, first: str
) -> None:
    paths = expected_files(repo, quantization, size)
    assert paths[0] == first
    read = [describe(path) for path in paths]
    assert {file.whole for file in read} == {read[0].whole}
    assert [file.shard.index for file in read if file.shard] == (
        list(range(1, len(read) + 1)) if len(read) > 1 else []
    )


def test_what_cannot_be_foreseen_is_not_named() -> None:
    assert expected_files("unsloth/Kimi-K2.5-GGUF", "Q4_K_M", 600e9) == ()
    assert expected_files("Qwen/Qwen2.5-72B-Instruct-GGUF", "Q8_0", 77e9) == ()
    assert expected_files("unsloth/gpt-oss-20b-GGUF", "MXFP4", 12e9) == ()


def test_usual_quantizations_follow_the_publisher() -> None:
    assert usual_quantizations("lmstudio-community/gemma-3-4b-it-QAT-GGUF") == ("Q4_0",)
    assert "UD-Q4_K_XL" in usual_quantizations("unsloth/Qwen3-8B-GGUF")
    assert "IQ1_M" in usual_quantizations("mradermacher/X-i1-GGUF")
    assert usual_quantizations("ggml-org/gemma-3-4b-it-GGUF") == ("Q8_0",)
