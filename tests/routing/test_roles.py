"""Which entries serve a role, and what the compiled table says."""

from __future__ import annotations

from typing import Any

import pytest
from support.routing_files import file_of, hosted, provider, role

from modelscan.routing.choose import UP, Live, choose
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.explain import explain
from modelscan.routing.lookup import find_route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.scoring import Result, Runtime
from modelscan.routing.table import RouteTable
from modelscan.routing.world import ProviderObservation, RouteModelFacts, World

EMPTY = World()


def names(table: RouteTable, route: str) -> list[str]:
    """The backends of a route, in the order in which they are tried."""
    entry = table.routes[route]
    count = len(table.backends)
    order = choose(entry, table.backends, Live([0] * count, [UP] * count))
    return [table.backends[entry.candidates[at].backend].name for at in order]


def refused(file: RoutingFile, route: str, world: World = EMPTY) -> list[str]:
    return [one.reason for one in compile_table(file, world).routes[route].refused]


def served(file: RoutingFile, route: str, world: World = EMPTY) -> list[str]:
    return names(compile_table(file, world), route)


@pytest.mark.parametrize(
    ("selection", "expected", "reason"),
    [
        ({}, ["a", "b"], None),
        ({"requires_tags": ["curated"]}, ["b"], "a lacks the tag curated"),
        ({"min_context": 8192}, ["b"], "a has 4,096 tokens of context; the role needs 8,192"),
        ({"providers": ["b", "a"], "strategy": "priority"}, ["b", "a"], None),
        ({"providers": ["b"]}, ["b"], "a is not among the role's providers"),
        ({"tiers": ["third_party"]}, ["c"], "a is local, not third_party"),
        ({"tiers": ["local", "third_party"]}, ["a", "b", "c"], None),
    ],
)
def test_gates(selection: dict[str, Any], expected: list[str], reason: str | None) -> None:
    file = file_of(
        provider("a", context_tokens=4096),
        provider("b", context_tokens=8192, tags=["curated"]),
        hosted("c"),
        roles=[role("r", **selection)],
    )
    assert served(file, "r") == expected
    assert reason is None or any(text.startswith(reason) for text in refused(file, "r"))


def test_an_unknown_context_serves_only_where_none_is_known_to_do() -> None:
    """Unknown is not too small; an entry that is known to have the tokens comes alone."""
    unknown, small = provider("a"), provider("b", context_tokens=10)
    file = file_of(unknown, small, roles=[role("r", min_context=100)])
    assert served(file, "r") == ["a"]
    assert refused(file, "r") == ["b has 10 tokens of context; the role needs 100"]
    large = provider("c", context_tokens=100)
    file = file_of(unknown, small, large, roles=[role("r", min_context=100)])
    assert served(file, "r") == ["c"]
    assert refused(file, "r")[0] == "a has an unknown context; another entry has the 100 tokens"


def test_the_context_is_the_configured_one_then_the_served_one_then_the_catalogs() -> None:
    facts = {f"lab/{name}": RouteModelFacts(context_tokens=131072) for name in "abcd"}
    seen = {name: ProviderObservation(served={f"lab/{name}": 8192}) for name in "ab"}
    file = file_of(provider("a", context_tokens=4096), provider("b"), provider("c"),
                   provider("d", model="own/d"))  # fmt: skip
    world = World(seen, facts)
    rows = [explain(file, world, name).candidates[0] for name in "abcd"]
    assert [(row.context_tokens, row.context_source) for row in rows] == [
        (4096, "routing file"), (8192, "engine"), (131072, "catalog"), (None, None),
    ]  # fmt: skip


def test_the_first_preferred_family_restricts_the_pool() -> None:
    """By family, not by the letters of a name: qwen:32b is not Qwen3."""
    file = file_of(
        provider("old", model="qwen:32b"),
        provider("new", model="Qwen/Qwen3-8B"),
        provider("gguf", model="hf.co/unsloth/Qwen3-8B-GGUF"),
        provider("later", model="qwen/qwen3.5-9b"),
        provider("own", model="me/assistant", family="qwen3"),
        roles=[
            role("r", preferred_families=["Mistral", "Qwen3"]),
            role("soft", preferred_families=["Gemma 4"]),
        ],
    )
    assert set(served(file, "r")) == {"new", "gguf", "own"}
    assert len(served(file, "soft")) == 5


def test_a_third_party_is_used_only_if_no_own_entry_can_serve() -> None:
    one = file_of(provider("a"), hosted("b"), roles=[role("r")])
    assert served(one, "r") == ["a"]
    dead = World({"a": ProviderObservation(healthy=False, reason="connection refused")})
    assert served(one, "r", dead) == ["b"]
    assert refused(one, "r", dead) == ["a does not answer: connection refused"]


def test_loaded_models_come_first_and_only_if_there_is_one() -> None:
    file = file_of(provider("a"), provider("b"), roles=[role("r", require_loaded=True), role("s")])
    loaded = World({"b": ProviderObservation(runtime=Runtime(loaded=True))})
    assert served(file, "r") == ["a", "b"]
    assert served(file, "r", loaded) == ["b"]
    assert served(file, "s", loaded) == ["b", "a"]


