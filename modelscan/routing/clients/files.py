"""Clients' files on disk: merged with a backup, and undone byte for byte.

What was there before is kept in one record per client, so that ``undo`` restores it exactly; if
the person has edited the file since, only our own values are removed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelscan.core.errors import UsageError
from modelscan.routing.clients import merge
from modelscan.routing.clients.json_text import NotEditable
from modelscan.routing.clients.types import ClientFile, ClientProgram, ServedGateway
from modelscan.state.files import write_atomic

FileState = Literal["printed", "created", "changed", "unchanged", "restored", "removed"]
_FOLDERS = {
    "$XDG_CONFIG_HOME": "~/.config",
    "$CODEX_HOME": "~/.codex",
    "$CLAUDE_CONFIG_DIR": "~/.claude",
    "$LLM_USER_PATH": "~/.config/io.datasette.llm",
}


@dataclass(frozen=True, slots=True)
class ConnectedFile:
    """One file: its path (None: none of its own), its state, and its text where it is printed."""

    path: str | None
    state: FileState
    text: str | None = None
    backup: str | None = None


def place(file: ClientFile, environ: Mapping[str, str]) -> Path | None:
    """Where the file is on this machine, by the client's own variables."""
    if file.path is None:
        return None
    head, _, rest = file.path.partition("/")
    folder = environ.get(head[1:]) or _FOLDERS[head] if head.startswith("$") else head
    home = environ.get("HOME") or str(Path.home())
    return Path(folder.replace("~", home, 1)) / rest


def printed(
    client: ClientProgram, offer: ServedGateway, environ: Mapping[str, str]
) -> list[ConnectedFile]:
    """Every file as it would be if it were written for the first time."""
    return [
        ConnectedFile(_text_or_none(place(file, environ)), "printed", merge.fresh(file))
        for file in client.files(offer)
    ]


def _text_or_none(path: Path | None) -> str | None:
    return None if path is None else str(path)


def write(
    client: ClientProgram,
    offer: ServedGateway,
    records: Path,
    environ: Mapping[str, str],
    *,
    choose: bool,
) -> list[ConnectedFile]:
    """Merge the values into the client's files, each with a backup next to it.

    Raises UsageError, before any file is changed, if one of them cannot be edited.
    """
    record = _Record(records / f"{client.name}.json")
    edits: list[Callable[[], ConnectedFile]] = []
    for file in client.files(offer):
        path = place(file, environ)
        if path is None:
            edits.append(lambda file=file: ConnectedFile(None, "printed", merge.fresh(file)))  # type: ignore[misc]
            continue
        before = record.undone(path, file, _read(path))
        after = _edited(path, lambda f=file, b=before: merge.merged(b or "", f, choose=choose))  # type: ignore[misc]
        edits.append(lambda p=path, b=before, a=after: _replace(record, p, b, a))  # type: ignore[misc]
    return [edit() for edit in edits]


def undo(
    client: ClientProgram, offer: ServedGateway, records: Path, environ: Mapping[str, str]
) -> list[ConnectedFile]:
    """The files as they were, or without our values if they were edited since."""
    record = _Record(records / f"{client.name}.json")
    found = []
    for file in client.files(offer):
        path = place(file, environ)
        text = _read(path) if path is not None else None
        if path is None or text is None:
            continue
        before = _edited(path, lambda f=file, p=path, t=text: record.undone(p, f, t))  # type: ignore[misc]
        exact = record.is_ours(path, text)
        if before == text:
            state: FileState = "unchanged"
        elif before is None:
            path.unlink()
            state = "removed"
        else:
            _write(path, before)
            state = "restored" if exact else "changed"
        record.forget(path)
        found.append(ConnectedFile(str(path), state))
    return found


def _edited(path: Path, edit: Callable[[], Any]) -> Any:
    try:
        return edit()
    except NotEditable as error:
        raise UsageError(
            f"{path} cannot be edited: {error}",
            hint="correct the file, or run the command without --write and merge the text yourself",
            code="client_file",
        ) from error


def _replace(record: _Record, path: Path, before: str | None, after: str) -> ConnectedFile:
    if _read(path) == after:
        record.keep(path, before, after)
        return ConnectedFile(str(path), "unchanged")
    backup = None
    if before is not None:
        backup = path.with_name(f"{path.name}.before-modelscan")
        _write(backup, before)
    record.keep(path, before, after)
    _write(path, after)
    state: FileState = "created" if before is None else "changed"
    return ConnectedFile(str(path), state, None, _text_or_none(backup))


def _read(path: Path) -> str | None:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {error}", hint="run it without --write", code="client_file"
        ) from error


def _write(path: Path, text: str) -> None:
    write_atomic(path, text)
    if _read(path) != text:
        raise UsageError(f"{path} was changed by another program", hint="run it again")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Record:
    """What each file was before, by its path: ``before`` (base64, null: no file) and our hash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = _read(path)
        self._files: dict[str, dict[str, str | None]] = json.loads(text) if text else {}

    def is_ours(self, path: Path, text: str | None) -> bool:
        """Whether the file is still exactly what we wrote."""
        known = self._files.get(str(path))
        return known is not None and text is not None and known["after"] == _digest(text)

    def undone(self, path: Path, file: ClientFile, text: str | None) -> str | None:
        """The file's text without our values; None if there was no file."""
        if text is None:
            return None
        if not self.is_ours(path, text):
            return merge.dropped(text, file) if str(path) in self._files else text
        before = self._files[str(path)]["before"]
        return None if before is None else base64.b64decode(before).decode()

    def keep(self, path: Path, before: str | None, after: str) -> None:
        encoded = None if before is None else base64.b64encode(before.encode()).decode()
        self._files[str(path)] = {"before": encoded, "after": _digest(after)}
        self._save()

    def forget(self, path: Path) -> None:
        if self._files.pop(str(path), None) is not None:
            self._save()

    def _save(self) -> None:
        write_atomic(self._path, json.dumps(self._files, indent=2))
