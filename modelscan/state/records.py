"""A deployment's row as JSON, and the only reader of rows written by any release.

Each row has a ``format`` number. Rows of earlier formats are upgraded step by step; only this
module parses the sentences in which older releases recorded why an engine ended. A row of a later
format is refused by name without affecting other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.core.measurement import Measurement, SpeedMeasurement

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

FORMAT = 1
"""0: releases up to 9fb7434, with five untyped dictionaries and the cause of an end as a
sentence.
"""

Document = dict[str, Any]
T = TypeVar("T")


class NewerRecord(ModelscanError):
    """A row written by a later release of modelscan."""

    default_code = "newer_record"


def to_document(deployment: Deployment) -> Document:
    """The row to store."""
    return {"format": FORMAT, **to_json(deployment)}


def from_document(document: Mapping[str, Any]) -> tuple[Deployment, tuple[str, ...]]:
    """The deployment of a row, and messages for the parts that could not be read.

    Missing fields get their defaults, unknown ones are dropped, and a broken part (``plan: it is
    not as …``) is None. Raises NewerRecord for a later format, ModelscanError if the row is not a
    deployment.
    """
    from modelscan.core.deployment import Deployment  # costly: only where there is a row

    name = str(document.get("name"))
    check_format(name, document)
    upgraded = upgrade(document)
    try:
        return from_json(Deployment, upgraded), ()
    except NotReadable as error:
        first = error
    readable, broken = _readable_parts(upgraded)
    try:
        return from_json(Deployment, readable), broken or (str(first),)
    except NotReadable as error:
        raise ModelscanError(
            f"the record of '{name}' cannot be read: {error}",
            hint="modelscan list   (other deployments are not affected)", code="broken_record",
        ) from error  # fmt: skip


def check_format(name: str, document: Mapping[str, Any]) -> None:
    """Raise NewerRecord for a format later than this release's."""
    number = format_of(document)
    if number > FORMAT:
        raise NewerRecord(
            f"'{name}' was written by a later release of modelscan (record format {number}, this "
            f"release reads up to {FORMAT})",
            hint=f"use that release for '{name}'; other deployments still work: modelscan list",
            details={"name": name, "format": number},
        )


def format_of(document: Mapping[str, Any]) -> int:
    """The row's format number; 0 if it has none."""
    number = document.get("format", 0)
    return number if isinstance(number, int) else 0


def measurement_of(document: Mapping[str, Any]) -> Measurement | None:
    """A row of measurements; None if it has another form."""
    try:
        return from_json(Measurement, document)
    except NotReadable:
        return None


def speed_of(document: Mapping[str, Any]) -> SpeedMeasurement | None:
    """A row of speeds; None if it has another form."""
    try:
        return from_json(SpeedMeasurement, document)
    except NotReadable:
        return None


def upgrade(document: Mapping[str, Any]) -> Document:
    """The row in the format of this release; also works on rows with missing or broken fields."""
    row = dict(document)
    for number in range(format_of(document), FORMAT):
        _STEPS[number](row)
    row["format"] = FORMAT
    return row


def _readable_parts(row: Document) -> tuple[Document, tuple[str, ...]]:
    """The row without the unreadable optional parts, and a message for each of those."""
    from modelscan.core.deployment import Deployment

    optional = [field.name for field in fields(Deployment) if field.default is not MISSING]
    needed = {key: value for key, value in row.items() if key not in optional}
    readable, broken = dict(needed), []
    for key in optional:
        if row.get(key) is None:
            continue
        try:
            from_json(Deployment, {**needed, key: row[key]})
        except NotReadable as error:
            broken.append(f"{key}: {error}")
        else:
            readable[key] = row[key]
    return readable, tuple(broken)


def _to_format_1(row: Document) -> None:
    """Replace dictionaries by tagged records, and sentences by causes."""
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
    values = {key: value for key, value in launch.items() if key != "limits" or value}
    return {"kind": "local", **values}


def _tagged_remote(row: Document) -> Document | None:
    remote = row.get("remote")
    if not isinstance(remote, dict):
        return None
    if row.get("target") == "ollama":
        records = {k: {"kind": "ollama", **v} for k, v in remote.items() if isinstance(v, dict)}
        return {"kind": "ollama", **records}
    if row.get("target") == "found":
        return {"kind": "found", **remote}
    values = {key: value for key, value in remote.items() if value is not None}
    return {"kind": "cluster", **values}


def _cause(row: Document) -> str | None:
    """Why the engine ended, parsed from the sentences of older releases."""
    state, reason = row.get("state"), str(row.get("reason") or "")
    if state not in (State.STOPPED.value, State.FAILED.value):
        return None
    for prefix, cause in _SENTENCES:
        if reason.startswith(prefix):
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
