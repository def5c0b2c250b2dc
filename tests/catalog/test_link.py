"""Which records belong together, by which rule, and what is never guessed."""

from __future__ import annotations

import pytest
from support.catalog_facts import curated, repo, row, snapshot, world

from modelscan.catalog.link.join import Grouping, link
from modelscan.catalog.link.rules import Linker
from modelscan.catalog.records import MODELSDEV, SourceRecord

REPOS = {
    "AcmeAI/Rocket-2-8B": 900,
    "AcmeAI/Rocket-2-70B-Instruct": 500,
    "AcmeAI/Rocket-2-70B": 100,
    "AcmeAI/Acme-Comet-3B-v0.1": 10,
    "AcmeAI/Comet-24B-Instruct-2506": 10,
    "AcmeAI/Comet-24B-Instruct-2503": 10,
    "acme-old/Rocket-2-8B": 5,
    "BoltLabs/Zap-1.5-30B-A3B": 10,
    "someone/Rocket-2-8B-Pirate": 1,
    "packer/Rocket-2-8B": 1,
    "AcmeAI/Spark-3-3B-Instruct-2512": 5,
    "AcmeAI/Spark-3-14B-Instruct-2512": 5,
}


@pytest.mark.parametrize(
    ("identifier", "display", "expected", "rule"),
    [
        ("host/AcmeAI/Rocket-2-8B", None, "AcmeAI/Rocket-2-8B", "exact"),
        ("host/someone/rocket-2-8b-pirate", None, "someone/Rocket-2-8B-Pirate", "exact"),
        ("host/rocket-2-8b", None, "AcmeAI/Rocket-2-8B", "name"),
        ("host/acme.rocket2-8b-v1:0", None, "AcmeAI/Rocket-2-8B", "name"),
        ("host/@cf/acmeai/rocket-2-8b-fp8", None, "AcmeAI/Rocket-2-8B", "name"),
        ("host/rocket-2-8b-free", None, "AcmeAI/Rocket-2-8B", "decoration"),
        ("host/rocket-2:8b", None, "AcmeAI/Rocket-2-8B", "name"),
        ("host/r2", "Rocket 2 8B (free)", "AcmeAI/Rocket-2-8B", "display name"),
        ("host/acme/comet-2506", None, "AcmeAI/Comet-24B-Instruct-2506", "completion"),
        ("host/acme/comet-3b", None, "AcmeAI/Acme-Comet-3B-v0.1", "completion"),
        ("host/zap-1.5-30b", None, "BoltLabs/Zap-1.5-30B-A3B", "completion"),
        ("host/rocket-2-70b-turbo", None, "AcmeAI/Rocket-2-70B-Instruct", "decoration"),
        ("host/bolt/30b-zap-1.5-a3b", None, "BoltLabs/Zap-1.5-30B-A3B", "word order"),
        ("host/acme/v0.1-comet-3b", None, "AcmeAI/Acme-Comet-3B-v0.1", "word order"),
        ("host/accounts/host/models/zap-v1.5-30b-a3b", None, "BoltLabs/Zap-1.5-30B-A3B", "name"),
        (
            "acme-cloud/accounts/acme/models/zap-1.5-30b",
            None,
            "BoltLabs/Zap-1.5-30B-A3B",
            "completion",
        ),
        ("host/acme-ai/comet-2506", None, "AcmeAI/Comet-24B-Instruct-2506", "completion"),
        ("host/acme/spark-3b-2512", None, "AcmeAI/Spark-3-3B-Instruct-2512", "completion"),
    ],
)
def test_rules(identifier: str, display: str | None, expected: str, rule: str) -> None:
    """Each rule finds what only it can find, and says its name."""
    found = Linker(REPOS, curated()).link(identifier, display=display, provider=True)
    assert found is not None
    assert (found.repo, found.rule) == (expected, rule)


