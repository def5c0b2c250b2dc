"""A state folder that an earlier version wrote, used by this one.

    python -m scripts.check_upgrade [REF]     # default: the newest tag, else PREVIOUS

The earlier version is checked out into a temporary folder and run with this environment's
packages: settings, a deployment of the demo model, routes, a key, the endpoint's database. Then
this version lists, starts and removes what is there. Exit status 1 when something was lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PREVIOUS = "21abebdd11f1"  # the earliest state that had all of this; until there is a tag
_EARLIER = (
    ("config", "set", "goal", "speed"),
    ("deploy", "demo", "-q"),
    ("route", "add", "own", "--base-url", "http://127.0.0.1:9", "--model", "m"),
    ("key", "create", "laptop", "--scope", "read"),
    ("stop", "demo", "-q"),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A command of this version and what its document must say."""

    words: tuple[str, ...]
    holds: Callable[[Any], bool]


KEPT = (
    Kept(("config", "get", "goal"), lambda d: d["value"] == "speed"),
    Kept(("list",), lambda d: [one["state"] for one in d["deployments"]] == ["stopped"]),
    Kept(("show", "demo"), lambda d: d["deployment"]["name"] == "demo"),
    Kept(("route", "list"), lambda d: {"demo", "own"} <= {one["name"] for one in d["routes"]}),
    Kept(("route", "validate"), lambda d: bool(d["schema"])),
    Kept(("key", "list"), lambda d: [one["name"] for one in d["keys"]] == ["laptop"]),
    Kept(("server", "status"), lambda d: bool(d["schema"])),
    Kept(("start", "demo"), lambda d: d["deployments"][0]["state"] == "running"),
    Kept(("remove", "demo", "--yes"), lambda d: d["removed"] == ["demo"]),
)


def run(source: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the version in a folder, over a state folder."""
    env = {**os.environ, "PYTHONPATH": str(source), "MODELSCAN_HOME": str(home)}
    env |= {"MODELSCAN_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "modelscan", *words],
        cwd=source, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def lost(earlier: Path, home: Path) -> Iterator[str]:
    """What the earlier version could not write, and what this one does not find again."""
    for words in _EARLIER:
        done = run(earlier, home, *words)
        if done.returncode != 0:
            yield f"the earlier version: {' '.join(words)}: {done.stderr[-400:]}"
            return
    for kept in KEPT:
        done = run(REPOSITORY, home, *kept.words, "--json")
        if done.returncode != 0 or not kept.holds(json.loads(done.stdout)):
            yield f"{' '.join(kept.words)}: {(done.stdout + done.stderr)[:600]}"


def earlier_version(reference: str | None) -> str | None:
    """The commit of a reference, of the newest tag or of PREVIOUS; None: none is in this clone."""
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    for name in (reference,) if reference else (tag, PREVIOUS):
        commit = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if name else None
        if commit:
            return commit
    return None


def _git(*words: str) -> str | None:
    done = subprocess.run(
        ("git", *words), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> int:
    """Check one earlier version."""
    commit = earlier_version(sys.argv[1] if len(sys.argv) > 1 else None)
    if commit is None:
        sys.stdout.write("no earlier version is in this clone: nothing was checked\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="modelscan-upgrade-") as name:
        place = Path(name) / "earlier"
        if _git("worktree", "add", "--detach", str(place), commit) is None:
            sys.stdout.write(f"{commit} could not be checked out\n")
            return 1
        try:
            problems = list(lost(place, Path(name) / "home"))
            run(REPOSITORY, Path(name) / "home", "remove", "--all", "--yes")
        finally:
            _git("worktree", "remove", "--force", str(place))
    sys.stdout.write("".join(f"{one}\n" for one in problems))
    sys.stdout.write(f"{commit[:12]}: {len(KEPT)} checks, {len(problems)} lost\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
