"""Facts, links and commands of a documentation, checked against a small project's files."""

from __future__ import annotations

from collections.abc import Mapping
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
from modelscan.evals.suites.reader import one_line, read_data, suite_of


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("documents")
    tree = "\n".join(f"=== {name}\n{text.rstrip()}\n" for name, text in data["tree"].items())
    return suite_of(data, (_item(row, tree) for row in data["items"]))


def _item(row: Mapping[str, Any], tree: str) -> EvalItem:
    return EvalItem(
        id=row["id"],
        prompt=f"The files of the project:\n\n{tree}\nQuestion: {row['question']}",
        reference=ModelAnswer(row["answer"]),
        wrong=(*map(ModelAnswer, row["wrong"]), ModelAnswer(tree)),
        data={"accepted": [row["answer"], *row.get("also", ())], "kind": row["kind"]},
    )


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether the answer is one of the accepted values, and nothing else."""
    value = one_line(answer.text)
    accepted = {one_line(text) for text in item.data["accepted"]}
    if value and value in accepted:
        return passed()
    return failed(f"'{answer.text.strip()[:80]}' instead of '{item.data['accepted'][0]}'")
