"""Requests through a real ``modelscan serve``: what is recorded of them, and what is not."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ran
from support.served import engines, routed, serving, until, write_routing

from modelscan.api import Workspace
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore
from modelscan.traces.answers import TraceAccess, TraceSwitch, show_span, switch_traces
from modelscan.traces.choices import ChoiceStore
from modelscan.traces.spans import Span, ToolApproval, span_of

TOOLS = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]


@pytest.fixture
def access(clean_environment: Path) -> Iterator[TraceAccess]:
    config = load({})
    with ServerDatabase.open(config.paths.state) as database:
        yield TraceAccess(config, database)


def spans(access: TraceAccess, count: int) -> list[Span]:
    """So many requests, the oldest first, when they are stored."""
    found = until(lambda: len(rows := access.store.newest(99)) >= count and rows)
    return [span_of(one) for one in reversed(found)]


def test_local_requests_leave_nothing_and_others_are_counted(access: TraceAccess) -> None:
    with engines("one", "two") as (one, two):
        far = {**two.entry(), "tier": "third_party"}
        write_routing(
            access.config.paths.config.parent, routed(one.entry(context_tokens=4096), far)
        )
        with serving() as gateway:
            assert gateway.chat("one")[0] == 200
            picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
            body = {"messages": [{"role": "user", "content": picture}], "tools": TOOLS}
            assert gateway.chat("two", **body)[0] == 200
            quoted = [{"role": "user", "content": 'print {"tools": 1, "image_url": 2}'}]
            assert gateway.chat("two", messages=quoted)[0] == 200
            local, sent, words = spans(access, 3)
    assert local.left_machine is None and local.tier == "local"
    assert local.reasons == ("'one' is a provider", "one is its only entry")
    assert local.context is not None and local.context.window_tokens == 4096
    assert sent.left_machine is not None
    assert sent.left_machine.kinds == ("text", "tools", "images")
    assert sent.left_machine.hosts == ("127.0.0.1",)
    assert sent.left_machine.bytes == int(two.headers[0]["content-length"])
    assert words.left_machine is not None and words.left_machine.kinds == ("text",)


def of_key(access: TraceAccess, key: str) -> dict[str, str]:
    """The requests of a key: trace ids by route."""
    return {one.route or "": one.trace_id for one in access.store.newest(999) if one.key == key}


def test_texts_are_kept_only_of_what_was_chosen(access: TraceAccess) -> None:
    home = access.config.paths.config.parent
    kept_key = KeyStore(access.database).create("ada", KeyLimits())[1]
    plain_key = KeyStore(access.database).create("bob", KeyLimits())[1]
    with engines("one", "two") as (one, two):
        write_routing(home, routed(one.entry(), two.entry()))
        with serving() as gateway:
            assert gateway.chat("one", kept_key)[0] == 200
            switch_traces(
                access, TraceSwitch(content=True, keys=("ada",), routes=("two",)), on=True
            )
            until(
                lambda: gateway.chat("one", kept_key)[0] == 200 and access.contents.count().requests
            )
            assert gateway.chat("one", plain_key)[0] == 200
            assert gateway.chat("two", plain_key, stream=True)[0] == 200
            found = until(lambda: len(rows := of_key(access, "bob")) >= 2 and rows)
            until(lambda: access.contents.find(found["two"]) is not None)
        contents = {name: show_span(access, one).span.content for name, one in found.items()}
    assert contents["one"] is None
    streamed = contents["two"]
    assert streamed is not None
    assert streamed["messages"] == [{"role": "user", "content": "Hello"}]
    assert streamed["answer"] == {"role": "assistant", "content": "from two"}
    explained = {
        name: Workspace(lambda: access.config).explain(name).steps[-1] for name in ("one", "two")
    }
    assert explained["two"].text == "texts are kept (modelscan trace off --content --route two)"
    assert explained["one"].text == "texts are kept for the keys ada only"


def test_switched_off_nothing_is_recorded_but_budgets_count(access: TraceAccess) -> None:
    key = KeyStore(access.database).create(
        "ada", KeyLimits(budget_tokens=10**6, budget_period="day")
    )[1]
    with engines("one") as (one,):
        write_routing(access.config.paths.config.parent, routed(one.entry()))
        ChoiceStore(access.database).record(False)
        with serving() as gateway:
            assert gateway.chat("one", key)[0] == 200
            used = until(lambda: KeyStore(access.database).list()[0].used_tokens)
    assert used == 10
    assert access.store.count() == 0


def offered(*names: str) -> list[dict[str, object]]:
    return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
            for name in names]  # fmt: skip


def test_tool_policies_decide_what_is_offered(access: TraceAccess) -> None:
    """In every dialect, by route and key; the receipt and the answer's header have the decisions."""
    key = KeyStore(access.database).create("ada", KeyLimits())[1]
    other = KeyStore(access.database).create("bob", KeyLimits())[1]
    policies = [
        {"name": "careful", "deny": ["delete_*"], "confirm": ["write_*"], "routes": ["one"]},
        {"name": "trainee", "default": "deny", "keys": ["bob"], "allow": ["search"]},
    ]
    with engines("one", "two") as (one, two):
        write_routing(
            access.config.paths.config.parent,
            routed(one.entry(), two.entry(), tool_policies=policies),
        )
        with serving() as gateway:
            tools = offered("search", "write_file", "delete_file")
            response = post(gateway.url, "/v1/chat/completions", key, model="one", tools=tools)
            assert response == "confirm write_file, deny delete_file"
            named = [{"name": "delete_file", "input_schema": {"type": "object"}}]
            assert post(gateway.url, "/v1/messages", key, model="one", max_tokens=9, tools=named)
            assert post(gateway.url, "/v1/chat/completions", key, model="two", tools=tools) is None
            assert post(gateway.url, "/v1/chat/completions", other, model="two", tools=tools) == (
                "deny write_file, deny delete_file"
            )
            assert post(gateway.url, "/v1/chat/completions", other, model="one") is None
            chat, messages, free, trainee, plain = spans(access, 5)
    assert [one["function"]["name"] for one in one.requests[0]["tools"]] == ["search", "write_file"]
    assert "tools" not in one.requests[1]
    assert two.requests[0]["tools"] == tools
    assert [one["function"]["name"] for one in two.requests[1]["tools"]] == ["search"]
    assert chat.approvals == (
        ToolApproval("search", "allow", "careful"),
        ToolApproval("write_file", "confirm", "careful"),
        ToolApproval("delete_file", "deny", "careful"),
    )
    assert messages.approvals == (ToolApproval("delete_file", "deny", "careful"),)
    assert (free.approvals, plain.approvals) == (None, None)
    assert trainee.approvals is not None
    assert {one.policy for one in trainee.approvals} == {"trainee"}
    steps = Workspace(lambda: access.config).explain("one").steps
    assert [step.text for step in steps if step.stage == "tools"] == [
        "tool policy 'careful': deny delete_*; confirm write_*; others allow",
        "tool policy 'trainee': allow search; others deny (keys bob only)",
    ]


