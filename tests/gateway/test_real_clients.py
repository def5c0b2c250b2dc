"""Real assistants, each for one turn over ``modelscan serve``, a model server behind it that
speaks chat completions only. Run by ``make test-clients``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran
from support.chat_only import ChatOnly, chat_only
from support.served import Served, routed, serving, write_routing

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]
pytest_plugins = ("support.engine_fixtures",)
CLIENTS = REPOSITORY / ".cache" / "clients"
FOLDERS = [
    CLIENTS / "node_modules" / ".bin",
    CLIENTS / "llm" / "bin",
    CLIENTS / "aider-chat" / "bin",
]


@pytest.fixture
def gateway(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, ChatOnly]]:
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, FOLDERS), os.environ["PATH"]]))
    with chat_only() as server:
        entry = {"name": "coder", "type": "openai", "base_url": server.url, "model": "lab/text",
                 "served_model": "text", "context_tokens": 65536}  # fmt: skip
        write_routing(home, routed(entry))
        with serving() as served:
            yield served, server


@pytest.mark.parametrize("client", ["opencode", "codex", "claude-code", "continue", "aider", "llm"])
def test_one_turn(
    client: str, gateway: tuple[Served, ChatOnly], run_in_process: Callable[..., Ran]
) -> None:
    served, server = gateway
    done = run_in_process("connect", client, "--url", served.url, "--check", "--json")
    assert done.code == 0, done.out
    assert "pong" in done.json["check"]["output"]
    assert {path for path, _ in server.requests} == {"/v1/chat/completions"}
