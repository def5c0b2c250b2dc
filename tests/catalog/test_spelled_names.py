"""Names as Ollama, llama.cpp and providers write them lead to the bundled catalog's model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelscan.catalog.curated import curated
from modelscan.catalog.index.layout import NameKind, bundled_index
from modelscan.catalog.index.read import Index
from modelscan.catalog.search.lookup import find_model, find_noted, find_row, load_model
from modelscan.catalog.search.spelled_names import note
from modelscan.core.errors import UsageError
from modelscan.core.reference import Kind, parse_reference
from modelscan.core.workload import Workload
from modelscan.models.resolve import load_subject
from modelscan.state.config import load
from modelscan.state.paths import paths

LLAMA, INSTRUCT = "meta/llama-3.1-8b", "meta/llama-3.1-8b-instruct"


@pytest.fixture
def index() -> Iterator[Index]:
    with Index(bundled_index()) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "model_id"),
    [
        ("llama-4-scout", "meta/llama-4-scout-17b-instruct"),
        ("kimi-k2", "moonshotai/kimi-k2-instruct"),
        ("command-a", "cohere/command-a-03-2025"),
        ("qwen3-coder", "alibaba/qwen3-coder-480b-a35b-instruct"),
        ("llama3.1:8b", INSTRUCT),
        ("library/llama3.1:8b", INSTRUCT),
        ("llama3.1:latest", INSTRUCT),
        ("llama3.1:8b-instruct-q4_K_M", INSTRUCT),
        ("llama3.1:8b-text", LLAMA),
        ("llama3.1:8b-text-q8_0", LLAMA),
        ("qwen2.5-coder:32b", "alibaba/qwen2.5-coder-32b-instruct"),
        ("qwen3:30b-a3b", "alibaba/qwen3-30b-a3b"),
        ("gemma3:27b", "google/gemma-3-27b-it"),
        ("deepseek-r1:70b", "deepseek/deepseek-r1-distill-llama-70b"),
        ("gpt-oss:20b", "openai/gpt-oss-20b"),
        ("qwen3-8b:free", "alibaba/qwen3-8b"),
        ("hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "alibaba/qwen3-8b"),
        ("huggingface.co/unsloth/Qwen3-8B-GGUF", "alibaba/qwen3-8b"),
        ("unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL", "alibaba/qwen3-8b"),
        ("hf.co/unsloth/Qwen3-8B-GGUF:latest", "alibaba/qwen3-8b"),
    ],
)
def test_the_spelling_of_another_program(index: Index, text: str, model_id: str) -> None:
    """Each leads to one model with weights."""
    row = find_row(index, text)
    assert index.ids([row]) == [model_id]
    assert index.with_weights([row]) == [row]


@pytest.mark.parametrize("text", ["llama3.1:9b", "nosuchmodel:8b", "qwen3:latest-8b"])
def test_an_unknown_name_stays_unknown(index: Index, text: str) -> None:
    """No guess from half a name."""
    with pytest.raises(UsageError):
        find_row(index, text)


@pytest.mark.parametrize(
    ("text", "model_id", "expected"),
    [
        ("llama3.1:8b", INSTRUCT, "Ollama's name of the instruct model"),
        ("deepseek-r1:70b", "deepseek/deepseek-r1-distill-llama-70b", "read as Ollama's name"),
        ("llama-3.1-8b", LLAMA, f"the instruct model is {INSTRUCT}"),
        (LLAMA, LLAMA, None),  # the full id leaves nothing open
        ("qwen3-8b", "alibaba/qwen3-8b", None),
        ("qwen3-14b", "alibaba/qwen3-14b", None),  # qwen3-14b-base is the base model
        ("qwen3-8b:free", "alibaba/qwen3-8b", None),
    ],
)
def test_how_a_name_was_read(index: Index, text: str, model_id: str, expected: str | None) -> None:
    """A base model and another program's name are stated."""
    row = index.by_name(model_id, (NameKind.ID,))[0][1]
    found = note(index, text, load_model(index, row))
    assert found is None if expected is None else expected in str(found)


