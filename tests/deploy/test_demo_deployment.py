"""The bundled demo model, from its name to an answer that makes sense."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ran

pytest_plugins = ("support.engine_fixtures",)


@pytest.fixture(params=["demo", str(REPOSITORY / "examples" / "demo-model.gguf")])
def demo(request: Any, run_in_process: Callable[..., Ran], home: Path) -> dict[str, Any]:
    done = run_in_process("deploy", request.param, "--json")
    assert done.code == 0, done.out
    return dict(done.json)


def chat(endpoint: str, question: str, **options: Any) -> Any:
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, **options}
    request = urllib.request.Request(
        f"{endpoint}/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    return urllib.request.urlopen(request, timeout=60)


def test_it_answers_in_english_also_as_a_stream_and_uses_what_was_estimated(
    demo: dict[str, Any],
) -> None:
    endpoint = demo["deployment"]["endpoint"]
    with chat(endpoint, "What is modelscan?") as response:
        answer = json.load(response)["choices"][0]["message"]["content"]
    assert "model" in answer
    assert len(answer.split()) > 5
    assert answer.strip().endswith(".")
    with chat(endpoint, "What is modelscan?", stream=True) as response:
        lines = [line for line in response.read().decode().splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    deltas = [json.loads(line.removeprefix("data: "))["choices"] for line in lines[:-1]]
    streamed = "".join(choice[0]["delta"].get("content") or "" for choice in deltas if choice)
    assert streamed == answer
    total = next(row for row in demo["memory"] if row["part"] == "total")
    assert abs(total["difference_fraction"]) < 0.02
