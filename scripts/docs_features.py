"""docs/reference/features.md: what works, and the test or make target that shows it.

The table is ``scripts/features.txt``. A row that names a test that does not exist, or that works
without one, is an error: ``faults`` lists them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TABLE = REPOSITORY / "scripts" / "features.txt"
ROWS = 228
STATES = ("works", "partly", "no")
_SECTION = re.compile(r"^([A-Z])\. (.+)$")
_PROOF = re.compile(r"`make ([a-z-]+)`|(\S+)")


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One row. ``tests``: node ids of pytest; ``targets``: of the Makefile."""

    number: int
    section: str
    state: str
    what: str
    tests: tuple[str, ...]
    targets: tuple[str, ...]


def read_table(text: str) -> list[FeatureRow]:
    """The rows of the table. Raises ValueError for a line that is none."""
    rows: list[FeatureRow] = []
    section = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        title = _SECTION.match(line)
        if title:
            section = title[2]
            continue
        rows.append(_row(line, section))
    return rows


def _row(line: str, section: str) -> FeatureRow:
    cells = [cell.strip() for cell in line.split(" | ")]
    if len(cells) != 4:
        raise ValueError(f"not four cells: {line}")
    number, state, what, proof = cells
    words = [] if proof == "-" else _PROOF.findall(proof)
    targets = tuple(target for target, _ in words if target)
    tests = tuple(_node(word) for _, word in words if word)
    return FeatureRow(int(number), section, state, what, tests, targets)


def _node(word: str) -> str:
    """``serve:name`` as tests/…/test_serve.py::test_name; the short form where there is none."""
    file, _, name = word.partition(":")
    path = test_files().get(f"test_{file}.py")
    if path is None:
        return word
    return f"{path}::{_tests(path).get(f'test_{name}', f'test_{name}')}"


@cache
def test_files() -> Mapping[str, str]:
    """Paths of the test files by their names, which are used once."""
    files = sorted((REPOSITORY / "tests").rglob("test_*.py"))
    return {file.name: file.relative_to(REPOSITORY).as_posix() for file in files}


@cache
def _tests(path: str) -> Mapping[str, str]:
    """The tests of a file by their names: as pytest names them, with their class."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    found = {node.name: node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        names = [node.name for node in group.body if isinstance(node, ast.FunctionDef)]
        found |= {name: f"{group.name}::{name}" for name in names}
    return found


def faults(rows: list[FeatureRow]) -> Iterator[str]:
    """What the table claims and does not show."""
    numbers = [row.number for row in rows]
    if numbers != list(range(1, ROWS + 1)):
        yield f"the numbers are not 1 to {ROWS} in order"
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for row in rows:
        if row.state not in STATES:
            yield f"{row.number}: the state {row.state}"
        if row.state != "no" and not row.tests + row.targets:
            yield f"{row.number}: {row.state}, and nothing shows it"
        for target in set(row.targets) - targets:
            yield f"{row.number}: there is no make {target}"
        for node in row.tests:
            path, _, name = node.partition("::")
            if not (REPOSITORY / path).is_file() or name not in _tests(path).values():
                yield f"{row.number}: there is no test {node}"


def counts(rows: list[FeatureRow]) -> Mapping[str, int]:
    """How many rows have each state."""
    found = Counter(row.state for row in rows)
    return {state: found[state] for state in STATES}


def features_page() -> str:
    """The page. Raises ValueError where the table claims what nothing shows."""
    rows = read_table(TABLE.read_text(encoding="utf-8"))
    wrong = list(faults(rows))
    if wrong:
        raise ValueError("scripts/features.txt:\n" + "\n".join(wrong))
    summary = ", ".join(f"{number} {state}" for state, number in counts(rows).items())
    lines = [
        "# Features",
        "",
        f"{len(rows)} features: {summary}. Each is shown by a test or a make target; one without",
        "either does not count as working.",
        "",
    ]
    for section in dict.fromkeys(row.section for row in rows):
        lines += [f"## {section}", "", "| # | | Feature | Shown by |", "|---|---|---|---|"]
        lines += [_line(row) for row in rows if row.section == section]
        lines.append("")
    return "\n".join(lines)


def _line(row: FeatureRow) -> str:
    proof = [f"`{node}`" for node in row.tests] + [f"`make {target}`" for target in row.targets]
    return f"| {row.number} | {row.state} | {row.what} | {'<br>'.join(proof) or '–'} |"
