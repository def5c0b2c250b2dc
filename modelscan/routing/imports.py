"""Imports roles, aliases and entries from another file: GenieHive's roles, a bundle, LiteLLM's or
llama-swap's configuration, or the providers of CodeWhale's ``config.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.typed_reader import place_of, read_as
from modelscan.core.yaml_reader import MAX_CHARACTERS, YamlDocument, YamlProblem
from modelscan.routing.codewhale import is_codewhale, provider_entries, read_toml
from modelscan.routing.edit import read_document
from modelscan.routing.edits import Edits, RoutingFileEdited, edit
from modelscan.routing.foreign_configs import converted
from modelscan.routing.role_format import RoleFields

# GenieHive's templates name the user's text so.
_INPUTS = ("{{ user_input }}", "{{user_input}}", "{user_input}")


def import_file(
    path: Path, source: Path, *, replace: bool = False, dry_run: bool = False
) -> RoutingFileEdited:
    """Add what ``source`` has. An item whose name exists stays, unless ``replace``.

    Raises UsageError for a file of another kind, with the line of what cannot be read.
    """
    document = _document(source)
    value, left_out = _converted(document.value)
    routing = value.get("routing")
    parts = routing if isinstance(routing, Mapping) else value
    roles = [_role(one) for one in parts.get("roles") or () if isinstance(one, Mapping)]
    findings: list[Finding] = []
    base = "routing.roles" if parts is routing else "roles"
    read_as(list[RoleFields], roles, base, findings)
    _refuse(source, document, findings)
    direct = parts.get("direct")
    providers = (direct.get("providers") if isinstance(direct, Mapping) else None) or ()
    aliases = parts.get("aliases") or {}
    if not roles and not providers and not aliases:
        raise UsageError(
            f"{source} has no roles, aliases or entries",
            hint="GenieHive's file begins with roles:, a bundle with routing:",
        )

    def edits(data: Any) -> Edits:
        yield from placed_items(data, ("routing", "roles"), "role_id", roles, replace)
        yield from placed_items(
            data, ("routing", "direct", "providers"), "name", providers, replace
        )
        written = (data.get("routing") or {}).get("aliases") or {}
        for name, target in aliases.items():
            if replace or name not in written:
                yield ("routing", "aliases", name), target

    done = edit(path, f"import {source.name}", edits, dry_run=dry_run)
    return replace_fields(done, warnings=(*done.warnings, *left_out))


def _converted(value: Any) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The parts as in a routing file, and what another program's file has in addition."""
    if not isinstance(value, Mapping):
        return {}, ()
    made = converted(value)
    if made is None:
        return value, ()
    direct = {"providers": made.providers}
    parts = {"direct": direct, "aliases": made.aliases, "roles": made.roles}
    return parts, tuple(f"not imported: {one}" for one in made.left_out)


def _document(source: Path) -> YamlDocument:
    """The file's values; those of a TOML file have no lines."""
    if source.suffix != ".toml":
        return read_document(_text(source), str(source))
    try:
        values = read_toml(_text(source))
    except YamlProblem as error:
        raise UsageError(f"{source}: {error.message}", code="import_file") from error
    if not is_codewhale(values):
        raise UsageError(f"{source} has no providers", hint="modelscan route import roles.yaml")
    return YamlDocument({"direct": {"providers": list(provider_entries(values))}})


def _refuse(source: Path, document: Any, findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.level == "error":
            line = document.line(place_of(finding.where))
            raise UsageError(
                f"{source}, line {line}: {finding.message}",
                hint=finding.hint,
                code="import_file",
                details={"line": line, "where": finding.where},
            )


def _role(role: Mapping[str, Any]) -> dict[str, Any]:
    """A role with the user's text spelled as here."""
    copied = dict(role)
    prompt = copied.get("prompt_policy")
    if isinstance(prompt, Mapping) and isinstance(prompt.get("user_template"), str):
        template = prompt["user_template"]
        for spelling in _INPUTS:
            template = template.replace(spelling, "{input}")
        copied["prompt_policy"] = {**prompt, "user_template": template}
    return copied


def placed_items(
    data: Any, place: tuple[str, ...], key: str, items: Sequence[Any], replace: bool
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each item at the place of its namesake, or after the last one."""
    written: Any = data
    for step in place:
        written = written.get(step) if isinstance(written, Mapping) else None
    names = [one.get(key) for one in written or () if isinstance(one, Mapping)]
    for item in items:
        name = item.get(key) if isinstance(item, Mapping) else None
        if name not in names:
            yield (*place, len(names)), item
            names.append(name)
        elif replace:
            yield (*place, names.index(name)), item


def _text(source: Path) -> str:
    try:
        with open(source, encoding="utf-8") as stream:
            return stream.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(
            f"cannot read {source}: {reason}", hint="modelscan route import FILE"
        ) from error
