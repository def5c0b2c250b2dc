"""Promotions over HTTP and from Python: who may, what is refused at once, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.promotions import registered, running
from support.served import Served, serving, until

import modelscan
from modelscan.core.errors import UsageError
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import PromotionOptions
from modelscan.routing.file import load
from modelscan.state.server.keys import KeyLimits, KeyStore

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")
PATH = "/v1/registry/promotions"


def ended(gateway: Served, key: str, place: str, state: str) -> dict[str, Any]:
    """The promotion once it is in this state and nothing changes it."""

    def reached() -> bool:
        answer = gateway.get(place, key)[1]
        return answer["promotion"]["state"] == state and answer["job"]["state"] != "running"

    assert until(reached)
    answer: dict[str, Any] = gateway.get(place, key)[1]
    return answer


def test_a_promotion_over_http(promoter: Promoter, talking: Path) -> None:
    """Begun with 202, followed by its id, taken back; the last one only."""
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    keys = KeyStore(promoter.database)
    operator = keys.create("ann", KeyLimits(("operator",)))[1]
    reader = keys.create("eve", KeyLimits(("read", "curator")))[1]
    wish = {"version": "talker@1", "route": "talk"}
    with serving() as gateway:
        assert gateway.ask("POST", PATH, wish)[0] == 401
        assert gateway.ask("POST", PATH, wish, reader)[0] == 403
        assert gateway.get(PATH, reader) == (200, {"items": [], "next_cursor": None})
        assert gateway.get(f"{PATH}/p-none", reader)[0] == 404
        for broken, status, code in (
            ({**wish, "version": "talker@7"}, 404, "unknown_version"),
            ({**wish, "gates": ["codin>=0.5"]}, 422, "unknown_suite"),
            ({**wish, "gates": ["/etc/passwd>=0.5"]}, 422, "unknown_suite"),
            ({**wish, "gates": ["coding>=5"]}, 422, "bad_gate"),
            ({**wish, "canary": {"share": 1.5}}, 422, "invalid"),
            ({**wish, "keep": "1h"}, 422, "invalid"),
            ({"route": "talk"}, 422, "invalid"),
        ):
            answer = gateway.ask("POST", PATH, broken, operator)
            assert (answer[0], answer[1]["code"]) == (status, code), broken
        assert running(promoter) == set()
        status, begun = gateway.ask("POST", PATH, wish, operator)
        assert (status, begun["schema"]) == (202, "modelscan.registry.promotion/1")
        place = f"{PATH}/{begun['promotion']['id']}"
        done = ended(gateway, operator, place, "promoted")
        assert done["promotion"]["current"] == "talker@1"
        entry = load(promoter.config.routing_file).route("talk")
        assert entry is not None and entry.model == "talker@1"  # with the tags of that version
        workspace = modelscan.Workspace(promoter.config)
        assert [one.id for one in workspace.promotions("talk")] == [begun["promotion"]["id"]]
        assert gateway.ask("POST", f"{place}/rollback", {}, reader)[0] == 403
        assert gateway.ask("POST", f"{place}/rollback", {}, operator)[0] == 202
        ended(gateway, operator, place, "rolled_back")
        assert load(promoter.config.routing_file).route("talk") is None
        status, again = gateway.ask("POST", f"{place}/rollback", {}, operator)
        assert (status, again["code"]) == (409, "not_the_last")
        rows = gateway.get(f"{PATH}?route=talk&state=rolled_back", reader)[1]["items"]
        assert [one["version"] for one in rows] == ["talker@1"]
        assert gateway.get(f"{PATH}?state=nothing", reader)[0] == 400


def test_promotions_from_python(promoter: Promoter, talking: Path) -> None:
    """The same, without a server."""
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    workspace = modelscan.Workspace(promoter.config)
    steps: list[str] = []
    answer = workspace.promote("talker@1", "talk", PromotionOptions(), progress=steps.append)
    assert (answer.state, answer.current) == ("promoted", "talker@1")
    assert any("switch" in one for one in steps)
    assert workspace.rollback("talk").state == "rolled_back"
    assert [one.state for one in workspace.promotions()] == ["rolled_back"]
    with pytest.raises(UsageError, match="was taken back already"):
        workspace.rollback("talk")
