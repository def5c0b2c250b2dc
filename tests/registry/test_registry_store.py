"""The registry's store: models, immutable versions, labels, events; on both databases' rules."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from modelscan.registry.canonical import etag_of
from modelscan.registry.events import events_after, history, last_event_id
from modelscan.registry.labels import remove_tag, set_alias, set_tag
from modelscan.registry.models import create_model, delete_model, edit_model
from modelscan.registry.names import VersionReference, checked_alias, checked_slug, parse_reference
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.resolve import resolve_reference
from modelscan.registry.search import search_models
from modelscan.registry.stored import find_model, find_version
from modelscan.registry.transfer import exported, imported
from modelscan.registry.types import (
    Lineage,
    RegistryFilter,
    RegistryModel,
    RegistryModelFacts,
    RegistryVersionFacts,
    WeightsFile,
)
from modelscan.registry.versions import (
    add_version,
    delete_version,
    edit_version,
    publish_version,
)
from modelscan.state.server.audit import Actor, broken_at, list_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.registry_tables import MODELS

ANN = Actor("key", "ann")
GIB = 1024**3


def facts(**values: object) -> RegistryVersionFacts:
    plain: dict[str, object] = {"weights_url": "https://huggingface.co/acme/coder"}
    return RegistryVersionFacts(**{**plain, **values})  # type: ignore[arg-type]


def model(connection: sa.Connection, slug: str = "acme/coder", **values: object) -> RegistryModel:
    return create_model(connection, ANN, RegistryModelFacts(slug=slug, **values))  # type: ignore[arg-type]


def refused(error: pytest.ExceptionInfo[RegistryRefused]) -> str:
    return error.value.cause


def test_a_model_is_created_read_edited_and_deleted(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        created = model(connection, license="apache-2.0")
        assert created.visibility == "private" and created.created_by == "ann"
        edited = edit_model(connection, ANN, created.slug, {"family": "qwen3", "license": None})
        assert (edited.family, edited.license) == ("qwen3", None)
        assert edited.etag != created.etag
        with pytest.raises(RegistryRefused) as stale:
            edit_model(connection, ANN, created.slug, {"family": "x"}, {created.etag})
        assert refused(stale) == "stale" and stale.value.etag == edited.etag
        delete_model(connection, ANN, created.slug, {edited.etag})
        with pytest.raises(RegistryRefused) as gone:
            find_model(connection, created.slug)
        assert refused(gone) == "unknown_model"
    with server_database.reading() as connection:
        names = [one.event for one in events_after(connection, 0, limit=10)]
        assert names == ["model.created", "model.updated", "model.deleted"]
        assert broken_at(connection) is None
    actions = [row.action for row in list_audit(server_database, limit=10).changes]
    assert actions == ["registry.model.deleted", "registry.model.updated", "registry.model.created"]


def test_an_etag_is_of_the_stored_row_and_a_change_of_nothing_keeps_it(
    server_database: ServerDatabase,
) -> None:
    with server_database.writing() as connection:
        created = model(connection)
        body = connection.execute(sa.select(MODELS.c.body)).scalar_one()
        assert created.etag == etag_of(body)
        before = last_event_id(connection)
        assert edit_model(connection, ANN, created.slug, {"family": None}) == created
        assert last_event_id(connection) == before


def test_a_published_version_never_changes(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        model(connection, license="mit")
        draft, new = add_version(connection, ANN, "acme/coder", facts(revision="abc"))
        assert (draft.version, draft.state, new) == ("1", "draft", True)
        edit_version(connection, ANN, "acme/coder", 1, {"quantization": "Q4_K_M"})
        published = publish_version(connection, ANN, "acme/coder", 1)
        assert published.published_at is not None
        for patch in ({"quantization": "Q8_0"}, {"notes": "x"}, {"lineage": {"method": "sft"}}):
            with pytest.raises(RegistryRefused) as fixed:
                edit_version(connection, ANN, "acme/coder", 1, patch)
            assert refused(fixed) == "version_published"
        with pytest.raises(RegistryRefused) as kept:
            delete_version(connection, ANN, "acme/coder", 1)
        assert refused(kept) == "version_published"
        with pytest.raises(RegistryRefused) as relied_on:
            edit_model(connection, ANN, "acme/coder", {"license": "apache-2.0"})
        assert refused(relied_on) == "version_published"
        assert edit_model(connection, ANN, "acme/coder", {"visibility": "public"})
        deprecated = edit_version(connection, ANN, "acme/coder", 1, {"state": "deprecated"})
        assert deprecated.state == "deprecated"
        assert find_model(connection, "acme/coder").latest_version is None
        edit_version(connection, ANN, "acme/coder", 1, {"state": "published"})
        assert find_model(connection, "acme/coder").latest_version == "1"


def test_the_same_content_is_the_version_that_is_there(server_database: ServerDatabase) -> None:
    one = WeightsFile(path="a.gguf", size_bytes=10, sha256="a" * 64)
    with server_database.writing() as connection:
        model(connection)
        first, _ = add_version(connection, ANN, "acme/coder", facts(files=(one,)))
        again, new = add_version(
            connection, ANN, "acme/coder", facts(weights_url="https://mirror/x", files=(one,))
        )
        assert again == first and not new
        tuned = facts(files=(one,), lineage=Lineage(base="acme/base@1"))
        other, new = add_version(connection, ANN, "acme/coder", tuned)
        assert other.version == "2" and new
        delete_version(connection, ANN, "acme/coder", 2)
        third, _ = add_version(connection, ANN, "acme/coder", tuned)
        assert third.version == "3"  # a number means one thing for ever


def test_tags_and_aliases_have_events_and_change_the_etag(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        model(connection)
        first, _ = add_version(connection, ANN, "acme/coder", facts())
        before = find_model(connection, "acme/coder").etag
        tagged = set_tag(connection, ANN, "acme/coder", 1, "curated")
        assert tagged.tags == ("curated",) and tagged.tagged[0].by == "ann"
        assert tagged.etag != first.etag
        assert find_model(connection, "acme/coder").etag != before
        assert set_tag(connection, ANN, "acme/coder", 1, "curated") == tagged
        named = set_alias(connection, ANN, "acme/coder", "champion", 1)
        assert named.aliases == {"champion": "1"}
        remove_tag(connection, ANN, "acme/coder", 1, "curated")
        assert find_version(connection, "acme/coder", 1).tags == ()
        with pytest.raises(RegistryRefused) as absent:
            remove_tag(connection, ANN, "acme/coder", 1, "curated")
        assert refused(absent) == "unknown_tag"
        rows = history(connection, "acme/coder", limit=10)
        assert [row.event for row in rows] == [
            "tag.removed", "alias.set", "tag.added", "version.created", "model.created",
        ]  # fmt: skip


def test_filters_are_joined_and_unknown_fits_no_bound(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        model(connection, "acme/small", license="mit", family="qwen3", context_tokens=32768,
              modalities=("text", "image"), description="Writes code in Rust")  # fmt: skip
        model(connection, "acme/large", license="mit", family="llama", context_tokens=8192)
        model(connection, "other/unknown")
        for slug, vram in (("acme/small", 4), ("acme/large", 40), ("other/unknown", None)):
            needed = None if vram is None else vram * GIB
            add_version(connection, ANN, slug, facts(min_vram_bytes=needed))
            set_tag(connection, ANN, slug, 1, "chat")
        set_tag(connection, ANN, "acme/small", 1, "curated")

        def slugs(**values: object) -> list[str]:
            wanted = RegistryFilter(**values)  # type: ignore[arg-type]
            return [one.slug for one in search_models(connection, wanted).items]

        assert slugs() == ["acme/large", "acme/small", "other/unknown"]
        assert slugs(license="mit") == ["acme/large", "acme/small"]
        assert slugs(family="qwen3") == ["acme/small"]
        assert slugs(modalities=("image",)) == ["acme/small"]
        assert slugs(max_vram_bytes=24 * GIB) == ["acme/small"]
        assert slugs(min_context_tokens=8192) == ["acme/large", "acme/small"]
        assert slugs(min_context_tokens=8193) == ["acme/small"]
        assert slugs(tags=("chat",)) == ["acme/large", "acme/small", "other/unknown"]
        assert slugs(tags=("chat", "curated")) == ["acme/small"]
        assert slugs(tags=("chat",), max_vram_bytes=50 * GIB) == ["acme/large", "acme/small"]
        assert slugs(text="rus wri") == ["acme/small"]
        assert slugs(text="acme") == ["acme/large", "acme/small"]
        assert slugs(text="100%_x") == []
        edit_version(connection, ANN, "acme/small", 1, {"min_vram_bytes": None})
        assert slugs(max_vram_bytes=24 * GIB) == []


def test_pages_have_every_model_once(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        for number in range(7):
            model(connection, f"m{number}")
        for order in ("slug", "updated", "created"):
            seen: list[str] = []
            cursor = None
            while True:
                page = search_models(
                    connection, RegistryFilter(), limit=3, cursor=cursor, order=order
                )
                seen += [one.slug for one in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert sorted(seen) == [f"m{n}" for n in range(7)]
        with pytest.raises(RegistryRefused) as wrong:
            search_models(connection, RegistryFilter(), cursor="garbage")
        assert refused(wrong) == "invalid"


def test_many_models_are_imported_with_fresh_statistics(server_database: ServerDatabase) -> None:
    """Without them PostgreSQL searches as if its tables were empty, for about a minute."""
    with server_database.writing() as connection:
        for number in range(600):
            model(connection, f"acme/m{number:03}")
        lines = [one.encode() for one in exported(connection)]
        for number in range(600):
            delete_model(connection, ANN, f"acme/m{number:03}")
    with server_database.writing() as connection:
        assert imported(connection, ANN, lines) == (600, 0, 0)
        if connection.dialect.name == "postgresql":
            known = sa.text(
                "SELECT reltuples FROM pg_class WHERE oid = 'registry_models'::regclass"
            )
            assert connection.execute(known).scalar_one() == 600
        assert [one.encode() for one in exported(connection)] == lines


def test_a_reference_means_one_version(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        model(connection)
        for revision in ("a", "b", "c"):
            add_version(connection, ANN, "acme/coder", facts(revision=revision))

        def resolved(text: str) -> tuple[str, str]:
            found = resolve_reference(connection, parse_reference(text))
            return found.version.version, found.chosen_by

        assert resolved("acme/coder") == ("3", "newest_draft")
        publish_version(connection, ANN, "acme/coder", 1)
        publish_version(connection, ANN, "acme/coder", 2)
        assert resolved("acme/coder") == ("2", "newest_published")
        set_alias(connection, ANN, "acme/coder", "champion", 1)
        assert resolved("registry:acme/coder") == ("1", "champion")
        assert resolved("acme/coder@champion") == ("1", "alias")
        assert resolved("acme/coder@2") == ("2", "version")
        digest = find_version(connection, "acme/coder", 2).digest
        assert resolved(f"acme/coder@sha256:{digest}") == ("2", "digest")
        for text, cause in (
            ("acme/coder@9", "unknown_version"), ("acme/coder@challenger", "unknown_alias"),
            ("acme/codr", "unknown_model"), (f"acme/coder@sha256:{'0' * 64}", "unknown_version"),
        ):  # fmt: skip
            with pytest.raises(RegistryRefused) as error:
                resolved(text)
            assert refused(error) == cause


@pytest.mark.parametrize(
    "text",
    ["", "A/b", "a/b/c", "a b", "../x", "a/versions", "a@", "-a", "a-", "a/", "ü", "x" * 200],
)
def test_slugs_that_are_refused(text: str) -> None:
    with pytest.raises(RegistryRefused):
        parse_reference(text)


@pytest.mark.parametrize("text", ["latest", "LATEST", "v1", "V12", "7", "", "a b", "x" * 256])
def test_aliases_that_are_refused(text: str) -> None:
    with pytest.raises(RegistryRefused):
        checked_alias(text)


def test_names_that_are_fine() -> None:
    assert checked_slug("qwen3-coder.30b_a3b") and checked_slug("acme/coder")
    assert checked_alias("champion") and checked_alias("v1-stable")
    assert parse_reference("a@2") == VersionReference("a", "version", "2")
    assert str(parse_reference("a@sha256:" + "0" * 64)) == "a@sha256:" + "0" * 64
