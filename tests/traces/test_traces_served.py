"""Requests through a real ``modelscan serve``: what is recorded of them, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import engines, routed, serving, until, write_routing

from modelscan.api import Workspace
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore
from modelscan.traces.answers import TraceAccess, TraceSwitch, show_span, switch_traces
from modelscan.traces.choices import ChoiceStore
from modelscan.traces.spans import Span, span_of

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
