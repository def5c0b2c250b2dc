"""What is stored between syncs, and what inherits."""

from __future__ import annotations

import os
import time

import pytest

from modelscan.catalog.index import publish
from modelscan.catalog.merge.inherit import inherited, inheriting, stated_facts
from modelscan.catalog.records import FAILED, LIVE, USER, SourceRecord, SourceSnapshot
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.model import Capabilities, Model, TokenLimits
from modelscan.state.paths import paths

BASE = Model(
    id="acme/base", name="Base", license="mit", capabilities=Capabilities(tools=True),
    limits=TokenLimits(context_tokens=4096), modalities_in=("text", "image"), knowledge="2025",
)  # fmt: skip


def heir(key: str, base: str, omit: tuple[str, ...] = (), **facts) -> SourceRecord:
    stated = {**facts, **({"base_model_omit": omit} if omit else {})}
    return SourceRecord(key=key, kind="overlay", canonical=key, base=base, facts=stated)


def facts_of(records: list[SourceRecord], key: str) -> dict:
    made = inherited(records, [BASE, Model(id="me/bot", name="Bot", license="gpl")])
    return next(dict(r.facts) for s in made for r in s.records if r.key == key)


def test_an_heir_takes_every_stated_fact():
    facts = facts_of([heir("me/bot", "acme/base")], "me/bot")
    assert facts == stated_facts(BASE)
    assert facts["limits.context_tokens"] == 4096 and facts["capabilities.tools"] is True
    assert "limits.output_tokens" not in facts and "name" not in facts


@pytest.mark.parametrize(
    ("word", "gone"),
    [
        ("limit", ["limits.context_tokens"]),
        ("tool_call", ["capabilities.tools"]),
        ("modalities", ["modalities_in"]),
        ("knowledge", ["knowledge"]),
        ("license", ["license"]),
    ],
)
def test_what_is_omitted_is_not_inherited(word, gone):
    facts = facts_of([heir("me/bot", "acme/base", (word,))], "me/bot")
    assert set(stated_facts(BASE)) - set(facts) == set(gone)


def test_an_heir_of_an_heir_sees_the_nearer_value():
    records = [heir("me/bot", "acme/base", license="gpl"), heir("me/second", "me/bot")]
    facts = facts_of(records, "me/second")
    assert facts["license"] == "gpl" and facts["limits.context_tokens"] == 4096


@pytest.mark.parametrize("base", ["no/such", "me/bot"])
def test_impossible_bases(base):
    records = [heir("me/bot", "me/other"), heir("me/other", base)]
    known = [BASE, Model(id="me/bot", name="b"), Model(id="me/other", name="o")]
    with pytest.raises(UsageError, match=r"not in the catalog|cycle"):
        inherited(records, known)


def test_only_the_users_own_records_inherit():
    record = heir("me/bot", "acme/base")
    assert inheriting([SourceSnapshot("models.dev", None, (record,))]) == []
    assert inheriting([SourceSnapshot(USER, None, (record,))]) == [record]


@pytest.fixture
def bundle(monkeypatch):
    found: dict[str, SourceSnapshot] = {}
    monkeypatch.setattr(publish, "bundled_snapshots", lambda: dict(found))
    return found


def snapshot(source: str, when: str | None, *keys: str, state: str = LIVE) -> SourceSnapshot:
    records = tuple(SourceRecord(key=k, kind="model", canonical=k, facts={"name": k}) for k in keys)
    return SourceSnapshot(source, when, records, state=state)


def keys(source: str) -> list[str]:
    return [r.key for r in publish.stored_snapshots(paths())[source].records]


def test_a_newer_release_brings_newer_data(bundle):
    bundle["models.dev"] = snapshot("models.dev", "2026-01-01T00:00:00Z", "a/old")
    publish.publish(paths(), [snapshot("models.dev", "2026-02-01T00:00:00Z", "a/synced")])
    assert keys("models.dev") == ["a/synced"]
    bundle["models.dev"] = snapshot("models.dev", "2026-03-01T00:00:00Z", "a/new")
    assert keys("models.dev") == ["a/new"]


def test_a_failure_marks_the_source_and_keeps_what_another_command_stored(bundle):
    publish.publish(paths(), [snapshot("models.dev", "2026-02-01T00:00:00Z", "a/b")])
    failed = SourceSnapshot("models.dev", None, (), state=FAILED, error="it broke")
    publish.publish(paths(), [failed])
    kept = publish.stored_snapshots(paths())["models.dev"]
    assert (kept.state, kept.error, keys("models.dev")) == (FAILED, "it broke", ["a/b"])
    publish.publish(paths(), [snapshot("models.dev", "2026-02-02T00:00:00Z", "a/b")])
    assert publish.stored_snapshots(paths())["models.dev"].error is None


def test_leftovers_of_killed_commands_are_swept_when_old(bundle):
    publish.publish(paths(), [snapshot("models.dev", "2026-02-01T00:00:00Z", "a/b")])
    old = paths().catalog_dir / ".index.sqlite3.abc.tmp"
    young = publish.snapshots_dir(paths()) / ".models.dev.json.gz.x.tmp"
    answer = paths().catalog_dir / "http" / "0011.body"
    answer.parent.mkdir()
    for file in (old, young, answer):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    os.utime(answer, (time.time() - 7200,) * 2)
    publish.publish(paths(), [])
    assert not old.exists() and young.exists() and answer.exists()
    os.utime(answer, (time.time() - 15 * 86_400,) * 2)
    publish.publish(paths(), [])
    assert not answer.exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(bundle):
    paths().cache.parent.mkdir(parents=True, exist_ok=True)
    paths().cache.write_text("a file where a folder should be")
    with pytest.raises(ModelscanError, match="cannot write"):
        publish.prepare(paths())