def test_decisions_are_shown_and_exported(
    access: TraceAccess, run_in_process: Callable[..., Ran], tmp_path: Path
) -> None:
    """allow, deny and confirm: in `trace show`, in both exports, and in their provenance."""
    key = KeyStore(access.database).create("ada", KeyLimits())[1]
    policy = {"name": "careful", "deny": ["delete_*"], "confirm": ["write_*"]}
    with engines("one") as (one,):
        home = access.config.paths.config.parent
        write_routing(home, routed(one.entry(), tool_policies=[policy]))
        with serving() as gateway:
            tools = offered("search", "write_file", "delete_file")
            assert post(gateway.url, "/v1/chat/completions", key, model="one", tools=tools)
            assert gateway.chat("one", key)[0] == 200
            guarded, plain = spans(access, 2)
    decided = {"search": "allow", "write_file": "confirm", "delete_file": "deny"}
    shown = run_in_process("trace", "show", guarded.trace_id)
    line = next(line for line in shown.out.splitlines() if line.startswith("approvals"))
    assert line.split("\t")[1] == ", ".join(f"{k}: {v} (careful)" for k, v in decided.items())
    document = run_in_process("trace", "show", guarded.trace_id, "--json").json
    assert {one["tool"]: one["decision"] for one in document["span"]["approvals"]} == decided
    assert "approvals\tnone" in run_in_process("trace", "show", plain.trace_id).out
    rows, otlp = tmp_path / "spans.jsonl", tmp_path / "spans.json"
    assert run_in_process("trace", "export", str(rows), "--format", "jsonl").code == 0
    assert run_in_process("trace", "export", str(otlp), "--format", "otlp-json").code == 0
    head, *lines = map(json.loads, rows.read_text().splitlines())
    assert head["provenance"]["tool_policy"] == ["careful"]
    exported = next(one for one in lines if one["trace_id"] == guarded.trace_id)
    assert {one["tool"]: one["decision"] for one in exported["approvals"]} == decided
    for tool, decision in decided.items():
        assert f'"modelscan.tool_approvals.{tool}"' in otlp.read_text()
        assert f'"{decision} (careful)"' in otlp.read_text()


def post(url: str, path: str, key: str, **fields: object) -> str | None:
    """The header about tools of an answer with status 200."""
    body = {"messages": [{"role": "user", "content": "Hello"}], **fields}
    request = urllib.request.Request(url + path, json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as response:
        header: str | None = response.headers.get("X-Modelscan-Tools")
        return header
