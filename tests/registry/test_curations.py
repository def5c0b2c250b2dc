"""Two curators, a bot and an intruder: every way to give a version a tag under a policy."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from modelscan.registry.curation import Curation, same_person
from modelscan.registry.curation_store import find_curation, steps_of, stored_curations
from modelscan.registry.curations import (
    approve,
    facts_digest,
    propose,
    reassess,
    reject,
    void_if_changed,
)
from modelscan.registry.events import events_after
from modelscan.registry.models import create_model, delete_model
from modelscan.registry.policy import BUILT_IN, GateRule, TagPolicies, TagPolicy, check_free
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.result_store import GivenResults, store_results
from modelscan.registry.results import MeasuredSubject, ReportedResult
from modelscan.registry.stored import find_version
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts, WeightsFile
from modelscan.registry.versions import add_version, delete_version, edit_version, publish_version
from modelscan.state.server.audit import Actor, broken_at
from modelscan.state.server.curation_tables import CURATION_STEPS
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore

BOT, ANN, BEN = (Actor("key", name) for name in ("bot", "ann", "ben"))
SLUG = "acme/coder"
DAY = 86_400.0
GATE = GateRule("suite", "coding", "accuracy", ">=", 0.6, max_age_s=30 * DAY)
GATED = TagPolicies({"curated": TagPolicy("curated", gates=(GATE,))})
STRICT = TagPolicies({"curated": TagPolicy("curated", gates=(GATE,), withdraw=True)})
NOW = time.time()


@pytest.fixture
def registry(server_database: ServerDatabase) -> ServerDatabase:
    """A draft version, and keys of the people who may curate."""
    for name in ("bot", "ann", "ben"):
        KeyStore(server_database).create(name, KeyLimits(scopes=("curator",)))
    facts = RegistryVersionFacts(
        weights_url="https://hub.test/acme/coder",
        quantization="Q4_K_M",
        files=(WeightsFile(path="coder.gguf", sha256="a" * 64),),
    )
    with server_database.writing() as connection:
        create_model(connection, ANN, RegistryModelFacts(slug=SLUG))
        add_version(connection, ANN, SLUG, facts)
    return server_database


def proposed(
    database: ServerDatabase, policies: TagPolicies = BUILT_IN, who: Actor = BOT
) -> Curation:
    with database.writing() as connection:
        return propose(connection, who, SLUG, 1, "curated", policies, NOW)


def approved(
    database: ServerDatabase, name: str, who: Actor, policies: TagPolicies = BUILT_IN,
    now: float = NOW,
) -> Curation:  # fmt: skip
    with database.writing() as connection:
        return approve(connection, who, name, policies, now)


def tags(database: ServerDatabase) -> tuple[str, ...]:
    with database.reading() as connection:
        return find_version(connection, SLUG, 1).tags


def measured(database: ServerDatabase, report: str, accuracy: float, age_s: float = 0.0) -> None:
    one = ReportedResult(
        id=report, report_id=report, kind="suite", name="coding", digest="1", hardware="CPU",
        observed_at=NOW - age_s, concurrency=None, metrics={"accuracy": accuracy},
    )  # fmt: skip
    subject = MeasuredSubject(model=None, revision=None, sha256="a" * 64, quantization="Q4_K_M")
    given = GivenResults(report_id=report, document=report, subject=subject, results=(one,))
    with database.writing() as connection:
        store_results(connection, BOT, given)


def cause(act: Callable[[], object]) -> str:
    with pytest.raises(RegistryRefused) as refused:
        act()
    return refused.value.cause


def test_two_other_people_approve(registry: ServerDatabase) -> None:
    one = proposed(registry)
    assert (one.state, one.tagged, one.approvals) == ("proposed", False, ())
    assert cause(lambda: approved(registry, one.id, BOT)) == "same_person"
    first = approved(registry, one.id, ANN)
    assert first.state == "proposed" and tags(registry) == ()
    assert cause(lambda: approved(registry, one.id, ANN)) == "same_person"
    done = approved(registry, one.id, BEN)
    assert (done.state, done.tagged) == ("approved", True)
    assert [row.by.name for row in done.approvals] == ["ann", "ben"]
    assert tags(registry) == ("curated",)
    assert cause(lambda: approved(registry, one.id, Actor("key", "eve"))) == "closed"
    with registry.reading() as connection:
        names = [row.event for row in events_after(connection, 0, limit=100)]
        assert broken_at(connection) is None
    assert names[-5:] == [
        "curation.proposed", "curation.approval", "curation.approval", "tag.added",
        "curation.approved",
    ]  # fmt: skip


def test_an_account_is_one_person_on_every_machine() -> None:
    lars, elsewhere = Actor("user", "lars@a"), Actor("user", "lars@b")
    assert same_person(lars, elsewhere) and not same_person(lars, Actor("user", "larson@a"))
    assert not same_person(lars, Actor("key", "lars@a"))  # a key is what it is called


def test_approvals_of_revoked_keys_do_not_count(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    KeyStore(registry).revoke("ann")
    after = approved(registry, one.id, BEN)
    assert after.state == "proposed" and tags(registry) == ()
    KeyStore(registry).create("cat", KeyLimits(scopes=("curator",)))
    assert approved(registry, one.id, Actor("key", "cat")).state == "approved"


def test_a_gate_that_is_not_met_refuses_every_approval(registry: ServerDatabase) -> None:
    one = proposed(registry, GATED)
    assert [gate.met for gate in one.gates] == [False]
    with pytest.raises(RegistryRefused) as refused:
        approved(registry, one.id, ANN, GATED)
    assert refused.value.cause == "gate_not_met"
    (gate,) = refused.value.details["gates"]
    assert (gate["workload"], gate["threshold"], gate["observed"]) == ("coding", 0.6, None)
    measured(registry, "e-1", 0.41)
    with pytest.raises(RegistryRefused) as refused:
        approved(registry, one.id, ANN, GATED)
    (gate,) = refused.value.details["gates"]
    assert (gate["observed"], gate["eval_id"], gate["met"]) == (0.41, "e-1", False)
    measured(registry, "e-2", 0.8)
    approved(registry, one.id, ANN, GATED)
    done = approved(registry, one.id, BEN, GATED)
    assert done.state == "approved" and done.gates[0].eval_id == "e-2"


def test_a_result_that_is_too_old_does_not_count(registry: ServerDatabase) -> None:
    one = proposed(registry, GATED)
    measured(registry, "e-1", 0.9, age_s=31 * DAY)
    assert cause(lambda: approved(registry, one.id, ANN, GATED)) == "gate_not_met"


@pytest.mark.parametrize("withdraw", [False, True])
def test_a_regression_is_flagged(registry: ServerDatabase, withdraw: bool) -> None:
    policies = STRICT if withdraw else GATED
    measured(registry, "e-1", 0.8, age_s=60)
    one = proposed(registry, policies)
    approved(registry, one.id, ANN, policies)
    approved(registry, one.id, BEN, policies)
    measured(registry, "e-2", 0.3)
    with registry.writing() as connection:
        after = reassess(connection, BOT, find_curation(connection, one.id), policies, NOW)
        assert after is not None and after.flagged is not None
        assert "accuracy is 0.3, not >= 0.6" in after.flagged.reason
        assert reassess(connection, BOT, after, policies, NOW) is None  # once
    assert tags(registry) == (() if withdraw else ("curated",))
    with registry.reading() as connection:
        names = {row.event for row in events_after(connection, 0, limit=100)}
    assert "curation.flagged" in names
    assert ("curation.withdrawn" in names) == withdraw


def test_an_age_flags_and_a_new_result_clears(registry: ServerDatabase) -> None:
    measured(registry, "e-1", 0.8)
    one = proposed(registry, GATED)
    approved(registry, one.id, ANN, GATED)
    approved(registry, one.id, BEN, GATED)
    with registry.writing() as connection:
        curation = find_curation(connection, one.id)
        assert reassess(connection, BOT, curation, GATED, NOW + 29 * DAY) is None
        old = reassess(connection, BOT, curation, GATED, NOW + 31 * DAY)
        assert old is not None and old.flagged is not None
    measured(registry, "e-2", 0.9, age_s=-60)
    with registry.writing() as connection:
        cleared = reassess(connection, BOT, old, GATED, NOW + 120)
        assert cleared is not None and cleared.flagged is None and cleared.tagged


def test_an_edit_after_an_approval_voids_it(registry: ServerDatabase) -> None:
    one = proposed(registry)
    with registry.writing() as connection:  # before any approval it changes nothing
        edit_version(connection, BOT, SLUG, 1, {"notes": "better"})
    approved(registry, one.id, ANN)
    with registry.writing() as connection:
        edit_version(connection, BOT, SLUG, 1, {"notes": "other weights"})
    assert cause(lambda: approved(registry, one.id, BEN)) == "closed"
    with registry.reading() as connection:
        after = find_curation(connection, one.id)
    assert (after.state, after.reason) == ("void", "the version was changed after an approval")
    assert tags(registry) == ()


def test_an_edit_of_a_tagged_draft_takes_the_tag(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    approved(registry, one.id, BEN)
    with registry.writing() as connection:
        edit_version(connection, BOT, SLUG, 1, {"weights_url": "https://evil.test/coder"})
    assert tags(registry) == ()
    with registry.reading() as connection:
        assert find_curation(connection, one.id).state == "void"


def test_publishing_voids_nothing(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    with registry.writing() as connection:
        publish_version(connection, BOT, SLUG, 1)
    assert approved(registry, one.id, BEN).state == "approved"


def test_a_deleted_version_cannot_be_approved(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    with registry.writing() as connection:
        delete_version(connection, BOT, SLUG, 1)
        assert void_if_changed(connection, BEN, one.id).state == "void"
    two_cause = cause(lambda: approved(registry, one.id, BEN))
    assert two_cause in ("closed", "unknown_version")


def test_a_model_of_the_same_name_is_not_curated(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    approved(registry, one.id, BEN)
    with registry.writing() as connection:
        delete_model(connection, ANN, SLUG)
        create_model(connection, BOT, RegistryModelFacts(slug=SLUG))
        add_version(connection, BOT, SLUG, RegistryVersionFacts(weights_url="https://evil.test/m"))
        assert void_if_changed(connection, ANN, one.id).state == "void"
    assert tags(registry) == ()


def test_results_of_other_weights_do_not_count(registry: ServerDatabase) -> None:
    measured(registry, "e-1", 0.9)
    with registry.writing() as connection:
        edit_version(connection, BOT, SLUG, 1, {"weights_url": "https://evil.test/m", "files": []})
    one = proposed(registry, GATED)
    assert [gate.observed for gate in one.gates] == [None]


def test_a_rejection_has_a_reason_and_is_final(registry: ServerDatabase) -> None:
    one = proposed(registry)
    for reason in ("", "  ", "x" * 2000):
        with registry.writing() as connection:
            assert cause(lambda r=reason: reject(connection, ANN, one.id, r)) == "invalid"
    with registry.writing() as connection:
        after = reject(connection, ANN, one.id, "no licence")
    assert (after.state, after.reason) == ("rejected", "no licence")
    assert cause(lambda: approved(registry, one.id, BEN)) == "closed"
    again = proposed(registry)  # a new proposal is possible
    assert again.id != one.id


def test_an_approved_tag_can_be_taken_away(registry: ServerDatabase) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    approved(registry, one.id, BEN)
    with registry.writing() as connection:
        after = reject(connection, ANN, one.id, "it leaks")
    assert (after.state, after.tagged, tags(registry)) == ("rejected", False, ())


def test_what_cannot_be_proposed(registry: ServerDatabase) -> None:
    one = proposed(registry)
    assert cause(lambda: proposed(registry, who=ANN)) == "exists"
    approved(registry, one.id, ANN)
    approved(registry, one.id, BEN)
    assert cause(lambda: proposed(registry)) == "exists"
    with registry.writing() as connection:
        act = lambda tag, number=1: propose(connection, BOT, SLUG, number, tag, BUILT_IN, NOW)  # noqa: E731
        assert cause(lambda: act("fast")) == "invalid"
        assert cause(lambda: act("curated", 9)) == "unknown_version"
        assert cause(lambda: approve(connection, ANN, "c-none", BUILT_IN, NOW)) == (
            "unknown_curation"
        )


def test_a_tag_under_a_policy_is_not_free() -> None:
    assert cause(lambda: check_free(BUILT_IN, "curated", SLUG, "1")) == "policy"
    check_free(BUILT_IN, "fast", SLUG, "1")


@pytest.mark.parametrize("statement", ["update", "delete", "delete all", "truncate"])
def test_the_record_is_only_added_to(registry: ServerDatabase, statement: str) -> None:
    one = proposed(registry)
    approved(registry, one.id, ANN)
    own = CURATION_STEPS.c.curation == one.id
    statements = {
        "update": sa.update(CURATION_STEPS).where(own).values(actor="eve"),
        "delete": sa.delete(CURATION_STEPS).where(own),
        "delete all": sa.delete(CURATION_STEPS),
        "truncate": sa.text("TRUNCATE curation_steps"),
    }
    if statement == "truncate" and registry.file is not None:
        pytest.skip("SQLite has no TRUNCATE")
    before = record(registry, one.id)
    with pytest.raises(Exception, match="only ever added"), registry.writing() as connection:
        connection.execute(statements[statement])
    assert record(registry, one.id) == before


def record(database: ServerDatabase, name: str) -> object:
    with database.reading() as connection:
        assert stored_curations(connection)
        return steps_of(connection, name)


def test_facts_without_who_and_when(registry: ServerDatabase) -> None:
    """The digest of facts does not change by tags, aliases or publishing."""
    with registry.writing() as connection:
        before = facts_digest(find_version(connection, SLUG, 1))
        publish_version(connection, BOT, SLUG, 1)
        assert facts_digest(find_version(connection, SLUG, 1)) == before
