"""The strategy weighted, of roles and of entries that give a share to another one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from modelscan.routing.choose import DOWN, UP, Live, choose, first
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.schema import parse
from modelscan.routing.table import RouteTable
from modelscan.routing.world import World


def _file(share: Any = None, roles: Any = ()) -> dict[str, Any]:
    providers: list[dict[str, Any]] = [
        {"name": name, "type": "local", "base_url": f"http://127.0.0.1:{port}", "model": name}
        for port, name in enumerate(("old", "new", "third"), 8001)
    ]
    if share is not None:
        providers[0]["canary"] = share
    return {"version": 1, "routing": {"direct": {"providers": providers}, "roles": list(roles)}}


def _table(data: dict[str, Any]) -> RouteTable:
    file = parse(data)
    assert not file.errors, file.errors
    return compile_table(file, World())


def _shares(
    table: RouteTable, name: str, requests: int, down: tuple[int, ...] = ()
) -> Counter[str]:
    entry, counted = table.routes[name], Counter[str]()
    health = [DOWN if at in down else UP for at in range(len(table.backends))]
    for turn in range(requests):
        live = Live([0] * len(health), health, turn)
        order = choose(entry, table.backends, live)
        if not down:
            assert first(entry, live) == order[0]
        counted[table.backends[entry.candidates[order[0]].backend].name] += 1
    return counted


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_an_entry_gives_another_one_its_share(share: float) -> None:
    table = _table(_file({"provider": "new", "share": share}))
    for requests in (20, 100, 1000):
        counted = _shares(table, "old", requests)
        assert abs(counted["new"] - share * requests) <= 2, counted
    assert _shares(table, "new", 10) == {"new": 10}  # its own name is its own
    assert _shares(table, "third", 10) == {"third": 10}


def test_a_share_of_an_entry_that_is_down_goes_to_the_other() -> None:
    table = _table(_file({"provider": "new", "share": 0.5}))
    assert _shares(table, "old", 20, down=(1,)) == {"old": 20}
    assert _shares(table, "old", 20, down=(0,)) == {"new": 20}


def test_a_role_by_weights() -> None:
    policy = {
        "providers": ["old", "new", "third"], "strategy": "weighted",
        "weights": {"old": 3, "new": 1},
    }  # fmt: skip
    table = _table(_file(roles=[{"role_id": "work", "routing_policy": policy}]))
    counted = _shares(table, "work", 400)
    assert abs(counted["new"] - 100) <= 2
    assert counted["third"] == 0  # without a weight: only after the others
    order = choose(table.routes["work"], table.backends, Live([0] * 3, [UP] * 3, 0))
    assert len(order) == 3


@pytest.mark.parametrize(
    ("policy", "level", "words"),
    [
        ({"strategy": "weighted"}, "error", "needs weights above 0"),
        ({"strategy": "weighted", "weights": {"old": 0}}, "error", "needs weights above 0"),
        ({"strategy": "weighted", "weights": {"old": -1, "new": 1}}, "error", "must be 0 or more"),
        ({"strategy": "scored", "weights": {"old": 1}}, "warning", "count for the strategy"),
    ],
)
def test_weights_that_say_nothing(policy: dict[str, Any], level: str, words: str) -> None:
    file = parse(_file(roles=[{"role_id": "work", "routing_policy": policy}]))
    assert any(f.level == level and words in f.message for f in file.findings), file.findings


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_a_share_that_is_none(share: float) -> None:
    file = parse(_file({"provider": "new", "share": share}))
    assert any("must be between 0 and 1" in f.message for f in file.errors)


@pytest.mark.parametrize("name", ["gone", "old"])
def test_a_canary_that_leads_nowhere(name: str) -> None:
    """Known as a finding, and the entry keeps all of its requests."""
    file = parse(_file({"provider": name, "share": 0.5}))
    assert any("gives a share" in f.message for f in file.findings)
    table = compile_table(file, World())
    assert _shares(table, "old", 10) == {"old": 10}