def test_every_curated_name_of_ollama_is_a_model(index: Index) -> None:
    """A name that leads nowhere would be reported as unknown."""
    assert all(index.by_name(name, (NameKind.ID,)) for name in curated().ollama.values())


@pytest.mark.parametrize(
    ("text", "kind", "value", "quantization"),
    [
        ("hf.co/a/b-GGUF:Q4_K_M", Kind.HUGGINGFACE, "a/b-GGUF", "Q4_K_M"),
        ("hf:a/b-GGUF:ud-q4_k_xl", Kind.HUGGINGFACE, "a/b-GGUF", "UD-Q4_K_XL"),
        ("a/b-GGUF:IQ4_XS", Kind.NAME, "a/b-GGUF", "IQ4_XS"),
        ("qwen3:8b-q8_0", Kind.NAME, "qwen3:8b", "Q8_0"),
        ("hf:a/b@main", Kind.HUGGINGFACE, "a/b", None),
        ("./x:q4_0", Kind.PATH, "./x:q4_0", None),
        ("llama3.1:8b", Kind.NAME, "llama3.1:8b", None),
    ],
)
def test_the_format_in_a_name(text: str, kind: Kind, value: str, quantization: str | None) -> None:
    """It is taken off the name and kept."""
    reference = parse_reference(text)
    assert (reference.kind, reference.value) == (kind, value)
    assert reference.quantization == quantization


def test_the_format_in_a_name_is_the_one_that_is_planned() -> None:
    """Only its weights are candidates; a format that does not exist is an error."""
    config = load({"offline": "true"})
    model = load_subject("qwen3:8b-q8_0", config, Workload())
    assert {c.variant.quantization for c in model.candidates} == {"Q8_0"}
    with pytest.raises(UsageError, match="has no weights in the format IQ1_S"):
        load_subject("gpt-oss:20b-iq1_s", config, Workload())


@pytest.mark.parametrize(("text", "model"), [
    ("https://ollama.com/library/qwen3:8b", "alibaba/qwen3-8b"),
    ("registry.ollama.ai/library/llama3.1:8b", "meta/llama-3.1-8b-instruct"),
    ("ollama run qwen3:8b", "alibaba/qwen3-8b"), ("deepseek-v3.1:671b", "deepseek/deepseek-v3.1"),
    ("kimi-k2:1t", "moonshotai/kimi-k2-instruct"), ("qwen3-coder:480b",
     "alibaba/qwen3-coder-480b-a35b-instruct"), ("gptoss-20b", "openai/gpt-oss-20b"),
    ("Qwen3-8B-Q4_K_M", "alibaba/qwen3-8b"), ("qwen3-32b-awq", "alibaba/qwen3-32b"),
    ("Qwen3-30B-A3B-Instruct-2507-FP8", "alibaba/qwen3-30b-a3b-instruct-2507"),
    ("llama-3.2-3b-instruct@q4_k_m", "meta/llama-3.2-3b-instruct"),
])  # fmt: skip
def test_more_spellings(text: str, model: str) -> None:
    assert find_model(text, paths()).id == model


def test_what_only_words_match_is_said() -> None:
    """A name that leaves out words of the model's own; none of hosted models without weights."""
    model, notes = find_noted("nemotron-mini", paths())
    assert any(model.id in line and "words" in line for line in notes)
    assert find_noted("gpt-5", paths())[1] == ()


@pytest.mark.parametrize(("text", "quantization"), [
    ("Qwen3-8B-Q4_K_M", "Q4_K_M"), ("qwen3-32b-awq", "AWQ"), ("qwen3-8b@q8_0", "Q8_0"),
    ("hf.co/unsloth/gemma-3-27b-it-GGUF:Q4_K_M", "Q4_K_M"),
])  # fmt: skip
def test_the_format_in_a_name_is_kept(
    text: str, quantization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, also of a hub's repository that the catalog lists."""
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    found = load_subject(text, load(), Workload())
    assert {c.variant.quantization for c in found.candidates} == {quantization}
