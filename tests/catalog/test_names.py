"""Names taken apart: quantization words, tokens, spellings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.catalog.index.search_words import (
    deletions,
    distance,
    name_tokens,
    query_words,
    spelling,
)
from modelscan.formats.repo_names import clean_display_name, key, split_repo_name


@pytest.mark.parametrize(
    ("name", "base", "form", "quantization"),
    [
        ("Qwen2.5-72B-Instruct-GPTQ-Int4", "Qwen2.5-72B-Instruct", None, "GPTQ-Int4"),
        ("Qwen3-8B", "Qwen3-8B", None, None),
        ("Qwen3-8B-FP8", "Qwen3-8B", None, "FP8"),
        ("Qwen3-8B-Q4_K_M-GGUF", "Qwen3-8B", "gguf", "Q4_K_M"),
        ("Qwen3-0.6B-4bit", "Qwen3-0.6B", None, "4bit"),
        ("Qwen3-30B-A3B-MLX-8bit", "Qwen3-30B-A3B", "mlx", "8bit"),
        ("GLM-4.5-Air-AWQ-4bit", "GLM-4.5-Air", None, "AWQ"),
        ("Kimi-K2-Thinking-NVFP4", "Kimi-K2-Thinking", None, "NVFP4"),
        ("Llama-3.2-1B-Instruct-unsloth-bnb-4bit", "Llama-3.2-1B-Instruct", None, "BNB-4bit"),
        ("Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "Meta-Llama-3.1-8B-Instruct", None, "W4A16"),
        ("gemma-3-27b-it-qat-q4_0-gguf", "gemma-3-27b-it", "gguf", "Q4_0"),
        ("Hypnos-Q1", "Hypnos-Q1", None, None),
        ("FP8", "FP8", None, None),
    ],
)
def test_repository_names(name: str, base: str, form: str | None, quantization: str | None) -> None:
    """What conversion words say, and what is left without them."""
    found = split_repo_name(name)
    assert (found.base, found.format, found.quantization) == (base, form, quantization)
    assert found.derived is (form is not None or quantization is not None)


def test_spellings_of_one_name_have_one_key() -> None:
    """Separators, case and conversion words do not count; sizes and versions do."""
    same = ["Qwen2.5-72B-Instruct", "qwen2-5-72b-instruct", "Qwen2.5 72B Instruct-AWQ"]
    assert len({key(name) for name in same}) == 1
    assert key("qwen2.5-7b-instruct") != key("qwen2.5-72b-instruct")
    assert key("deepseek-v3") != key("deepseek-v3.1")


def test_display_names_lose_what_providers_add() -> None:
    """The maker before the colon and remarks in brackets."""
    assert clean_display_name("Qwen: Qwen3 VL 32B (retires Oct 9)") == "Qwen3 VL 32B"
    assert clean_display_name("GLM-4.7 (free)") == "GLM-4.7"


def test_words_of_a_query() -> None:
    """Idle words are dropped unless nothing else is there; versions stay whole."""
    assert query_words("the best model for code") == ["code"]
    assert query_words("the best model") == ["the", "best", "model"]
    assert query_words("Speech-to-Text in German") == ["asr", "german"]
    assert set(name_tokens(["qwen2.5-7b"])) == {"qwen2.5", "qwen2", "qwen", "2.5", "2", "7b"}
    assert set(name_tokens(["Gemma 3n E4B"])) == {"gemma", "3n", "gemma3n", "e4b"}
    assert set(name_tokens(["kimi-k2"])) == {"kimi", "k2", "k", "2"}
    assert spelling("Qwen3-8B") == spelling("qwen 3 8b") == "qwen 3 8 b"


@settings(deadline=None, max_examples=200)
@given(st.text("abcdef", min_size=3, max_size=9), st.integers(0, 8), st.sampled_from("abcdef"))
def test_one_typo_shares_a_deletion(word: str, at: int, letter: str) -> None:
    """Whatever the typo, a word and its misspelling meet in the index of deletions."""
    at %= len(word)
    for typo in (
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
    ):
        assert distance(word, typo) <= 1
        assert {word, *deletions(word)} & {typo, *deletions(typo)}
