"""``registry version``, ``registry tag`` and ``registry alias``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.cli.registry.access import (
    ContextTokens,
    IfMatch,
    Pairs,
    Quantization,
    ReferenceArgument,
    SlugArgument,
    VersionArgument,
    etags,
    open_registry,
    read_weights,
    writing,
)
from modelscan.cli.registry.models import From, shown_model

versions = group("Add and publish versions of a model.")
tags = group("Tag versions, and take tags back.")
aliases = group("Let names such as champion mean a version.")
TagName = Annotated[str, typer.Argument(help="The tag.", metavar="TAG")]
AliasName = Annotated[
    str, typer.Argument(help="champion, challenger, previous, …", metavar="ALIAS")
]


@command(versions, "add")
def add_version(
    context: Context,
    slug: SlugArgument,
    pairs: Pairs = None,
    source: From = None,
    quantization: Quantization = None,
    context_tokens: ContextTokens = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", help="What it was made from: SLUG@VERSION or MODEL."
        ),
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it at once.")] = False,
) -> Document[Any]:
    """Add a draft; the same content is the version that is there.

    --from a folder or run.json of a training: with its adapter, its base and what it kept.
    """
    from modelscan.cli.registry.view import version_document
    from modelscan.core.jsonform import to_json
    from modelscan.registry.assignments import version_patch
    from modelscan.registry.canonical import merged, read_record
    from modelscan.registry.types import RegistryVersionFacts

    patch = version_patch(pairs or ())
    stated: Any = {}
    warnings: tuple[str, ...] = ()
    if source is not None and (tuned := _fine_tuned(context, source, base)) is not None:
        stated = tuned
    elif source is not None:
        read = read_weights(context, source, quantization, context_tokens)
        stated, warnings = to_json(read.version), read.warnings
    facts = read_record(RegistryVersionFacts, merged(stated, patch))
    with writing(context) as connection:
        from modelscan.registry.versions import add_version as store
        from modelscan.registry.versions import publish_version
        from modelscan.state.server.audit import local_user

        version, new = store(connection, local_user(), slug, facts)
        if publish:
            number = int(version.version)
            version = publish_version(connection, local_user(), slug, number)
    notes = [] if new else [f"{version.name} has this content already"]
    if version.state == "draft":
        notes.append(f"publish it: modelscan registry version publish {version.name}")
    return version_document(version, warnings, notes)


def _fine_tuned(context: Context, source: str, base: str | None) -> Any:
    """The facts of a training's result, as JSON; None where ``source`` is another MODEL."""
    from modelscan.core.jsonform import to_json
    from modelscan.promotion.fine_tune import facts_from, is_fine_tune

    if not is_fine_tune(source, base):
        return None
    with open_registry(context) as database, context.output.status(f"reading {source}"):
        return to_json(facts_from(Path(source), base, context.config, database))


@command(versions, "publish")
def publish(context: Context, version: VersionArgument, if_match: IfMatch = None) -> Document[Any]:
    """Publish a draft: its facts never change again."""
    from modelscan.cli.registry.view import version_document

    slug, number = _version(version)
    with writing(context) as connection:
        from modelscan.registry.versions import publish_version
        from modelscan.state.server.audit import local_user

        published = publish_version(connection, local_user(), slug, number, etags(if_match))
    return version_document(published)


@command(tags, "add")
def add_tag(context: Context, reference: ReferenceArgument, tag: TagName) -> Document[Any]:
    """Tag a version; without @VERSION the one that `registry resolve` names."""
    return _tag(context, reference, tag, remove=False)


@command(tags, "rm")
def remove_tag(context: Context, reference: ReferenceArgument, tag: TagName) -> Document[Any]:
    """Take a tag back."""
    return _tag(context, reference, tag, remove=True)


@command(aliases, "set")
def set_alias(
    context: Context,
    slug: SlugArgument,
    alias: AliasName,
    version: Annotated[str, typer.Argument(help="A version's number.", metavar="VERSION")],
    if_match: IfMatch = None,
) -> Document[Any]:
    """Let an alias mean a version, from now on."""
    from modelscan.cli.registry.view import model_document
    from modelscan.registry.names import checked_version

    with writing(context) as connection:
        from modelscan.registry import labels
        from modelscan.state.server.audit import local_user

        number = checked_version(version)
        labels.set_alias(connection, local_user(), slug, alias, number, etags(if_match))
        return model_document(shown_model(connection, slug))


@command(aliases, "rm")
def remove_alias(
    context: Context, slug: SlugArgument, alias: AliasName, if_match: IfMatch = None
) -> Document[Any]:
    """Delete an alias."""
    from modelscan.cli.registry.view import model_document

    with writing(context) as connection:
        from modelscan.registry import labels
        from modelscan.state.server.audit import local_user

        labels.remove_alias(connection, local_user(), slug, alias, etags(if_match))
        return model_document(shown_model(connection, slug))


def _version(text: str) -> tuple[str, int]:
    from modelscan.core.errors import UsageError
    from modelscan.registry.names import version_reference

    slug, number = version_reference(text)
    if number is None:
        raise UsageError(
            f"'{text}' names no version: write SLUG@VERSION", hint=f"modelscan registry show {slug}"
        )
    return slug, number


def _tag(context: Context, reference: str, tag: str, *, remove: bool) -> Document[Any]:
    from modelscan.cli.registry.view import version_document
    from modelscan.registry.names import parse_reference

    with writing(context) as connection:
        from modelscan.registry import labels
        from modelscan.registry.policy import check_free
        from modelscan.registry.policy_file import load_policies
        from modelscan.registry.resolve import resolve_reference
        from modelscan.state.server.audit import local_user

        found = resolve_reference(connection, parse_reference(reference)).version
        check_free(load_policies(context.config), tag, found.slug, found.version)
        change = labels.remove_tag if remove else labels.set_tag
        changed = change(connection, local_user(), found.slug, int(found.version), tag)
    return version_document(changed)