@pytest.mark.parametrize(
    ("identifier", "display"),
    [
        ("host/rocket-latest", None),
        ("host/rocket-2", "Rocket 2 (latest)"),
        ("host/rocket-chat", None),
        ("host/acme/comet-24b", None),  # two dates fit
        ("host/acme/comet-2412", "Comet 24B Instruct"),  # another date than any
        ("host/rocket-3-8b", None),
        ("host/rocket-2-8b-pro", None),
        ("host/rocket", None),
        ("host/pirate/rocket-2-70b-uncensored", None),
        ("host/rocket-chat-cheaper", "Rocket 2 8B"),  # moving, however it is served
        ("host/acme/comet-3b-v0", None),  # another version
        ("host/acme/comet-3b-v0.0", "Comet 3B"),
        ("host/acme/rocket-2-13b", "Rocket 2 8B"),  # another size
        ("host/acme/spark-3b", None),  # no Spark 3 of 3B: the 3 would be a version
    ],
)
def test_what_is_not_linked(identifier: str, display: str | None) -> None:
    """Moving names, ambiguous ones, other versions and other models."""
    assert Linker(REPOS, curated()).link(identifier, display=display, provider=True) is None


def test_closed_models_are_linked_by_exact_names_only() -> None:
    """``-turbo`` of a closed model is another model, not the open one served faster."""
    linker = Linker(REPOS, curated())
    assert linker.link("host/comet-2506", open_weights=False, provider=True) is None
    exact = linker.link("host/rocket-2-8b", open_weights=False, provider=True)
    assert exact is not None and exact.rule == "name"


def test_a_closed_canonical_id_is_no_open_model_served_fast() -> None:
    """Rows of that name follow it, whatever is left of the name without ``-turbo``."""
    rows = [
        row("acme/rocket-2-8b-turbo", canonical="acme/rocket-2-8b-turbo", open_weights=False),
        row("host/rocket-2-8b-turbo", open_weights=False),
        row("host/zap-1.5-30b-a3b-turbo", open_weights=False),
    ]
    snapshots = [snapshot(MODELSDEV, *rows), snapshot("llmfit", *(repo(name) for name in REPOS))]
    groups = {m.record.key: g for g in link(snapshots, curated()) for m in g.members}
    assert groups["host/rocket-2-8b-turbo"].id == "acme/rocket-2-8b-turbo"
    assert groups["host/rocket-2-8b-turbo"].links == {}
    assert groups["host/zap-1.5-30b-a3b-turbo"].repos == ("BoltLabs/Zap-1.5-30B-A3B",)


def test_what_one_row_states_holds_for_rows_of_the_same_name() -> None:
    """Unless rows of that name state different models, or the name moves."""
    rows = [
        row("one/acme/rocket-two", canonical="acme/rocket-2-8b"),
        row("two/acme/rocket-two", open_weights=False),
        row("three/acme/rocket-two:free"),
        row("one/rocket-small", canonical="acme/rocket-2-8b"),
        row("two/rocket-small", canonical="acme/rocket-2-70b-instruct"),
        row("three/rocket-small"),
        row("one/rocket-latest", canonical="acme/rocket-2-8b"),
        row("two/rocket-latest"),
    ]
    snapshots = [snapshot(MODELSDEV, *rows), snapshot("llmfit", *(repo(name) for name in REPOS))]
    found = {m.record.key: g.id for g in link(snapshots, curated()) for m in g.members}
    assert found["two/acme/rocket-two"] == found["three/acme/rocket-two:free"] == "acme/rocket-2-8b"
    assert found["three/rocket-small"] == "acme/rocket-small"
    assert found["two/rocket-latest"] == "acme/rocket-latest"


def test_one_model_out_of_every_source() -> None:
    """Rows, recipe, original and conversions meet; strangers and moving names stay apart."""
    groups = {group.id: group for group in link(world(), curated())}
    rocket = groups["acme/rocket-2-8b"]
    assert {m.record.key for m in rocket.members} == {
        "acme/rocket-2-8b",
        "cheap/acmeai/rocket-2-8b:free",
        "Rocket-2-8B",
        "AcmeAI/Rocket-2-8B",
        "packer/Rocket-2-8B-GGUF",
        "packer/Rocket-2-8B-AWQ",
    }
    assert rocket.links == {"AcmeAI/Rocket-2-8B": "name"}
    assert {"acme/rocket-latest", "acme/rocket-max", "cheap/unheard-of"} <= set(groups)
    assert "someone/rocket-2-8b-pirate" in groups


def test_every_record_is_in_exactly_one_group() -> None:
    """Nothing is lost and nothing is counted twice."""
    grouped = [(m.source, m.record.key) for g in link(world(), curated()) for m in g.members]
    stated = [(s.source, r.key) for s in world() for r in s.records]
    assert sorted(grouped) == sorted(stated)