def test_benchmark_results_raise_a_score() -> None:
    file = file_of(provider("a"), provider("b"), roles=[role("r")])
    assert served(file, "r") == ["a", "b"]
    assert served(file, "r", World({"b": ProviderObservation(results=(Result("r", 1.0),))})) == [
        "b",
        "a",
    ]


def test_an_operation_needs_an_entry_for_it() -> None:
    file = file_of(
        provider("chat"),
        provider("vectors", tags=["embedding"]),
        provider("words", operations=["transcription"]),
        roles=[role("e", operation="embeddings"), role("t", operation="transcription")],
    )
    assert served(file, "e") == ["vectors"]
    assert served(file, "t") == ["words"]
    assert served(file, "fast") == ["chat"]
    facts = World(models={"lab/chat": RouteModelFacts(task="rerank")})
    assert served(file, "fast", facts) == []


def test_fallback_roles_are_followed_once_and_within_an_operation() -> None:
    file = file_of(
        provider("a", enabled=False),
        roles=[
            role("x", fallback_roles=["y"]),
            role("y", fallback_roles=["x", "z"]),
            role("z"),
        ],
    )
    table = compile_table(file, EMPTY)
    assert table.routes["x"].fallbacks == ("y", "z")
    assert table.routes["y"].fallbacks == ("x", "z")
    assert names(table, "x") == []
    answer = explain(file, EMPTY, "x")
    assert answer.chosen is None
    assert [step.text for step in answer.steps if step.stage == "fallback"] == [
        "the next route is 'y'", "the next route is 'z'",
    ]  # fmt: skip


def test_names_of_a_table() -> None:
    """Provider, model, served model, alias, role, short name; the first kind counts."""
    file = file_of(
        provider("a", model="lab/one", served_model="wire"),
        provider("b", model="lab/one"),
        provider("one", model="lab/two"),
        hosted("many", model=None),
        default="b",
        aliases={"gpt-4o": "wire", "cloud": "many/org/m:free", "two": "a"},
        roles=[role("writer")],
    )
    table = compile_table(file, EMPTY)
    assert table.default == "b"
    found = {name: names(table, name) for name in ("a", "lab/one", "wire", "one", "two", "gpt-4o")}
    assert found == {
        "a": ["a"], "lab/one": ["a", "b"], "wire": ["a"], "one": ["one"], "two": ["a"],
        "gpt-4o": ["a"],
    }  # fmt: skip
    assert table.routes["cloud"].candidates[0].served_model == "org/m:free"
    assert {"fast", "auto", "writer"} <= set(table.routes)
    many = find_route(table.routes, "many/org/name:policy")
    assert many is not None
    assert (many.entry.name, many.model) == ("many", "org/name:policy")
    alone = find_route(table.routes, "many")
    assert alone is not None
    assert alone.entry.candidates == ()
    assert alone.entry.refused[0].reason == "many serves many models: request many/MODEL"
    assert find_route(table.routes, "a/b") is None
    assert find_route(table.routes, "many/") is None


def test_a_server_of_many_models_lists_its_own() -> None:
    world = World({"many": ProviderObservation(served={"org/x": 8192})})
    table = compile_table(file_of(hosted("many", model=None)), world)
    assert table.routes["org/x"].candidates[0].served_model == "org/x"
    assert table.backends[0].served_model is None
    alone = find_route(table.routes, "many")
    assert alone is not None
    assert alone.entry.candidates[0].served_model == "org/x"


def test_an_entry_that_cannot_answer_keeps_its_name() -> None:
    """So that a caller reads why, instead of a wrong name."""
    file = file_of(provider("a", deployment="a"), provider("b", enabled=False), fallback=True)
    world = World({"a": ProviderObservation(state="failed", reason="killed", ends=True)})
    table = compile_table(file, world)
    assert table.routes["a"].candidates == ()
    assert table.routes["a"].refused[0].reason == (
        "a cannot answer, its deployment is failed: killed"
    )
    assert table.routes["a"].fallbacks == ("b",)
    assert explain(file, world, "b").steps[-1].text == "'a' has no backend that can answer"


def test_secrets_are_an_entrys_own() -> None:
    """Neither another entry's nor a well-known variable's."""
    file = file_of(hosted("a", api_key="env:A_KEY"), hosted("b"), hosted("c", preset="hf"))
    secrets = {"env:A_KEY": "one", "env:OPENAI_API_KEY": "decoy", "env:HF_TOKEN": "three"}
    table = compile_table(file, World(secrets=secrets))
    assert [one.authorization for one in table.backends] == [
        ("Authorization", "Bearer one"), None, ("Authorization", "Bearer three"),
    ]  # fmt: skip


def test_a_budget_that_is_used_up_refuses() -> None:
    file = file_of(provider("a"), provider("b"), roles=[role("r"), role("s")],
                   budgets=[{"name": "a", "usd": 1}])  # fmt: skip
    table = compile_table(file, World(spent=frozenset({"a", "s"})))
    assert names(table, "r") == ["b"]
    assert names(table, "a") == []
    assert names(table, "s") == []
