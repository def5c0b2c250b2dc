"""Roles that require a tag, on a running gateway: the registry's tags decide at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conftest import Ran
from support.served import Served, engines, routed, serving, until, write_routing

from modelscan.registry.labels import remove_tag, set_alias, set_tag
from modelscan.registry.models import create_model
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts
from modelscan.registry.versions import add_version, edit_version, publish_version
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore

ANN = Actor("key", "ann")
ROLE = {"role_id": "safe", "operation": "chat", "routing_policy": {"requires_tags": ["curated"]}}


def stored(home: Path) -> str:
    """Two versions of a model, without tags, and a key whose requests go to the role."""
    with ServerDatabase.open(home / "state") as database:
        with database.writing() as connection:
            create_model(connection, ANN, RegistryModelFacts(slug="acme/one"))
            for number in (1, 2):
                facts = RegistryVersionFacts(weights_url=f"https://huggingface.co/acme/{number}")
                add_version(connection, ANN, "acme/one", facts)
                publish_version(connection, ANN, "acme/one", number)
            set_alias(connection, ANN, "acme/one", "champion", 1)
        limits = KeyLimits(("admin", "infer"), default_route="safe")
        return KeyStore(database).create("tenant", limits)[1]


def served_by(gateway: Served, key: str, model: str | None = "safe") -> str | None:
    """Who answers; None: the role has no candidate."""
    fields = {} if model is None else {"model": model}
    body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    status, answer = gateway.ask("POST", "/v1/chat/completions", body, key)
    return str(answer["choices"][0]["message"]["content"]) if status == 200 else None


def test_only_a_tagged_version_serves_the_role(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    home = clean_environment
    with engines("one", "two") as (one, two):
        first = {**one.entry(), "model": "acme/one@champion"}
        second = {**two.entry(), "model": "acme/one@2"}
        write_routing(home, routed(first, second, roles=[ROLE]))
        key = stored(home)
        with ServerDatabase.open(home / "state") as database, serving() as gateway:

            def change(work: Callable[..., object], *values: object) -> None:
                with database.writing() as connection:
                    work(connection, ANN, "acme/one", *values)

            def tagged() -> set[str]:
                rows = gateway.get("/v1/models?tag=curated", key)[1]["data"]
                return {row["id"] for row in rows} & {"one", "two", "safe"}

            assert served_by(gateway, key) is None
            explained = run_in_process("route", "explain", "safe", "--json").out
            assert explained.count("lacks the tag curated") >= 2
            change(set_tag, 1, "curated")
            assert until(lambda: served_by(gateway, key) == "from one")
            assert served_by(gateway, key, None) == "from one"  # the key's own default
            assert until(lambda: tagged() == {"one", "safe"})
            change(set_tag, 2, "curated")
            change(remove_tag, 1, "curated")
            assert until(lambda: served_by(gateway, key) == "from two")
            change(set_alias, "champion", 2)  # the entry of the alias moves with it
            assert until(lambda: tagged() == {"one", "two", "safe"})
            change(edit_version, 2, {"state": "deprecated"})
            assert until(lambda: served_by(gateway, key) is None)
            assert tagged() == set()
