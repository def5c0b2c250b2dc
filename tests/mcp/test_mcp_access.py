"""Who may use which tools over HTTP, and what ends a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import Ran
from mcp.client.client import Client
from support.assistants import ACCEPT, START, User, over_http, over_stdio, talk, text_of
from support.served import serving, until

from modelscan.mcp.server import is_path

pytest_plugins = ("support.engine_fixtures",)
pytestmark = pytest.mark.timeout(900)
Run = Callable[..., Ran]


async def names(client: Client) -> set[str]:
    return {one.name for one in (await client.list_tools()).tools}


def test_a_key_may_do_what_its_scopes_say(home: Path, run_in_process: Run, tmp_path: Path) -> None:
    keys = {
        scope: run_in_process("key", "create", scope, "--scope", scope, "--json").json["key"]
        for scope in ("read", "operator", "infer")
    }
    weights = tmp_path / "secret.gguf"
    weights.touch()

    async def as_reader(client: Client) -> tuple[set[str], list[str]]:
        calls = [("stop", {"name": "x"}), ("plan", {"model": str(weights)}),
                 ("estimate", {"model": str(tmp_path)})]  # fmt: skip
        done = [await client.call_tool(name, values) for name, values in calls]
        assert all(one.is_error for one in done)
        return await names(client), [text_of(one) for one in done]

    async def both(url: str) -> tuple[tuple[set[str], list[str]], set[str]]:
        """Two clients at once, each with its own rights."""
        async with (
            over_http(url, mode="auto", user=None, key=keys["read"]) as reader,
            over_http(url, mode="legacy", user=None, key=keys["operator"]) as operator,
        ):
            return await asyncio.gather(as_reader(reader), names(operator))

    with serving("--mcp", "--allow-changes", "--offline") as served:
        (reading, texts), operating = asyncio.run(both(served.url))
        assert "plan" in reading and "stop" not in reading
        assert all("scope operator" in one for one in texts)
        assert {"plan", "stop"} <= operating
        assert served.ask("POST", "/mcp", START, **ACCEPT)[0] == 401
        assert served.ask("POST", "/mcp", START, "wrong", **ACCEPT)[0] == 401
        assert served.ask("POST", "/mcp", START, keys["infer"], **ACCEPT)[0] == 403
        assert served.ask("GET", "/mcp", None, keys["read"], **ACCEPT)[0] == 405
        page = {"Origin": "http://evil.example"}
        assert served.ask("POST", "/mcp", START, keys["read"], **ACCEPT, **page)[0] == 403


def test_a_cancelled_deploy_is_undone(home: Path, run_in_process: Run) -> None:
    async def cancelled(client: Client) -> None:
        begun = anyio.Event()

        async def progress(*_: Any) -> None:
            begun.set()

        async with anyio.create_task_group() as group:
            group.start_soon(_deploy, client, progress)
            await begun.wait()
            group.cancel_scope.cancel()
        await client.call_tool("list", {})  # the connection lives on

    connection = over_stdio("--allow-changes", "--offline", mode="legacy", user=User())
    talk(connection, cancelled)
    until(lambda: run_in_process("list", "--json").json["deployments"] == [])


async def _deploy(client: Client, progress: Any) -> None:
    await client.call_tool("deploy", {"model": "demo"}, progress_callback=progress)


@pytest.mark.parametrize(
    ("model", "local"),
    [("/etc/passwd", True), ("./a", True), ("~/x", True), ("a.GGUF", True), ("..", True),
     ("qwen3-8b", False), ("hf:org/repo", False), ("org/repo", False)],
)  # fmt: skip
def test_what_names_a_file(model: str, local: bool) -> None:
    assert is_path(model) is local
