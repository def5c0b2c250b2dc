"""An assistant finds a model that fits, plans, deploys and stops it: real processes, real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Ran
from mcp.client.client import Client
from support.assistants import ACCEPT, START, User, inside, over_http, over_stdio, talk, text_of
from support.served import Served, serving

from modelscan.mcp.tools import TOOLS

pytest_plugins = ("support.engine_fixtures",)
pytestmark = pytest.mark.timeout(900)
Run = Callable[..., Ran]
READING = {
    "catalog_search", "catalog_info", "gpu", "estimate", "plan", "list", "show", "bench_list",
    "route_list", "route_explain", "trace_show", "eval_board",
    "registry_resolve",
}  # fmt: skip
FITTING = {"text": "qwen3-8b", "fits": True, "gpu": "24GiB", "limit": 1}
PLANTED = "sk-or-v1-" + "5e" * 32
CHANGING = {"deploy", "start", "stop", "remove"}


@pytest.fixture
def gateway(home: Path) -> Iterator[Served]:
    with serving("--mcp", "--allow-changes", "--offline") as served:
        yield served


async def life(client: Client) -> list[Any]:
    """Find, plan, deploy, look, stop, start, remove; returns the progress of the deploy."""
    found = await client.call_tool("catalog_search", FITTING)
    document = found.structured_content
    assert document["schema"] == "modelscan.catalog.search/1"
    assert len(document["models"]) == 1
    planned = await client.call_tool("plan", {"model": "demo"})
    assert planned.structured_content["verdict"] == "fits", planned
    steps: list[Any] = []

    async def progress(reached: float, total: float | None, text: str | None) -> None:
        steps.append((reached, total, text))

    done = await client.call_tool("deploy", {"model": "demo"}, progress_callback=progress)
    assert not done.is_error, text_of(done)
    assert done.structured_content["deployment"]["state"] == "running"
    assert json.loads(text_of(done)) == done.structured_content
    shown = (await client.call_tool("show", {"name": "demo"})).structured_content
    assert shown["deployment"]["name"] == "demo"
    explained = (await client.call_tool("route_explain", {"name": "demo"})).structured_content
    assert explained["chosen"]
    for tool, state in (("stop", "stopped"), ("start", "running")):
        ended = await client.call_tool(tool, {"name": "demo"})
        assert not ended.is_error, text_of(ended)
        assert ended.structured_content["deployments"][0]["state"] == state
    removed = (await client.call_tool("remove", {"name": "demo"})).structured_content
    assert removed["removed"] == ["demo"]
    return steps


def test_a_life_over_stdio(home: Path) -> None:
    user = User()
    steps = talk(over_stdio("--allow-changes", "--offline", mode="auto", user=user), life)
    assert [one.partition(" ")[0] for one in user.questions] == ["Deploy", "Stop", "Start", "Stop"]
    assert "llama.cpp" in user.questions[0]
    _grows(steps)


def test_a_life_over_http_with_an_older_client(gateway: Served) -> None:
    """Without keys: only under this machine's names, and not from pages."""
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert gateway.ask("POST", "/mcp", START, **ACCEPT, **header)[0] in (403, 421)
    user = User()
    steps = talk(over_http(gateway.url, mode="legacy", user=user), life)
    assert len(user.questions) == 4
    _grows(steps)


def _grows(steps: list[Any]) -> None:
    reached = [one for one, _, _ in steps]
    assert reached == sorted(set(reached))
    assert any(text.startswith("starting") for _, _, text in steps)


def test_tools_are_the_commands_and_only_read_unless_changes_are_allowed(home: Path) -> None:
    async def tools(client: Client) -> dict[str, Any]:
        return {one.name: one for one in (await client.list_tools()).tools}

    reading = talk(inside(mode="auto", user=None), tools)
    everything = talk(inside(mode="legacy", user=None, allow_changes=True), tools)
    assert set(reading) == READING
    assert set(everything) == READING | CHANGING
    for name, tool in everything.items():
        hints = tool.annotations
        assert hints.read_only_hint is (name in READING)
        assert hints.destructive_hint is (name in ("stop", "remove"))
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["additionalProperties"] is False


def test_a_call_that_is_not_confirmed_changes_nothing(home: Path, run_in_process: Run) -> None:
    async def refused(client: Client) -> str:
        done = await client.call_tool("deploy", {"model": "demo"})
        assert done.is_error
        return text_of(done)

    for mode, user in (("auto", User("decline")), ("legacy", User(agrees=False))):
        text = talk(inside(mode=mode, user=user, allow_changes=True), refused)
        assert "did not agree" in text
    text = talk(inside(mode="auto", user=None, allow_changes=True), refused)
    assert "confirm: true" in text
    assert run_in_process("list", "--json").json["deployments"] == []


