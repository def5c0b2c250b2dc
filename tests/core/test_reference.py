"""What may be written for MODEL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.core.reference import Kind, Reference, parse_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qwen3-8b", Reference(Kind.NAME, "qwen3-8b")),
        ("openrouter/qwen/qwen3-8b", Reference(Kind.NAME, "openrouter/qwen/qwen3-8b")),
        ("Qwen/Qwen3-8B", Reference(Kind.NAME, "Qwen/Qwen3-8B")),
        ("hf:Qwen/Qwen3-8B@v1", Reference(Kind.HUGGINGFACE, "Qwen/Qwen3-8B", "v1")),
        ("ms:Qwen/Qwen3-8B", Reference(Kind.MODELSCOPE, "Qwen/Qwen3-8B")),
        ("https://huggingface.co/Qwen/Qwen3-8B", Reference(Kind.HUGGINGFACE, "Qwen/Qwen3-8B")),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/abc", Reference(Kind.HUGGINGFACE, "Qwen/Qwen3-8B", "abc")),
        ("https://www.modelscope.cn/models/Qwen/Qwen3-8B/summary", Reference(Kind.MODELSCOPE, "Qwen/Qwen3-8B")),
        ("./model.gguf", Reference(Kind.PATH, "./model.gguf")),
        ("models/config.json", Reference(Kind.PATH, "models/config.json")),
        ("~/m", Reference(Kind.PATH, "~/m")),
    ],
)  # fmt: skip
def test_forms(text: str, expected: Reference) -> None:
    """Each form of the contract."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "hf:", "hf:one", "ms:a/b/c", "hf:../..", "hf:a/../b"])
def test_broken_ones(text: str) -> None:
    """Exit 2; a repository cannot climb out of a folder."""
    with pytest.raises(UsageError):
        parse_reference(text)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    """Nothing else escapes."""
    try:
        assert parse_reference(text).value
    except UsageError as error:
        assert error.message
