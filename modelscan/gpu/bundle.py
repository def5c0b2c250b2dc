"""A text with the output of several commands: banner lines, ``# $ command``, output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelscan.gpu.reading import MAX_TEXT


@dataclass(frozen=True, slots=True)
class Part:
    """One command and its output."""

    command: str
    output: str


def split_bundle(text: str) -> tuple[Part, ...]:
    """The commands and outputs in a capture, in order; empty if the text is not a capture."""
    parts: list[Part] = []
    command: str | None = None
    body: list[str] = []
    for line in text[:MAX_TEXT].splitlines():
        heading = re.match(r"^# \$ (.{1,20000})$", line)
        if heading:
            command, body = heading.group(1).strip(), []
        elif command is not None and re.match(r"^#{20,}$", line):
            if "".join(body).strip():
                parts.append(Part(command, "\n".join(body)))
                command = None
        elif command is not None:
            body.append(line)
    if command is not None and "".join(body).strip():
        parts.append(Part(command, "\n".join(body)))
    return tuple(parts)
