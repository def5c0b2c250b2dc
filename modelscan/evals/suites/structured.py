"""The facts of a short text as JSON of a given schema."""

from __future__ import annotations

import json
import re
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
from modelscan.evals.suites.json_values import same
from modelscan.evals.suites.reader import read_data, suite_of


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("structured")
    return suite_of(data, (_item(row, data["schemas"][row["schema"]]) for row in data["items"]))


def _item(row: Mapping[str, Any], schema: Mapping[str, Any]) -> EvalItem:
    right = json.dumps(row["expected"], ensure_ascii=False)
    wrong = [json.dumps(value, ensure_ascii=False) for value in row["wrong"]]
    return EvalItem(
        id=row["id"],
        prompt=f"JSON Schema:\n{json.dumps(schema)}\n\nText: {row['text']}",
        reference=ModelAnswer(right),
        wrong=tuple(map(ModelAnswer, [*wrong, right[:-1], f"[{right}]", f"{right} {right}"])),
        data={"expected": row["expected"]},
        schema=schema,
    )


_FENCE = re.compile(r"```[ \t]*(?:json[\w-]*)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two values for one, neither is the answer."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether the answer is one JSON object that follows the schema and has the right values."""
    import jsonschema

    text = answer.text.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced else text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return failed(f"no JSON: {str(error)[:120]}")
    try:
        jsonschema.validate(value, item.schema or {})
    except jsonschema.ValidationError as error:
        return failed(f"not of the schema: {error.message[:160]}")
    if same(value, item.data["expected"]):
        return passed()
    return failed(f"{text[:120]} instead of {json.dumps(item.data['expected'])[:200]}")
