"""A deployment's row as JSON, and the one reader of rows that any release has written.

Each row has a ``format`` number. Rows of earlier formats are upgraded, step by step; the only
place that knows the sentences by which older releases told why an engine had ended is here. A row
of a later format is refused by name, and only it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.core.measurement import Measurement

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

FORMAT = 1
"""0: releases up to 9fb7434, where a row was five untyped bags and its end a sentence."""

Document = dict[str, Any]
T = TypeVar("T")


class NewerRecord(ModelscanError):
    """A later release of modelscan wrote this row."""

    default_code = "newer_record"


def to_document(deployment: Deployment) -> Document:
    """The row as it is stored."""
    return {"format": FORMAT, **to_json(deployment)}


def from_document(document: Mapping[str, Any]) -> tuple[Deployment, tuple[str, ...]]:
    """The deployment of a row, and what of the row could not be read.

    Missing fields get their defaults, unknown ones are dropped, and a part that is broken
    (``plan: it is not as …``) is None. Raises NewerRecord for a later format, ModelscanError for a
    row that is no deployment at all.
    """
    from modelscan.core.deployment import Deployment  # costly: only where there is a row

    name = str(document.get("name"))
    check_format(name, document)
    upgraded = upgrade(document)
    try:
        return from_json(Deployment, upgraded), ()
    except NotReadable as error:
        first = error
    kept, broken = _readable_parts(upgraded)
    try:
        return from_json(Deployment, kept), broken or (str(first),)
    except NotReadable as error:
        raise ModelscanError(
            f"the record of '{name}' cannot be read: {error}",
            hint="modelscan list   (every other deployment works)", code="broken_record",
        ) from error  # fmt: skip


def check_format(name: str, document: Mapping[str, Any]) -> None:
    """Raises NewerRecord for a format that this release does not know."""
    number = format_of(document)
    if number > FORMAT:
        raise NewerRecord(
            f"'{name}' was written by a later release of modelscan (record format {number}, this "
            f"one reads up to {FORMAT})",
            hint=f"use that release for '{name}'; every other deployment works: modelscan list",
            details={"name": name, "format": number},
        )


def format_of(document: Mapping[str, Any]) -> int:
    number = document.get("format", 0)
    return number if isinstance(number, int) else 0


def measurement_of(document: Mapping[str, Any]) -> Measurement | None:
    """A row of measurements; None for one that is of another form."""
    try:
        return from_json(Measurement, document)
    except NotReadable:
        return None


def upgrade(document: Mapping[str, Any]) -> Document:
    """The row in the format of this release; also of one that lacks fields or has broken ones."""
    row = dict(document)
    for number in range(format_of(document), FORMAT):
        _STEPS[number](row)
    row["format"] = FORMAT
    return row


def _readable_parts(row: Document) -> tuple[Document, tuple[str, ...]]:
    """The row without the optional parts that cannot be read, and which those are."""
    from modelscan.core.deployment import Deployment

    optional = [field.name for field in fields(Deployment) if field.default is not MISSING]
    needed = {key: value for key, value in row.items() if key not in optional}
    kept, broken = dict(needed), []
    for key in optional:
        if row.get(key) is None:
            continue
        try:
            from_json(Deployment, {**needed, key: row[key]})
        except NotReadable as error:
            broken.append(f"{key}: {error}")
        else:
            kept[key] = row[key]
    return kept, tuple(broken)


def _to_format_1(row: Document) -> None:
    """Bags become tagged records, sentences causes."""
    if row.get("end_cause") is None:
        row["end_cause"] = _cause(row)
    row["launch"] = _tagged_launch(row)
    row["remote"] = _tagged_remote(row)
    request = row.get("request")
    if isinstance(request, dict):
        row["request"] = {**request, "changed_at": request.get("updated_at")}
        if request.get("limits") is None:
            row["request"].pop("limits", None)
        if request.get("offline_after_download") is None:
            row["request"].pop("offline_after_download", None)


_STEPS: tuple[Callable[[Document], None], ...] = (_to_format_1,)


def _tagged_launch(row: Document) -> Document | None:
    launch = row.get("launch")
    if not isinstance(launch, dict):
        return None
    if row.get("target") == "ollama":
        return {"kind": "ollama", **launch}
    if "body" in launch:
        return {"kind": "cluster", **launch}
    known = {key: value for key, value in launch.items() if key != "limits" or value}
    return {"kind": "local", **known}


def _tagged_remote(row: Document) -> Document | None:
    remote = row.get("remote")
    if not isinstance(remote, dict):
        return None
    if row.get("target") == "ollama":
        made = {k: {"kind": "ollama", **v} for k, v in remote.items() if isinstance(v, dict)}
        return {"kind": "ollama", **made}
    if row.get("target") == "found":
        return {"kind": "found", **remote}
    known = {key: value for key, value in remote.items() if value is not None}
    return {"kind": "cluster", **known}


def _cause(row: Document) -> str | None:
    """Why it ended, from the words of releases that had only those."""
    state, reason = row.get("state"), str(row.get("reason") or "")
    if state not in (State.STOPPED.value, State.FAILED.value):
        return None
    for begins, cause in _SENTENCES:
        if reason.startswith(begins):
            return cause.value
    if state == State.FAILED.value:
        return EndCause.FAILED.value
    return EndCause.STOPPED_BY_USER.value if not reason else None


_SENTENCES: tuple[tuple[str, EndCause], ...] = (
    ("idle", EndCause.IDLE),
    ("the machine was restarted", EndCause.MACHINE_RESTARTED),
    ("the engine was told to stop (SIGTERM)", EndCause.TOLD_TO_STOP),
    ("it was killed together with its supervisor", EndCause.KILLED),
    ("its supervisor failed", EndCause.SUPERVISOR_FAILED),
    ("it was interrupted", EndCause.INTERRUPTED),
    ("interrupted before", EndCause.INTERRUPTED),
    ("it was stopped while it was starting", EndCause.STOPPED_BY_USER),
    ("the engine was killed by signal", EndCause.CRASHED),
    ("the engine ended with code", EndCause.CRASHED),
    ("Ollama has unloaded it", EndCause.NOT_SERVED),
    ("it was stopped at ", EndCause.STOPPED_AT_TARGET),
    ("it was deleted at ", EndCause.DELETED_AT_TARGET),
)
