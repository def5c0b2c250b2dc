"""The modes of Plano: a stand-in that has its interface chooses the model, or is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.served import Engine, engines, routed, serving, until, write_routing

from modelscan.routing.compile import compile as compile_table
from modelscan.routing.plano import PLANO, with_plano
from modelscan.routing.schema import parse
from modelscan.routing.world import World

KEY = "plano-key-of-the-proxy"
ROLE = {
    "role_id": "coder", "operation": "chat",
    "prompt_policy": {"request_policy": {"body_defaults": {"top_k": 7}}},
}  # fmt: skip


def document(plano: Engine, *entries: dict[str, Any], fallback: bool, mode: str) -> dict[str, Any]:
    made = routed(*entries, roles=[ROLE])
    made |= {"mode": mode, "fallback": fallback}
    if mode == "plano_proxy":
        address = f"http://127.0.0.1:{plano.port}"
        made["proxy"] = {"base_url": address, "api_key": "env:PLANO_KEY"}
    else:
        made["embedded"] = {"ports": {"ingress": 10000, "egress": plano.port}}
    made["direct"]["default_provider"] = "own"
    return made


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Engine]]:
    monkeypatch.setenv("PLANO_KEY", KEY)
    with engines("own", "plano") as (own, plano):
        yield own, plano


@pytest.mark.parametrize("mode", ["plano_proxy", "plano_embedded"])
def test_plano_chooses_and_the_own_routes_follow_where_it_is_away(
    pair: tuple[Engine, Engine], clean_environment: Path, mode: str
) -> None:
    own, plano = pair
    write_routing(clean_environment, document(plano, own.entry(), fallback=True, mode=mode))
    with serving() as gateway:
        assert _text(gateway.chat("own")) == "from plano"
        assert plano.requests[-1]["model"] == "openai/own"
        assert _text(gateway.chat("coder")) == "from plano"
        assert (plano.requests[-1]["model"], plano.requests[-1]["top_k"]) == ("none", 7)
        assert _text(gateway.chat("none")) == "from plano"
        bearer = f"Bearer {KEY}" if mode == "plano_proxy" else None
        assert plano.headers[-1].get("authorization") == bearer
        assert not own.requests
        plano.stop()
        assert until(lambda: _text(gateway.chat("own"))) == "from own"
        assert own.requests[-1]["model"] == "own"
        assert _text(gateway.chat("coder")) == "from own"
        assert own.requests[-1]["top_k"] == 7
        plano.start()
        assert until(lambda: _text(gateway.chat("own")) == "from plano")


def test_without_fallback_only_plano_answers_chats(
    pair: tuple[Engine, Engine], clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    own, plano = pair
    path = write_routing(
        clean_environment, document(plano, own.entry(), fallback=False, mode="plano_proxy")
    )
    explained = run_in_process("route", "explain", "coder", "--json").json
    assert explained["chosen"] == "plano" and explained["body"]["model"] == "none"
    assert KEY not in path.read_text()
    with serving() as gateway:
        assert _text(gateway.chat("own")) == "from plano"
        plano.stop()
        assert until(lambda: gateway.chat("own")[0] in (502, 503))
        assert not own.requests


def _text(answer: tuple[int, Any]) -> str | None:
    status, body = answer
    return body["choices"][0]["message"]["content"] if status == 200 else None


@pytest.mark.parametrize(
    ("address", "tier"),
    [
        ("http://127.0.0.1:12000", "local"),
        ("http://[::1]:12000", "local"),
        ("http://10.0.0.7:12000", "self_hosted"),
        ("https://plano.example.com", "third_party"),
    ],
)
def test_plano_is_on_the_machine_that_its_address_says(address: str, tier: str) -> None:
    """As for every other entry: what a third party receives has left the machine."""
    proxy = {"base_url": address}
    made = with_plano(parse({"version": 1, "routing": {"mode": "plano_proxy", "proxy": proxy}}))
    route = made.route(PLANO)
    assert route is not None and route.tier == tier


def test_entries_that_their_owner_named_plano_or_none_are_the_owners(
    pair: tuple[Engine, Engine], clean_environment: Path
) -> None:
    own, plano = pair
    made = document(
        plano, own.entry(), own.entry(name="plano", model="lab/other"), fallback=False,
        mode="plano_proxy",
    )  # fmt: skip
    made["aliases"] = {"none": "plano"}
    file = with_plano(parse({"version": 1, "routing": made}))
    assert file.plano == "plano-2" and with_plano(file) is file
    table = compile_table(file, World())
    assert table.routes["plano"].candidates[-1].served_model is not None
    names = {table.backends[one.backend].name for one in table.routes["none"].candidates}
    assert (table.default, names) == ("plano-2-choice", {"plano-2"})
    write_routing(clean_environment, made)
    with serving() as gateway:
        for name in ("own", "plano", "none", ""):
            assert _text(gateway.chat(name)) == "from plano", name
        assert not own.requests  # without fallback Plano has the choice, also for these names
        health = gateway.get("/health")[1]["backends"]
        assert {row["name"] for row in health} == {"own", "plano", "plano-2"}
