"""The bundled demo model answers questions about modelscan in llama.cpp's own server."""

from __future__ import annotations

import importlib.util
import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MAX_BYTES = 3_000_000
PASS_SHARE = 0.9
CONVERSATION_PASS_SHARE = 0.8
# A few held-out questions that each have to be right, whatever the share of the others.
ALWAYS_RIGHT = (
    "Which subcommands does the tool offer me?",
    "How can I search through the catalog of models?",
    "What hardware has modelscan found in this machine?",
    "How can I know the VRAM need of a model beforehand?",
    "Does Gemma fit on my graphics card?",
    "What exactly does modelscan deploy do?",
    "Give me a table of my deployments",
    "Which command shuts a deployment down?",
    "Could you tell me where my routing file is kept?",
    "What is exit code 3 telling me?",
    "What inference engines can modelscan drive?",
    "How do I forbid all network traffic?",
    "How do I make modelscan print JSON?",
    "What is quantization and which one will I get?",
    "How do I change the size of the context window?",
    "Hello demo model!",
    "What is the population of Denmark?",
)


def load_example(name: str) -> ModuleType:
    """Import examples/demo/NAME.py without putting its folder on the import path."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", EXAMPLES / "demo" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is imported
    spec.loader.exec_module(module)
    return module


ask = load_example("ask")
CASES = {case.ask: case for case in load_example("corpus").load_cases("test")}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ask.running(ask.MODEL) as address:
        yield address


def test_file_is_small() -> None:
    """The file is part of the repository and of every clone, so it stays below 3 MB."""
    assert ask.MODEL.stat().st_size <= MAX_BYTES


def test_chat_template_is_embedded(url: str) -> None:
    """The server takes the template from the file and does not fall back to one of its own."""
    with urllib.request.urlopen(f"{url}/props", timeout=120) as response:
        assert "<|im_start|>" in json.load(response)["chat_template"]


@pytest.mark.parametrize("question", ALWAYS_RIGHT)
def test_answers_held_out_question(url: str, question: str) -> None:
    """A question that training never saw gets an answer with the key facts, and then it stops."""
    reply = ask.ask(url, question)
    assert CASES[question].accepts(reply.text), reply.text
    assert reply.finish_reason == "stop"


def test_answers_nearly_all_held_out_questions(url: str) -> None:
    """Nine in ten held-out questions are right; every answer ends by itself."""
    replies = {question: ask.ask(url, question) for question in CASES}
    wrong = {q: r.text for q, r in replies.items() if not CASES[q].accepts(r.text)}
    assert len(wrong) <= (1 - PASS_SHARE) * len(CASES), wrong
    assert {reply.finish_reason for reply in replies.values()} == {"stop"}


def test_answers_the_last_question_of_a_conversation(url: str) -> None:
    """A system message and an earlier question confuse it at most here and there."""
    first = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello demo model!"},
    ]
    before = [*first, {"role": "assistant", "content": ask.chat(url, first).text}]
    replies = {q: ask.chat(url, [*before, {"role": "user", "content": q}]) for q in CASES}
    wrong = {q: r.text for q, r in replies.items() if not CASES[q].accepts(r.text)}
    assert len(wrong) <= (1 - CONVERSATION_PASS_SHARE) * len(CASES), wrong
