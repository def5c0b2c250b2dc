"""Refuses a commit whose CHANGELOG, version and tag disagree (docs/internals/releasing.md).

    python -m scripts.check_release

The newest section of CHANGELOG.md must be ``## [VERSION] - DATE`` or ``## [VERSION] - unreleased``
with modelscan's ``__version__``. A commit that carries a tag ``v…`` must have a date there and
that version. Sections must be in falling order, each version once.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelscan import __version__

REPOSITORY = Path(__file__).resolve().parent.parent
_SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>.+))?$", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
UNRELEASED = "unreleased"


@dataclass(frozen=True, slots=True)
class Section:
    """One release in the CHANGELOG; ``date`` is ``unreleased`` before it is one."""

    version: str
    date: str


def sections(changelog: str) -> list[Section]:
    """All sections, newest first."""
    return [
        Section(found["version"], (found["date"] or "").strip())
        for found in _SECTION.finditer(changelog)
    ]


def faults(changelog: str, version: str, tags: Sequence[str]) -> list[str]:
    """What disagrees; an empty list when nothing does."""
    found = sections(changelog)
    if not found:
        return ["CHANGELOG.md has no section '## [X.Y.Z] - DATE'"]
    return [*_of_sections(found), *_of_newest(found[0], version), *_of_tags(found[0], tags)]


def _of_sections(found: Sequence[Section]) -> list[str]:
    problems = [
        f"CHANGELOG.md: '{section.version}' is no version of the form X.Y.Z"
        for section in found
        if not _VERSION.fullmatch(section.version)
    ]
    if problems:
        return problems
    problems += [
        f"CHANGELOG.md: {section.version} has the date '{section.date}', not YYYY-MM-DD"
        for index, section in enumerate(found)
        if not _DATE.fullmatch(section.date) and not (index == 0 and section.date == UNRELEASED)
    ]
    numbers = [tuple(map(int, section.version.split("."))) for section in found]
    if any(newer <= older for newer, older in itertools.pairwise(numbers)):
        problems.append("CHANGELOG.md: the versions are not in falling order")
    return problems


def _of_newest(newest: Section, version: str) -> list[str]:
    if newest.version == version:
        return []
    return [f"CHANGELOG.md's newest section is {newest.version}, modelscan.__version__ {version}"]


def _of_tags(newest: Section, tags: Sequence[str]) -> list[str]:
    problems = []
    for tag in tags:
        if tag != f"v{newest.version}":
            problems.append(
                f"the tag {tag} is not v{newest.version}, CHANGELOG.md's newest section"
            )
        elif newest.date == UNRELEASED:
            problems.append(f"the tag {tag} is set, but {newest.version} has no date yet")
    return problems


def tags_here() -> list[str]:
    """Version tags of the current commit; none outside a repository."""
    command = ["git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git: a source archive
        return []
    return done.stdout.split()


def main() -> int:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    problems = faults(changelog, __version__, tags_here())
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
