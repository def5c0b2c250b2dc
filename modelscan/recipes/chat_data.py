"""Conversations in JSON Lines: checked, and prepared for training.

A row is ``{"messages": [{"role": …, "content": …}, …]}`` as ``trace dataset`` writes it, with at
least one answer. Messages about faults name the line, never its text.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.hub.checksums import sha256
from modelscan.recipes.types import RecipeDataset
from modelscan.state.files import PRIVATE_FILE, ensure_dir, write_atomic
from modelscan.traces.near_duplicates import NearDuplicates

_ROLES = ("system", "developer", "user", "assistant", "tool")
_LONGEST_LINE = 16 * 2**20


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A row: its line, the parsed object, and the digest of its messages."""

    line: int
    row: dict[str, Any]
    digest: str

    @property
    def text(self) -> str:
        """All its messages."""
        return "\n".join(str(one.get("content") or "") for one in self.row["messages"])


def read_rows(path: Path) -> Iterator[ChatRow]:
    """Every row, checked. Raises UsageError with the line of the first fault."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise _fault(path, number, "it is longer than 16 MiB")
            if line.strip():
                row = _row(path, number, line)
                yield ChatRow(number, row, _digest(row["messages"]))


def check_dataset(path: Path) -> RecipeDataset:
    """Read all rows and count them. Raises UsageError where there is no file, no row, or a row is
    no conversation.
    """
    path = _regular(path)
    seen: set[str] = set()
    rows = longest = 0
    for one in read_rows(path):
        rows += 1
        seen.add(one.digest)
        longest = max(longest, len(one.text))
    if not rows:
        raise UsageError(f"{path} has no rows", hint="modelscan trace dataset chats.jsonl")
    return RecipeDataset(
        str(path), sha256(path), path.stat().st_size, rows, rows - len(seen), longest
    )


def prepare(source: Path, target: Path, *, train_percent: int, seed: int) -> dict[str, int]:
    """Write ``train.jsonl`` and ``test.jsonl`` into the folder ``target``; returns counts.

    Equal and nearly equal conversations are left out. Conversations that begin with the same
    user message are on the same side. Equal seeds give equal files.
    """
    seen: set[str] = set()
    near = NearDuplicates()
    sides: dict[str, list[str]] = {"train": [], "test": []}
    counts = {"rows": 0, "equal": 0, "nearly_equal": 0}
    for one in read_rows(source):
        counts["rows"] += 1
        if one.digest in seen:
            counts["equal"] += 1
        elif near.seen(one.text):
            counts["nearly_equal"] += 1
        else:
            side = "train" if _share(one.row, seed) < train_percent else "test"
            sides[side].append(json.dumps(one.row, ensure_ascii=False) + "\n")
        seen.add(one.digest)
    ensure_dir(target)
    for side, lines in sides.items():
        write_atomic(target / f"{side}.jsonl", "".join(lines), mode=PRIVATE_FILE)
        counts[side] = len(lines)
    return counts


def _regular(path: Path) -> Path:
    """The file's absolute path. Raises UsageError for what is no file."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(
            f"there is no dataset {str(path)!r}: {getattr(error, 'strerror', None) or error}",
            hint="modelscan trace dataset chats.jsonl --license CC-BY-4.0 --yes",
            code="no_dataset",
        ) from error
    if not stat.S_ISREG(kind):
        raise UsageError(
            f"the dataset {str(path)!r} is no file", hint="--dataset chats.jsonl", code="no_dataset"
        )
    return path.resolve()


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise _fault(path, number, "it is no JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        raise _fault(path, number, "it has no list 'messages'")
    if not row["messages"]:
        raise _fault(path, number, "its list of messages is empty")
    for message in row["messages"]:
        reason = _message_fault(message)
        if reason is not None:
            raise _fault(path, number, reason)
    if not any(message["role"] == "assistant" for message in row["messages"]):
        raise _fault(path, number, "no message has the role assistant: there is nothing to learn")
    return row


def _message_fault(message: Any) -> str | None:
    """Why it is no message; None: it is one."""
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        return f"a message has no role of {', '.join(_ROLES)}"
    content = message.get("content")
    if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
        return "a message has no text as its content"
    return None


def _fault(path: Path, number: int, reason: str) -> UsageError:
    return UsageError(
        f"{path.name}, line {number}: {reason}",
        hint='each line must be {"messages": [{"role": "user", "content": "…"}, …]}',
        code="bad_dataset",
        details={"line": number},
    )


def _digest(messages: Any) -> str:
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def _share(row: dict[str, Any], seed: int) -> int:
    """0 to 99, from the first user message."""
    first = next((m.get("content") for m in row["messages"] if m["role"] == "user"), None)
    return int(_digest([seed, first])[:8], 16) % 100
