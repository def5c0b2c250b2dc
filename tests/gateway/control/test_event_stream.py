"""``GET /v1/events`` on running gateways: order, replay, filters, resets, slow readers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import Ran
from support.event_streams import EventStream
from support.postgres_fixtures import place_at
from support.served import Served, serving, until, write_routing

from modelscan.gateway.control.stream.api import EventReader
from modelscan.gateway.control.stream.feed import EventFeed
from modelscan.gateway.control.stream.frames import EventFilter, kinds_of
from modelscan.registry.event_lines import read_events
from modelscan.registry.events import add_event
from modelscan.state.config import load
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase, open_server
from modelscan.state.server.registry_tables import EVENTS

MODELS = "/v1/registry/models"
WHO = Actor("key", "ann")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events") / "home"
    write_routing(folder, {})
    return folder


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Served]:
    with serving(MODELSCAN_HOME=str(home)) as running:
        yield running


@pytest.fixture
def database(home: Path, gateway: Served) -> Iterator[ServerDatabase]:
    with open_server(load(environ={"MODELSCAN_HOME": str(home)})) as opened:
        yield opened


def write(database: ServerDatabase, *slugs: str, event: str = "model.updated") -> list[int]:
    with database.writing() as connection:
        return [add_event(connection, WHO, event, slug=slug) for slug in slugs]


def test_changes_arrive_in_order_with_who_and_what(gateway: Served) -> None:
    with EventStream(gateway.url) as stream:
        assert stream.answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert gateway.ask("POST", MODELS, {"slug": "acme/a", "description": "ä\n\nevent: x"})[0]
        body = {"weights_url": "https://hub.test/a"}
        assert gateway.ask("POST", f"{MODELS}/acme/a/versions", body)[0] == 201
        stream.until(lambda: len(stream.events) >= 2)
        first, second = stream.events[:2]
        assert (first.event, second.event) == ("model.created", "version.created")
        assert int(first.id or 0) < int(second.id or 0)
        data = json.loads(second.data)
        assert (data["slug"], data["version"]) == ("acme/a", "1")
        assert data["etag"] and data["at"] and "actor" in data


def test_a_reader_goes_on_where_it_was(gateway: Served, database: ServerDatabase) -> None:
    first, *missed = write(database, *(f"m{n}" for n in range(1200)))
    for query, headers in (("", {"Last_Event_ID": str(first)}), (f"?last_event_id={first}", {})):
        with EventStream(gateway.url, query, **headers) as stream:
            missed += write(database, "later")
            _until_last(stream, missed[-1])
            assert [int(one.id or 0) for one in stream.events] == missed


def _until_last(stream: EventStream, number: int) -> None:
    stream.until(lambda: stream.events and stream.events[-1].id == str(number))


def test_filters(gateway: Served, database: ServerDatabase) -> None:
    with (
        EventStream(gateway.url, "?kind=node&kind=route") as nodes,
        EventStream(gateway.url, "?kind=registry&slug=b") as b,
        EventStream(gateway.url, "?kind=node.left,tag.added") as named,
    ):
        write(database, "a", "b")
        write(database, "b", event="node.left")
        last = write(database, "end", event="route.updated")
        write(database, "b", event="tag.added")
        nodes.until(lambda: nodes.events and nodes.events[-1].id == str(last[0]))
        b.until(lambda: len(b.events) == 2)
        named.until(lambda: len(named.events) == 2)
        assert [one.event for one in named.events] == ["node.left", "tag.added"]
        assert [one.event for one in nodes.events] == ["node.left", "route.updated"]
        assert [one.event for one in b.events] == ["model.updated", "tag.added"]
    status, problem = gateway.get("/v1/events?kind=models")
    assert (status, problem["code"]) == (400, "invalid_query")
    assert kinds_of(["alias.set,node"]) == (frozenset({"alias.set", "node"}), None)
    assert kinds_of(["aliases.set"])[1] == "aliases.set"
    assert kinds_of(["registry,node"])[0] == frozenset(
        ("model", "version", "tag", "alias", "curation", "eval", "node")
    )


@pytest.mark.parametrize("last", ["999999999", "-5", "abc", "99999999999999999999999"])
def test_an_unknown_id_is_a_reset(gateway: Served, database: ServerDatabase, last: str) -> None:
    (newest,) = write(database, "a")
    with EventStream(gateway.url, Last_Event_ID=last) as stream:
        stream.until(lambda: stream.events)
        first = stream.events[0]
        assert first.event == "reset" and newest - 1 <= int(first.id or 0) <= newest
        (after,) = write(database, "b")
        stream.until(lambda: stream.events[-1].id == str(after))


def test_an_id_from_before_the_kept_log_is_a_reset(
    gateway: Served, database: ServerDatabase
) -> None:
    ids = write(database, "a", "b", "c")
    with database.writing() as connection:
        connection.execute(sa.delete(EVENTS).where(EVENTS.c.id <= ids[1]))
    with EventStream(gateway.url, Last_Event_ID=str(ids[0])) as old:
        old.until(lambda: old.events)
        assert old.events[0].event == "reset"
    with EventStream(gateway.url, Last_Event_ID=str(ids[1])) as kept:
        kept.until(lambda: kept.events)
        assert (kept.events[0].event, kept.events[0].id) == ("model.updated", str(ids[2]))


def test_keep_alive_and_a_reader_that_is_too_slow(
    server_database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a server: the feed's memory is bounded, and a slow reader gets the event `reset`."""
    monkeypatch.setattr("modelscan.gateway.control.stream.feed.MOST_FRAMES", 100)
    asyncio.run(_slow_and_fast(server_database))