def test_an_argument_does_not_replace_the_user_where_the_client_can_ask(home: Path) -> None:
    async def sure(client: Client) -> str:
        done = await client.call_tool("remove", {"name": "nothing", "confirm": True})
        return text_of(done)

    user = User("decline")
    talk(inside(mode="auto", user=user, allow_changes=True), sure)
    assert len(user.questions) == 1
    text = talk(inside(mode="auto", user=None, allow_changes=True), sure)
    assert text.startswith("there is no deployment 'nothing'")


def test_errors_have_their_hints(home: Path) -> None:
    async def wrong(client: Client) -> list[str]:
        calls = [
            ("show", {"name": "nothing"}), ("plan", {"model": "no-such-model-anywhere"}),
            ("plan", {}), ("list", {"surprise": 1}), ("catalog_search", {"limit": "many"}),
            ("show", {"name": "--help"}), ("deploy", {"model": "demo"}),
        ]  # fmt: skip
        done = [await client.call_tool(name, values) for name, values in calls]
        assert all(one.is_error for one in done)
        return [text_of(one) for one in done]

    texts = talk(inside(mode="auto", user=None), wrong)
    assert texts[0] == "there is no deployment 'nothing'\n\nhint: modelscan list"
    assert all("\n\nhint: " in one for one in texts)
    assert "--allow-changes" in texts[-1]
    assert "--help" in texts[-2]


def test_a_model_that_does_not_fit_is_an_answer(home: Path) -> None:
    async def plan(client: Client) -> Any:
        return await client.call_tool("plan", {"model": "qwen3-32b", "gpu": "8GiB"})

    done = talk(inside(mode="auto", user=None), plan)
    assert not done.is_error
    assert done.structured_content["schema"] == "modelscan.plan/1"


def test_resources_are_documents_and_the_manual(home: Path) -> None:
    async def read(client: Client) -> dict[str, str]:
        rows = (await client.list_resources()).resources
        texts = {}
        for row in rows:
            texts[row.uri] = (await client.read_resource(row.uri)).contents[0].text
        model = "modelscan://catalog/models/qwen3-8b"
        texts[model] = (await client.read_resource(model)).contents[0].text
        assert len((await client.list_resource_templates()).resource_templates) == 2
        for uri in ("modelscan://nothing", "file:///etc/passwd", "modelscan://docs/../LICENSE"):
            with pytest.raises(Exception, match=r"hint"):
                await client.read_resource(uri)
        return texts

    texts = talk(inside(mode="auto", user=None), read)
    assert json.loads(texts["modelscan://deployments"])["schema"] == "modelscan.list/1"
    info = json.loads(texts["modelscan://catalog/models/qwen3-8b"])
    assert info["schema"] == "modelscan.catalog.info/1"
    assert texts["modelscan://docs/internals/memory"].startswith("# ")


def test_no_secret_is_in_a_result(
    home: Path, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", PLANTED)
    words = ("route", "provider", "add", "hosted", "openrouter", "--model", "a/b")
    assert run_in_process(*words).code == 0
    made = run_in_process("key", "create", "laptop", "--json").json["key"]

    async def everything(client: Client) -> str:
        calls = [("route_list", {}), ("route_explain", {"name": "a/b"}), ("list", {}), ("gpu", {}),
                 ("catalog_search", {"text": "a/b"})]  # fmt: skip
        texts = [text_of(await client.call_tool(name, values)) for name, values in calls]
        for row in (await client.list_resources()).resources:
            if "docs/" not in row.uri:
                texts.append((await client.read_resource(row.uri)).contents[0].text)
        return "\n".join(texts)

    text = talk(inside(mode="auto", user=None), everything)
    assert "openrouter" in text
    assert PLANTED not in text and made not in text


def test_every_tool_is_a_command_with_these_options(run_in_process: Run) -> None:
    for row in TOOLS:
        helped = run_in_process(*row.command.split(), "--help")
        assert helped.code == 0
        fields = row.parse(dict.fromkeys(row.positional, "x") if row.positional else {})
        words = row.words(fields)
        assert words[: len(row.command.split())] == row.command.split()
        import msgspec

        for one in msgspec.structs.fields(row.arguments):
            if one.name not in (*row.positional, "confirm"):
                assert f"--{one.encode_name.replace('_', '-')}" in helped.out, (row.name, one.name)
