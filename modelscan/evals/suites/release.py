"""Consistency of a release: its tag, the versions in its files, its changelog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from modelscan.evals.items import (
    EvalItem,
    EvalSuite,
    Grade,
    ModelAnswer,
    RunCode,
    SuiteRequest,
    failed,
    passed,
)
from modelscan.evals.suites.reader import read_data, suite_of

CODES = ("PYPROJECT", "MODULE", "MISSING", "ORDER", "DATES", "SEMVER", "EMPTY")
_WORD = re.compile(r"[A-Z]+")


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("release")
    return suite_of(data, (_item(row, data["base"]) for row in data["items"]))


def _item(row: Mapping[str, Any], base: Mapping[str, Any]) -> EvalItem:
    files = {**base, **row["set"]}
    everything = ", ".join(CODES)
    return EvalItem(
        id=row["id"],
        prompt=_prompt(files),
        reference=ModelAnswer(_text(row["answer"])),
        wrong=(*(ModelAnswer(_text(codes)) for codes in row["wrong"]), ModelAnswer(everything)),
        data={"codes": sorted(row["answer"])},
    )


def _text(codes: Iterable[str]) -> str:
    return ", ".join(codes) or "NONE"


def _prompt(files: Mapping[str, Any]) -> str:
    sections = "\n".join(map(_section, files["changelog"]))
    return (
        f"Tag: {files['tag']}\n\n"
        f'=== pyproject.toml\n[project]\nname = "tool"\nversion = "{files["pyproject"]}"\n\n'
        f'=== tool/__init__.py\n__version__ = "{files["module"]}"\n\n'
        f"=== CHANGELOG.md\n# Changelog\n\n{sections}"
    )


def _section(section: Mapping[str, Any]) -> str:
    date = f" - {section['date']}" if section["date"] else ""
    lines = [f"## {section['version']}{date}"]
    for heading, entries in section.items():
        if heading not in ("version", "date"):
            lines += [f"### {heading}", *(f"- {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether the answer is exactly the set of codes that apply."""
    words = _WORD.findall(answer.text.upper())
    unknown = [word for word in words if word not in (*CODES, "NONE")]
    named = sorted(set(words) - {"NONE"})
    contradicts = "NONE" in words and named
    if words and not unknown and not contradicts and named == item.data["codes"]:
        return passed()
    return failed(f"'{answer.text.strip()[:80]}' instead of '{_text(item.data['codes'])}'")
