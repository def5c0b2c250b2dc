"""Services of nodes in the routing table: their names, what a person wrote, policies, refusals."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from support.node_messages import service

from modelscan.core.node import RegisteredService
from modelscan.routing.compile import MOST_CANDIDATES, compile
from modelscan.routing.facts import Known, availability
from modelscan.routing.lookup import find_route
from modelscan.routing.memo import TableMemo
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.reported import (
    ReportedEntry,
    observation,
    reported_entries,
    root_of,
    with_reported,
)
from modelscan.routing.schema import parse
from modelscan.routing.scoring import Runtime
from modelscan.routing.table import RouteTable
from modelscan.routing.world import UNKNOWN_MODEL, World

EMPTY: dict[str, Any] = {}


def reported(*services: dict[str, Any], host: str = "gpu1") -> list[ReportedEntry]:
    rows = (msgspec.convert(one, RegisteredService) for one in services)
    return [
        entry for one in rows for entry in reported_entries(host, one, ("gpu", "role=gpu"), None)
    ]


def file(routing: dict[str, Any]) -> RoutingFile:
    return parse({"version": 1, "routing": {"mode": "direct", **routing}})


def table(
    routing: dict[str, Any], entries: list[ReportedEntry], healthy: bool | None = True
) -> RouteTable:
    written = file(routing)
    whole = with_reported(written, entries)
    kept = {route.name for route in whole.routes[len(written.routes) :]}
    seen = (one for one in entries if one.route.name in kept)
    world = World(
        {one.route.name: observation(one, Runtime(), healthy, None, one.refused) for one in seen}
    )
    return compile(whole, world)


def backends(made: RouteTable, name: str) -> list[str]:
    found = find_route(made.routes, name)
    if found is None:
        return []
    return [made.backends[one.backend].name for one in found.entry.candidates]


def test_a_service_has_the_names_of_itself_and_of_its_models() -> None:
    assets = [
        {"asset_id": "big", "loaded": False, "modelscan": {"model": "qwen/qwen3-32b"}},
        {"asset_id": "small", "loaded": True, "context_size": 8192},
    ]
    made = table(EMPTY, reported(service("gpu1/chat", "http://10.0.0.1:8000/v1/", assets=assets)))
    # The loaded model is the service's own.
    assert backends(made, "gpu1/chat") == backends(made, "small") == ["gpu1/chat"]
    for name in ("big", "qwen/qwen3-32b", "qwen3-32b", "gpu1/chat/big"):
        assert backends(made, name) == ["gpu1/chat/big"], name
    first, second = made.backends
    assert (first.host, first.port, first.path, first.tier) == ("10.0.0.1", 8000, "", "self_hosted")
    assert (first.served_model, first.context_tokens, first.engine) == ("small", 8192, "llama.cpp")
    assert (second.served_model, second.context_tokens) == ("big", None)
    assert made.routes["gpu1/chat"].candidates[0].loaded is True
    assert first.tags == ("gpu", "role=gpu")
    many = table(EMPTY, reported(service("gpu1/any", "http://10.0.0.1:1", assets=[])))
    found = find_route(many.routes, "gpu1/any/whatever")
    assert found is not None and found.model == "whatever"
    assert many.routes["gpu1/any"].many_models


def test_nodes_of_one_model_share_it_and_those_of_the_file_come_first() -> None:
    entries = reported(
        service("a", "http://10.0.0.1:1", "m"), service("b", "http://10.0.0.2:1", "m")
    )
    assert table(EMPTY, entries).routes["m"].strategy == "least_loaded"
    own = {"name": "own", "type": "openai", "base_url": "http://10.0.0.9:1", "model": "m"}
    made = table({"direct": {"providers": [own]}}, entries)
    assert made.routes["m"].strategy == "priority"
    assert backends(made, "m") == ["own", "a", "b"]
    crowd = [service(f"s{n}", f"http://10.0.0.1:{n + 1}", "m") for n in range(MOST_CANDIDATES + 5)]
    assert len(table(EMPTY, reported(*crowd)).routes["m"].candidates) == MOST_CANDIDATES


def test_a_node_takes_over_nothing_that_is_written() -> None:
    own = {"name": "own", "type": "openai", "base_url": "http://10.0.0.9:1", "model": "lab/coder"}
    routing = {
        "fallback": True,
        "direct": {"default_provider": "own", "providers": [own]},
        "aliases": {"gpt-4o": "own"},
        "roles": [{"role_id": "mentor", "routing_policy": {"providers": ["own"]}}],
    }
    rivals = [
        service("own", "http://10.0.0.1:1", "x"),
        service("fast", "http://10.0.0.1:2", "fast"),
        service("auto", "http://10.0.0.1:3", "auto"),
        *(service(f"s/{name.replace('/', '-')}", "http://10.0.0.1:4", name)
          for name in ("own", "lab/coder", "coder", "gpt-4o", "mentor", "other/coder")),
    ]  # fmt: skip
    made = table(routing, reported(*rivals))
    assert backends(made, "own") == backends(made, "gpt-4o") == backends(made, "mentor") == ["own"]
    for name in ("lab/coder", "coder"):
        assert backends(made, name)[0] == "own", name
    assert made.routes["fast"].kind == made.routes["auto"].kind == "role"
    assert backends(made, "other/coder") == ["s/other-coder"]
    assert backends(made, "s/mentor") == ["s/mentor"]
    # An entry of the file falls back on the file's, a node's service too.
    assert made.routes["s/mentor"].fallbacks == ("own",) and made.routes["own"].fallbacks == ()
    assert made.default == "own"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"state": {"health": "unhealthy"}}, "reports it as unhealthy"),
        ({"state": {"health": "Failed"}}, "reports it as Failed"),
        ({"state": {"availability": "paused_by_user"}}, "reports it as paused_by_user"),
        ({"state": {"availability": "busy"}}, None),
        ({"state": {"accept_requests": False}}, "accepts no requests"),
        (
            {"state": {"accept_requests": False}, "modelscan": {"reason": "it is being updated"}},
            "accepts no requests for it: it is being updated",
        ),
        ({"state": {"health": "strange"}}, None),
        ({"state": {}}, None),
    ],
)
def test_what_a_node_reports_of_health_decides(more: dict[str, Any], text: str | None) -> None:
    entries = reported(service("a", "http://10.0.0.1:1", "m", **more))
    made = table(EMPTY, entries)
    if text is None:
        assert backends(made, "m") == ["a"]
        return
    assert backends(made, "m") == []
    assert text in made.routes["m"].refused[0].reason


def test_a_heartbeat_does_not_hide_what_a_probe_found() -> None:
    (entry,) = reported(service("a", "http://10.0.0.1:1", "m"))
    seen = observation(entry, Runtime(), False, None, None)
    assert (seen.healthy, seen.ends, seen.node) == (False, False, "gpu1")
    role = {"roles": [{"role_id": "r"}]}
    assert backends(table(role, [entry], healthy=False), "r") == []
    assert backends(table(role, [entry], healthy=None), "r") == ["a"]


def test_the_gateways_own_measurements_come_first() -> None:
    figures = {"p50_latency_ms": 900, "tokens_per_sec": 30, "queue_depth": 4, "in_flight": 9}
    (entry,) = reported(service("a", "http://10.0.0.1:1", "m", observed=figures))
    assert observation(entry, Runtime(), None, None, None).runtime == Runtime(True, 900, 30, 4)
    mine = Runtime(None, 200.0, None, 0)
    assert observation(entry, mine, None, 1, None).runtime == Runtime(True, 200.0, 30, 1)
    assert observation(entry, mine, None, None, "why").reason == "why"


def test_kinds_policies_and_addresses() -> None:
    policy = {"body_defaults": {"temperature": 0.1, "model": "x", "stream": True},
              "system_prompt": "Be brief."}  # fmt: skip
    asset = {"asset_id": "m", "request_policy": policy}
    extra = {"dialects": ["messages", "nonsense"], "max_in_flight": 3, "tags": ["curated"]}
    one = service("a", "http://10.0.0.1:1", assets=[asset], modelscan=extra)
    vectors = service("b", "http://10.0.0.1:2", "v", kind="embedding")
    strange = service("c", "http://10.0.0.1:3", "w", kind="telepathy")
    made = table(EMPTY, reported(one, vectors, strange))
    candidate = made.routes["a"].candidates[0].policy
    assert candidate is not None
    assert (candidate.defaults, candidate.system_prompt) == ({"temperature": 0.1}, "Be brief.")
    first, second, third = made.backends
    assert first.operations is not None and "chat" in first.operations
    assert (first.dialects, first.max_in_flight) == (("messages",), 3)
    assert first.tags == ("curated", "gpu", "role=gpu")
    assert second.operations is not None and "chat" not in second.operations
    assert third.operations is None
    for text in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"):
        assert root_of(text) == "http://h:1"
    assert root_of("http://h:1/base/v1") == "http://h:1/base"


def test_a_table_from_a_memo_is_the_table_that_is_made_from_nothing() -> None:
    roles = [
        {"role_id": "r"},
        {"role_id": "q", "routing_policy": {"preferred_families": ["qwen3"]}},
    ]
    written = file({"roles": roles, "aliases": {"first": "r"}})
    chance, memo, last = random.Random(5), TableMemo(), list[ReportedEntry]()
    known = {
        f"s{n}": reported(service(f"s{n}", f"http://10.0.0.1:{n + 1}", f"qwen3-{n % 3}b"))[0]
        for n in range(12)
    }
    for turn in range(40):
        name = f"s{chance.randrange(12)}"
        state = {"health": chance.choice(["healthy", "unhealthy"])}
        figures = {"p50_latency_ms": chance.choice([100, 3000, 9000])}
        changed = service(name, "http://10.0.0.1:9", "llama-3", state=state, observed=figures)
        known[name] = reported(changed)[0]
        last = chance.sample(list(known.values()), chance.randrange(4, 12))
        whole = with_reported(written, last)
        seen = {
            one.route.name: observation(one, Runtime(), None, None, one.refused) for one in last
        }
        world = World(seen, revision=turn)
        assert compile(whole, world, memo) == compile(whole, world)


def test_a_service_is_routable_where_something_shows_that_it_answers() -> None:
    """Requests may go to one that nothing was heard of, but that is not known."""
    (well,) = reported(service("a", "http://10.0.0.1:1", "m"))
    (unknown,) = reported(service("a", "http://10.0.0.1:1", "m", state={"health": "unknown"}))
    for entry, healthy, refused, state in (
        (well, None, None, "routable"), (unknown, None, None, "unproven"),
        (unknown, True, None, "routable"), (well, False, None, "known"),
        (well, None, "its node left", "known"),
    ):  # fmt: skip
        seen = observation(entry, Runtime(), healthy, None, refused)
        known = Known(0, entry.route, entry.fields, seen, UNKNOWN_MODEL, None)
        assert availability(known) == state
