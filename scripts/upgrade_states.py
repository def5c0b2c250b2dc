"""What an earlier version writes into a state folder, and what this one must find there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
_ANSWER_S = 300.0
_BEFORE = (
    ("config", "set", "goal", "speed"),
    ("deploy", "demo", "-q"),
    ("route", "add", "own", "--base-url", "http://127.0.0.1:9", "--model", "m"),
)
_AFTER = (("key", "create", "laptop", "--scope", "read"),)
_REGISTRY = (
    ("registry", "add", "lab/own", "--from", "demo"),
    ("registry", "tag", "add", "lab/own", "small"),
    ("registry", "alias", "set", "lab/own", "champion", "1"),
)
_LAST = (("stop", "demo", "-q"),)


@dataclass(frozen=True, slots=True)
class Kept:
    """A command of this version and what its document must say; ``of``: the group of commands
    without which the earlier version had nothing of it.
    """

    words: tuple[str, ...]
    holds: Callable[[Any], bool]
    of: str | None = None


KEPT = (
    Kept(("config", "get", "goal"), lambda d: d["value"] == "speed"),
    Kept(("list",), lambda d: [one["state"] for one in d["deployments"]] == ["stopped"]),
    Kept(("show", "demo"), lambda d: d["deployment"]["name"] == "demo"),
    Kept(("route", "list"), lambda d: {"demo", "own"} <= {one["name"] for one in d["routes"]}),
    Kept(("route", "validate"), lambda d: bool(d["schema"])),
    Kept(("route", "history"), lambda d: bool(d["schema"])),
    Kept(("key", "list"), lambda d: [one["name"] for one in d["keys"]] == ["laptop"]),
    Kept(("server", "status"), lambda d: bool(d["schema"])),
    Kept(("estimate", "demo", "--history"), lambda d: len(d["rows"]) == 1),
    Kept(("trace", "list"), lambda d: {"demo"} == {one["route"] for one in d["spans"]}),
    Kept(("trace", "cost"), lambda d: bool(d["schema"])),
    Kept(("registry", "show", "lab/own"), lambda d: "small" in json.dumps(d), "registry"),
    Kept(("registry", "resolve", "lab/own@champion"), lambda d: bool(d["schema"]), "registry"),
    Kept(("registry", "history", "lab/own"), lambda d: bool(d["schema"]), "registry"),
    Kept(("start", "demo"), lambda d: d["deployments"][0]["state"] == "running"),
    Kept(("remove", "demo", "--yes"), lambda d: d["removed"] == ["demo"]),
)


def run(source: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the version in a folder, over a state folder."""
    return subprocess.run(
        [sys.executable, "-m", "modelscan", *words],
        cwd=source, env=_variables(source, home), capture_output=True, text=True, check=False,
    )  # fmt: skip


def _variables(source: Path, home: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(source), "MODELSCAN_HOME": str(home), "MODELSCAN_OFFLINE": "1"}
    return {**os.environ, **own}


def write_state(earlier: Path, home: Path) -> tuple[frozenset[str], list[str]]:
    """Let the version in a folder write a state folder: its groups of commands beyond the first
    version's, and what it could not write.
    """
    groups = frozenset(
        {"registry"} if run(earlier, home, "registry", "--help").returncode == 0 else ()
    )
    extra: Sequence[tuple[str, ...]] = _REGISTRY if groups else ()
    problems = list(_failed(earlier, home, _BEFORE))
    problems += [] if problems else _ask(earlier, home)  # without a key, so before there is one
    problems += [] if problems else _failed(earlier, home, (*_AFTER, *extra, *_LAST))
    return groups, problems


def _failed(earlier: Path, home: Path, commands: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for words in commands:
        done = run(earlier, home, *words)
        if done.returncode != 0:
            yield f"the earlier version: {' '.join(words)}: {done.stderr[-400:]}"
            return


def _ask(earlier: Path, home: Path) -> list[str]:
    """One request through the earlier version's endpoint, which keeps a receipt."""
    with _gateway(earlier, home) as url:
        message = {"role": "user", "content": "Hello"}
        body = json.dumps({"model": "demo", "messages": [message], "max_tokens": 4}).encode()
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return [] if answer.status == 200 else [f"the endpoint answered {answer.status}"]


@contextlib.contextmanager
def _gateway(source: Path, home: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "serve", "--port", "0", "--json"],
        cwd=source, env=_variables(source, home), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield next(row["url"] for row in map(json.loads, process.stdout) if row["event"] == "ready")
    finally:
        process.terminate()
        process.communicate()


def lost(
    groups: frozenset[str], ask: Callable[[tuple[str, ...]], tuple[int, str]]
) -> Iterator[str]:
    """What this version does not find again; ``ask``: the exit status and output of a command."""
    for kept in KEPT:
        if kept.of is not None and kept.of not in groups:
            continue
        code, text = ask((*kept.words, "--json"))
        if code != 0 or not kept.holds(json.loads(text)):
            yield f"{' '.join(kept.words)}: {text[:600]}"
