"""The console blocks of a documentation page, run in order in one shell.

A block is fenced as ``console``: lines that begin with ``$ `` are typed (``> `` continues one), the
others are what they print; ``…`` stands for anything. Ports from 41000 to 41009 are replaced with
free ones. A command whose last words are ``# exit N`` must end with that status.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"\s+# exit (\d+)$")
_PORT = re.compile(r"\b4100\d\b")
_MARK = "@@@"


@dataclass(frozen=True)
class Typed:
    """A command of a page, the lines that it shows, and the exit status that it must have."""

    command: str
    shown: tuple[str, ...]
    status: int


@dataclass(frozen=True)
class Ended:
    """What a command printed, with its exit status."""

    output: str
    status: int


def commands(text: str) -> list[Typed]:
    """Every command of a page's console blocks, in order."""
    return [one for block in _BLOCK.findall(text) for one in _of_block(block)]


def _of_block(block: str) -> Iterator[Typed]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        words = [lines.pop(0)]
        while lines and lines[0].startswith("> "):
            words.append(lines.pop(0)[2:])
        typed = "\n".join(words)
        status = _STATUS.search(typed)
        yield Typed(
            _STATUS.sub("", typed), tuple(line for line in lines if line.strip()),
            int(status[1]) if status else 0,
        )  # fmt: skip


def with_free_ports(text: str) -> str:
    """The page with free ports for those of its examples, the same one for each occurrence."""
    names = sorted(set(_PORT.findall(text)))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: str(one.getsockname()[1]) for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return _PORT.sub(lambda found: ports[found[0]], text)


def run(
    typed: list[Typed],
    env: dict[str, str],
    folder: Path,
    timeout_s: float,
    inside: Sequence[str] = (),
) -> list[Ended]:
    """The commands in one interactive-like shell, so that ``&``, ``kill %1`` and variables work.

    ``inside``: a command that starts the shell, such as one of a sandbox.
    """
    lines = ["set -m", "exec 2>&1"]
    for one in typed:
        lines += [one.command, f"printf '\\n{_MARK}%d\\n' $?"]
    done = subprocess.run(
        [*inside, "bash", "-c", "\n".join([*lines, "kill $(jobs -p) 2>/dev/null; wait; true"])],
        env=env, cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip
    parts = re.split(rf"^{_MARK}(\d+)$", done.stdout, flags=re.MULTILINE)
    return [Ended(parts[at], int(parts[at + 1])) for at in range(0, len(parts) - 1, 2)]


def missing(one: Typed, ended: Ended) -> str | None:
    """The first shown line that the output lacks, in order and apart from spaces; None: none."""
    output, at = " ".join(ended.output.split()), 0
    for line in one.shown:
        for piece in line.split("…"):
            words = " ".join(piece.split())
            found = output.find(words, at)
            if found < 0:
                return line
            at = found + len(words)
    return None
