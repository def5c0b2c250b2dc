"""``registry add``, ``show``, ``list``, ``edit``, ``remove``, ``history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import command
from modelscan.cli.registry.access import (
    ContextTokens,
    IfMatch,
    Pairs,
    Quantization,
    ReferenceArgument,
    SlugArgument,
    etags,
    open_registry,
    read_weights,
    reading,
    writing,
)
from modelscan.core.units import GIB

if TYPE_CHECKING:
    import sqlalchemy as sa

    from modelscan.registry.answers import RegistryModelShown

From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="MODEL", help="Read facts: a file, hf:ORG/REPO, a deployment, a model."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "add")(add)
    command(app, "show")(show)
    command(app, "list")(list_)
    command(app, "edit")(edit)
    command(app, "remove")(remove)
    command(app, "rm", hidden=True)(remove)
    command(app, "history")(show_history)


def add(
    context: Context,
    slug: SlugArgument,
    pairs: Pairs = None,
    source: From = None,
    quantization: Quantization = None,
    context_tokens: ContextTokens = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish its first version at once.")
    ] = False,
) -> Document[Any]:
    """Add a model; with --from also its first version, as a draft.

    Private unless visibility=public is given.
    """
    from modelscan.cli.registry.view import model_document
    from modelscan.core.errors import UsageError
    from modelscan.registry.assignments import model_patch
    from modelscan.registry.canonical import merged, read_record
    from modelscan.registry.names import checked_slug
    from modelscan.registry.types import RegistryModelFacts

    checked_slug(slug)
    if source is None and (quantization or context_tokens or publish):
        raise UsageError(
            "--quantization, --context and --publish are about the weights of --from",
            hint=f"modelscan registry add {slug} --from hf:ORG/REPO",
        )
    patch = model_patch(pairs or ())
    facts = None
    if source is not None:
        facts = read_weights(context, source, quantization, context_tokens)
    stated = {"slug": slug, **merged(facts.model if facts else {}, patch)}
    record = read_record(RegistryModelFacts, stated)
    with writing(context) as connection:
        from modelscan.registry.models import create_model
        from modelscan.registry.versions import add_version, publish_version
        from modelscan.state.server.audit import local_user

        create_model(connection, local_user(), record)
        if facts is not None:
            add_version(connection, local_user(), slug, facts.version)
        if publish:
            publish_version(connection, local_user(), slug, 1)
        shown = shown_model(connection, slug)
    notes = []
    if facts is not None and not publish:
        notes.append(f"version 1 is a draft: modelscan registry version publish {slug}@1")
    if facts is None:
        notes.append(f"add its weights: modelscan registry version add {slug} --from MODEL")
    return model_document(shown, facts.warnings if facts else (), notes)


def show(context: Context, reference: ReferenceArgument) -> Document[Any]:
    """Show a model with its versions, or one version."""
    from modelscan.cli.registry.view import model_document, version_document
    from modelscan.registry.names import parse_reference

    parsed = parse_reference(reference)
    with reading(context) as connection:
        from modelscan.registry.resolve import resolve_reference

        if parsed.kind == "default":
            return model_document(shown_model(connection, parsed.slug))
        return version_document(resolve_reference(connection, parsed).version)


def list_(
    context: Context,
    text: Annotated[
        list[str] | None, typer.Argument(help="Words of its name or description.", metavar="[TEXT]")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="One version has this tag; repeatable: all of them."),
    ] = None,
    license: Annotated[
        str | None, typer.Option("--license", metavar="SPDX", help="Only this license.")
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    modality: Annotated[
        str | None, typer.Option("--modality", help="Only with all of these, e.g. text,image.")
    ] = None,
    max_vram: Annotated[
        float | None,
        typer.Option("--max-vram", min=0.0, metavar="GIB", help="Only what needs no more memory."),
    ] = None,
    min_context: Annotated[
        str | None, typer.Option("--min-context", metavar="N", help="Only this context or more.")
    ] = None,
    visibility: Annotated[
        str | None, typer.Option("--visibility", help="Only private or only public models.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="The page after the one that printed it.")
    ] = None,
) -> Document[Any]:
    """List the models of the registry. An unknown value fits no filter."""
    from modelscan.cli.registry.view import list_document
    from modelscan.core.units import parse_least_tokens
    from modelscan.registry.canonical import read_record
    from modelscan.registry.types import RegistryFilter

    values = {
        "tags": tag or [], "license": license, "family": family, "visibility": visibility,
        "modalities": [one.strip() for one in (modality or "").split(",") if one.strip()],
        "max_vram_bytes": None if max_vram is None else round(max_vram * GIB),
        "min_context_tokens": None if min_context is None else parse_least_tokens(min_context),
        "text": " ".join(text) if text else None,
    }  # fmt: skip
    wanted = read_record(RegistryFilter, values)
    with reading(context) as connection:
        from modelscan.registry.answers import RegistryModelList
        from modelscan.registry.search import count_models, search_models

        page = search_models(connection, wanted, limit=limit, cursor=cursor)
        total = count_models(connection, wanted)
    return list_document(RegistryModelList(page.items, total, page.next_cursor))


def edit(
    context: Context,
    reference: ReferenceArgument,
    pairs: Annotated[
        list[str], typer.Argument(help="Fields to set; KEY= removes.", metavar="KEY=VALUE...")
    ],
    if_match: IfMatch = None,
) -> Document[Any]:
    """Change a model; of SLUG@VERSION a draft, or the state of a published version."""
    from modelscan.cli.registry.view import model_document, publishing_notes, version_document
    from modelscan.registry.assignments import model_patch, version_patch
    from modelscan.registry.names import version_reference

    slug, number = version_reference(reference)
    patch = model_patch(pairs) if number is None else version_patch(pairs)
    with writing(context) as connection:
        from modelscan.registry.models import edit_model
        from modelscan.registry.versions import edit_version
        from modelscan.state.server.audit import local_user

        if number is None:
            edit_model(connection, local_user(), slug, patch, etags(if_match))
            model = shown_model(connection, slug)
            notes = publishing_notes(model) if "visibility" in patch else []
            return model_document(model, notes=notes)
        changed = edit_version(connection, local_user(), slug, number, patch, etags(if_match))
    return version_document(changed)


def remove(
    context: Context,
    references: Annotated[
        list[str], typer.Argument(help="Models, or drafts.", metavar="SLUG[@VERSION]...")
    ],
    if_match: IfMatch = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Also with published versions.")] = False,
) -> Document[Any]:
    """Delete models with their versions, or drafts. Weights are not touched."""
    from modelscan.core.errors import UsageError
    from modelscan.registry.names import version_reference

    parsed = [version_reference(one) for one in references]
    with writing(context) as connection:
        from modelscan.registry.answers import RegistryRemoved
        from modelscan.registry.models import delete_model
        from modelscan.registry.stored import find_model
        from modelscan.registry.versions import delete_version
        from modelscan.state.server.audit import local_user

        for slug, number in parsed:
            if number is not None:
                delete_version(connection, local_user(), slug, number, etags(if_match))
                continue
            model = find_model(connection, slug)
            if model.latest_version is not None and not yes:
                raise UsageError(
                    f"'{slug}' has published versions", hint=f"modelscan registry rm {slug} --yes"
                )
            delete_model(connection, local_user(), slug, etags(if_match))
    rows = [(one, "removed") for one in references]
    answer = RegistryRemoved(tuple(references))
    return Document("registry.remove", answer, [Table(("NAME", "STATE"), rows)], references)


def show_history(
    context: Context,
    slug: SlugArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Rows.")] = 100,
) -> Document[Any]:
    """Show what happened to a model, the newest first: who, when, what."""
    from modelscan.cli.registry.view import history_document
    from modelscan.registry.names import version_reference

    name, _ = version_reference(slug)
    with open_registry(context) as database, database.reading() as connection:
        from modelscan.registry.answers import RegistryHistory
        from modelscan.registry.events import history
        from modelscan.registry.stored import find_model

        rows = history(connection, name, limit=limit)
        if not rows:
            find_model(connection, name)
    return history_document(RegistryHistory(name, tuple(rows)))


def shown_model(connection: sa.Connection, slug: str) -> RegistryModelShown:
    """A model with its versions."""
    from modelscan.core.jsonform import from_json, to_json
    from modelscan.registry.answers import RegistryModelShown
    from modelscan.registry.stored import find_model, versions_of

    model = find_model(connection, slug)
    versions = versions_of(connection, slug)
    return from_json(RegistryModelShown, {**to_json(model), "versions": to_json(versions)})