def test_two_canonical_ids_may_share_weights() -> None:
    """Both name the repository; the one that is called so owns it."""
    rows = [
        row("acme/rocket-2-8b", "Rocket 2 8B", "acme/rocket-2-8b"),
        row("acme/rocket-2-8b-highspeed", "Rocket 2 8B Highspeed", "acme/rocket-2-8b-highspeed"),
    ]
    groups = link(
        [snapshot(MODELSDEV, *rows), snapshot("llmfit", repo("AcmeAI/Rocket-2-8B"))], curated()
    )
    found = {g.id: (g.primary, g.links) for g in groups}
    assert found["acme/rocket-2-8b"] == (True, {"AcmeAI/Rocket-2-8B": "name"})
    assert found["acme/rocket-2-8b-highspeed"] == (False, {"AcmeAI/Rocket-2-8B": "decoration"})


def test_the_model_that_is_called_like_the_weights_owns_them() -> None:
    """Also where another id's link is surer: models.dev says what a moving name means today."""
    chat = SourceRecord(
        "acme/rocket-chat", "model", "Rocket Chat", "acme/rocket-chat",
        repos=("AcmeAI/Rocket-2-8B",),
    )  # fmt: skip
    rows = [row("acme/rocket-2-8b", "Rocket 2 8B", "acme/rocket-2-8b")]
    groups = link(
        [snapshot(MODELSDEV, chat, *rows), snapshot("llmfit", repo("AcmeAI/Rocket-2-8B"))],
        curated(),
    )
    found = {g.id: (g.primary, g.links) for g in groups}
    assert found["acme/rocket-chat"] == (False, {"AcmeAI/Rocket-2-8B": "weights"})
    assert found["acme/rocket-2-8b"] == (True, {"AcmeAI/Rocket-2-8B": "name"})


def test_rows_that_spell_the_repository_out_decide() -> None:
    """Two providers of three name the weights that the canonical id alone does not give."""
    rows = [
        row("one/AcmeAI/Rocket-2-70B-Instruct", "Big", "acme/rocket-70b"),
        row("two/AcmeAI/Rocket-2-70B-Instruct", "Big", "acme/rocket-70b"),
        row("three/r70", "Big", "acme/rocket-70b"),
    ]
    snapshots = [snapshot(MODELSDEV, *rows), snapshot("llmfit", *(repo(name) for name in REPOS))]
    groups = {g.id: g for g in link(snapshots, curated())}
    assert groups["acme/rocket-70b"].links == {"AcmeAI/Rocket-2-70B-Instruct": "rows agree"}


@pytest.mark.parametrize(
    ("name", "base", "why"),
    [
        ("packer/Rocket-2-8B-GGUF", "AcmeAI/Rocket-2-8B", "quantization suffix"),
        ("stranger/Rocket-2-8B-AWQ", "AcmeAI/Rocket-2-8B", "quantization suffix"),
        ("packer/Rocket-2-8B", "AcmeAI/Rocket-2-8B", "same name"),
        ("acme-old/Rocket-2-8B", "AcmeAI/Rocket-2-8B", "same name"),
        ("someone/Rocket-2-8B-Pirate", "someone/Rocket-2-8B-Pirate", "repository"),
        ("AcmeAI/Rocket-2-8B", "AcmeAI/Rocket-2-8B", "repository"),
    ],
)
def test_what_weights_were_made_from(name: str, base: str, why: str) -> None:
    """Conversions and copies lead to the original; fine-tunes are models of their own."""
    grouping = Grouping([snapshot("llmfit", *(repo(n) for n in (*REPOS, name)))], curated())
    assert grouping.base_of(name) == (base, why)


def test_stated_bases_win_and_circles_end() -> None:
    """A list may say what a repository was made from; two that name each other do not hang."""
    records = [repo("a/One", base="b/Two"), repo("b/Two", base="a/One"), repo("c/X", base="d/Y")]
    grouping = Grouping([snapshot("xinference", *records)], curated())
    assert grouping.base_of("c/X") == ("d/Y", "stated base")
    assert grouping.base_of("a/One")[0] in {"a/One", "b/Two"}
