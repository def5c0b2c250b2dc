"""A state folder that an earlier version wrote, used by this one.

    python -m scripts.check_upgrade [REF]     # default: the newest tag, else PREVIOUS
    python -m scripts.check_upgrade --record REF…

The earlier version is checked out into a temporary folder and run with this environment's
packages: settings, a deployment of the demo model, routes, a request with its receipt, a key,
entries of the registry. Then this version lists, starts and removes what is there. Exit status 1
when something was lost. ``--record`` keeps the written folders in tests/upgrade/states, where the
tests read them without an earlier version.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.recorded_states import RECORDED, Places, pack
from scripts.upgrade_states import REPOSITORY, lost, run, write_state

PREVIOUS = "21abebdd11f1"  # the earliest state that had all of this; until there is a tag


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


@contextlib.contextmanager
def _checked_out(commit: str) -> Iterator[tuple[Path, Path]]:
    """The version's folder, and a state folder for it."""
    with tempfile.TemporaryDirectory(prefix="modelscan-upgrade-") as name:
        place, home = Path(name) / "earlier", Path(name) / "home"
        if _git("worktree", "add", "--detach", str(place), commit) is None:
            raise SystemExit(f"{commit} could not be checked out")
        try:
            yield place, home
        finally:
            run(REPOSITORY, home, "remove", "--all", "--yes")
            _git("worktree", "remove", "--force", str(place))


def check(commit: str) -> list[str]:
    """What was lost between a commit and this version."""
    with _checked_out(commit) as (place, home):
        groups, problems = write_state(place, home)
        if problems:
            return problems

        def ask(words: tuple[str, ...]) -> tuple[int, str]:
            done = run(REPOSITORY, home, *words)
            return done.returncode, done.stdout + (done.stderr if done.returncode else "")

        return list(lost(groups, ask))


def record(commit: str) -> list[str]:
    """Keep the state folder that a commit writes."""
    with _checked_out(commit) as (place, home):
        groups, problems = write_state(place, home)
        if not problems:
            file = RECORDED / f"{commit[:12]}.tar.gz"
            pack(home, file, Places(home, place, Path(sys.executable)), groups)
        return problems


def main() -> int:
    """Check one earlier version, or record some."""
    recording = sys.argv[1:2] == ["--record"]
    wanted = sys.argv[2:] if recording else sys.argv[1:2]
    commits = [earlier_version(name) for name in wanted] or [earlier_version(None)]
    problems = []
    for commit in commits:
        if commit is None:
            sys.stdout.write("no earlier version is in this clone: nothing was done\n")
            continue
        found = record(commit) if recording else check(commit)
        sys.stdout.write("".join(f"{one}\n" for one in found))
        sys.stdout.write(f"{commit[:12]}: {len(found)} lost\n")
        problems += found
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
