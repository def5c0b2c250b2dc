"""The suites by name. A new one is a module, a data file and a line here."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.nearest import nearest
from modelscan.evals.items import EvalSuite, Grading, SuiteRequest
from modelscan.evals.suites import (
    coding,
    documents,
    long_context,
    release,
    review,
    structured,
    tools,
)

# What decides a grade besides the suite's own module.
_SHARED = ("../items.py", "reader.py", "json_values.py")


@dataclass(frozen=True, slots=True)
class SuiteKind:
    """How to make a suite and grade its answers; ``runs_code``: grading needs a sandbox.

    ``repeats_text``: many items are about one long text, which a server that keeps the prompts of
    earlier requests reads once.
    """

    name: str
    make: Callable[[SuiteRequest], EvalSuite]
    grade: Grading
    runs_code: bool = False
    repeats_text: bool = False


SUITES = {
    kind.name: kind
    for kind in (
        SuiteKind("coding", coding.make, coding.grade, runs_code=True),
        SuiteKind("review", review.make, review.grade),
        SuiteKind("documents", documents.make, documents.grade, repeats_text=True),
        SuiteKind("release", release.make, release.grade),
        SuiteKind("long_context", long_context.make, long_context.grade, repeats_text=True),
        SuiteKind("tools", tools.make, tools.grade),
        SuiteKind("structured", structured.make, structured.grade),
    )
}
OTHER_NAMES = {"docs": "documents", "long-context": "long_context"}


def find_suite(name: str) -> SuiteKind:
    """The suite of that name. Raises UsageError with the nearest names."""
    kind = SUITES.get(OTHER_NAMES.get(name, name))
    if kind is None:
        near = nearest(name, SUITES) or list(SUITES)
        raise UsageError(
            f"there is no suite '{name}'",
            hint="modelscan eval suites",
            code="unknown_suite",
            details={"nearest": near},
        )
    return kind


def suite_hash(suite: EvalSuite) -> str:
    """SHA-256 of the items, the prompts and the source of the grading: the suite's exact version.

    Two runs with equal hashes had the same tasks and the same rules.
    """
    digest = hashlib.sha256(_source(suite.name).encode())
    items = [to_json(item) for item in sorted(suite.items, key=lambda one: one.id)]
    content = [suite.name, suite.version, suite.system, suite.max_tokens, items]
    digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


@functools.cache
def _source(name: str) -> str:
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for file in (*_SHARED, f"{name}.py"):
        digest.update((folder / file).read_bytes())
    return digest.hexdigest()