async def _slow_and_fast(server_database: ServerDatabase) -> None:
    feed = EventFeed(server_database)
    feed.readers = 2
    slow = EventReader(feed, EventFilter(), None).pieces(0.01)
    fast = EventReader(feed, EventFilter(), None).pieces(0.01)
    assert (await anext(slow)).startswith(b"retry: ")
    assert (await anext(fast)).startswith(b"retry: ")
    assert await anext(slow) == b": keep-alive\n\n"
    got: list[int] = []
    for round_ in range(10):
        ids = write(server_database, *(f"{round_}-{n}" for n in range(50)))
        await feed.step()
        while not got or got[-1] < ids[-1]:
            piece = (await anext(fast)).decode()
            got += [int(one.id or 0) for one in read_events(piece.split("\n"))]
        assert len(feed._frames) <= 100
    assert len(got) == 500 and got == sorted(got)
    rest = [piece async for piece in slow]
    assert b"event: reset" in rest[-1] and f"id: {got[-1]}\n".encode() in rest[-1]


def test_streams_end_with_the_gateway(home: Path) -> None:
    with serving(MODELSCAN_HOME=str(home.with_name("other"))) as running:
        stream = EventStream(running.url)
        head = running.ask("HEAD", "/v1/events", None)  # it has no body, and no end
        assert head[0] in (200, 405)
        assert running.stop() == 0
        stream.until(stream.ended.is_set)
        stream.close()


def two_database(url: str) -> ServerDatabase:
    return ServerDatabase.open_at(place_at(url))


def test_two_gateways_on_one_database(
    clean_environment: Path, database_url: str, monkeypatch: pytest.MonkeyPatch,
    run_in_process: Callable[..., Ran],
) -> None:  # fmt: skip
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", database_url)
    write_routing(clean_environment, {})
    made = run_in_process("key", "create", "ann", "--scope", "curator", "--json").json["key"]
    other = run_in_process("key", "create", "app", "--json").json["key"]
    home = str(clean_environment.with_name("other-home"))
    with serving() as one, serving(MODELSCAN_HOME=home) as two, EventStream(two.url, key=made) as s:
        assert two.get("/v1/events", other)[0] == 403
        assert two.get("/v1/events")[0] == 401
        assert one.ask("POST", MODELS, {"slug": "acme/a"}, made)[0] == 201
        assert two.ask("POST", MODELS, {"slug": "acme/b"}, made)[0] == 201
        s.until(lambda: len(s.named("model.created")) == 2)
        assert [json.loads(e.data)["slug"] for e in s.named("model.created")] == [
            "acme/a", "acme/b",
        ]  # fmt: skip
        assert run_in_process("key", "revoke", "ann").code == 0
        until(lambda: two.get("/v1/events", made)[0] == 401)
        with two_database(database_url) as database:
            write(database, "wakes-the-stream")
        s.until(s.ended.is_set)


def test_routes_are_told(gateway: Served, home: Path) -> None:
    with EventStream(gateway.url, "?kind=route") as stream:
        entry = {"name": "one", "type": "openai", "base_url": "http://127.0.0.1:9", "model": "m"}
        write_routing(home, {"direct": {"providers": [entry]}})
        stream.until(lambda: stream.named("route.created"))
        assert json.loads(stream.named("route.created")[0].data)["slug"] == "one"
        write_routing(home, {})
        stream.until(lambda: stream.named("route.deleted"))
    until(lambda: gateway.get("/ready")[0] == 503)
