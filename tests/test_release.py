"""CHANGELOG, version and tag agree."""

from __future__ import annotations

import pytest
from conftest import REPOSITORY

from modelscan import __version__
from scripts.check_release import faults, sections

CHANGELOG = "# Changelog\n\n## [0.2.0] - 2026-12-01\n\n- x\n\n## [0.1.0] - 2026-11-01\n"
COMING = CHANGELOG.replace("2026-12-01", "unreleased")


def test_this_checkout_agrees() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert faults(changelog, __version__, []) == []
    assert sections(changelog)[0].version == __version__


@pytest.mark.parametrize("text", [CHANGELOG, COMING])
def test_the_newest_section_is_the_version(text: str) -> None:
    assert faults(text, "0.2.0", []) == []
    (problem,) = faults(text, "0.1.0", [])
    assert problem == "CHANGELOG.md's newest section is 0.2.0, modelscan.__version__ 0.1.0"


def test_a_tag_needs_the_version_and_a_date() -> None:
    assert faults(CHANGELOG, "0.2.0", ["v0.2.0"]) == []
    assert faults(COMING, "0.2.0", ["v0.2.0"]) == [
        "the tag v0.2.0 is set, but 0.2.0 has no date yet"
    ]
    assert faults(CHANGELOG, "0.2.0", ["v0.3.0"]) == [
        "the tag v0.3.0 is not v0.2.0, CHANGELOG.md's newest section"
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("# Changelog\n", "no section"),
        ("## [Unreleased]\n", "'Unreleased' is no version"),
        ("## [0.2.0] - 1 December 2026\n", "not YYYY-MM-DD"),
        ("## [0.2.0] - 2026-12-01\n## [0.1.0] - unreleased\n", "0.1.0 has the date 'unreleased'"),
        ("## [0.2.0] - 2026-12-01\n## [0.2.0] - 2026-11-01\n", "falling order"),
        ("## [0.2.0] - 2026-12-01\n## [0.10.0] - 2026-11-01\n", "falling order"),
    ],
)
def test_what_is_wrong_with_a_changelog_is_named(text: str, part: str) -> None:
    assert any(part in problem for problem in faults(text, "0.2.0", []))
