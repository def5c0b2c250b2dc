"""Seeded defects in small changes: which lines are defective; recall, precision and F1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelscan.evals.items import EvalItem, EvalSuite, Grade, ModelAnswer, RunCode, SuiteRequest
from modelscan.evals.suites.reader import read_data, suite_of

_FINDING = re.compile(
    r"^[\s>*-]*[`*#(]*(?:[\w./-]+:|lines?\s+|L)?(\d{1,4})[`*]*\s*[:.)\u2013\u2014-]", re.IGNORECASE
)
_NONE = re.compile(r"^\W*none\W*$", re.IGNORECASE)


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("review")
    return suite_of(data, map(_item, data["items"]))


def _item(row: Mapping[str, Any]) -> EvalItem:
    lines = row["diff"].rstrip("\n").split("\n")
    shown = "\n".join(f"{number:3} {line}" for number, line in enumerate(lines, 1))
    defects = row["defects"]
    right = "\n".join(f"{places[0]}: {row['why']}" for places in defects) or "NONE"
    return EvalItem(
        id=row["id"],
        prompt=f"Purpose: {row['task']}\n\nFile {row['file']}:\n{shown}",
        reference=ModelAnswer(right),
        wrong=_wrong(len(lines), defects),
        data={"defects": defects},
    )


def _wrong(lines: int, defects: Sequence[Sequence[int]]) -> tuple[ModelAnswer, ...]:
    """The opposite, a line without a defect, and every line at once."""
    defective = {line for places in defects for line in places}
    clean = next((n for n in range(lines, 0, -1) if n not in defective), lines + 1)
    everything = "\n".join(f"{n}: wrong" for n in range(1, lines + 20))
    texts = [f"{clean}: this is wrong", everything, *(["NONE"] if defects else [])]
    return tuple(map(ModelAnswer, texts))


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """The F1 of the reported lines; a correct change passes if nothing is reported.

    ``counts``: seeded (defects), found (of them), reported (findings), right (findings that name a
    defect).
    """
    defects = item.data["defects"]
    reported = findings(answer.text)
    found = sum(any(line in reported for line in places) for places in defects)
    right = sum(any(line in places for places in defects) for line in reported)
    counts = {"seeded": len(defects), "found": found, "reported": len(reported), "right": right}
    if not defects:
        clean = not reported and says_none(answer.text)
        return Grade(float(clean), f"{len(reported)} findings in a correct change", None, counts)
    precision = right / len(reported) if reported else 0.0
    recall = found / len(defects)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    reason = f"{found} of {len(defects)} defects in {len(reported)} findings"
    return Grade(f1, reason, None, counts)


def findings(text: str) -> frozenset[int]:
    """The line numbers that an answer reports."""
    matches = (_FINDING.match(line) for line in text.splitlines())
    return frozenset(int(match.group(1)) for match in matches if match)


def says_none(text: str) -> bool:
    """Whether an answer states that there is no defect, and names no line."""
    lines = text.splitlines()
    return any(map(_NONE.match, lines)) and not re.search(r"\d", text)


def totals(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sums of the counts of all tasks."""
    names = ("seeded", "found", "reported", "right")
    return {name: sum(one.get(name, 0) for one in counts) for name in names}
