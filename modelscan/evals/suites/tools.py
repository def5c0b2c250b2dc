"""Function calling: the right tool with the right arguments, and no call where none fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.evals.items import (
    EvalItem,
    EvalSuite,
    Grade,
    ModelAnswer,
    OfferedTool,
    RunCode,
    SuiteRequest,
    ToolRequest,
    failed,
    passed,
)
from modelscan.evals.suites.json_values import same
from modelscan.evals.suites.reader import read_data, suite_of


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("tools")
    return suite_of(data, (_item(row, data["toolbox"]) for row in data["items"]))


def _item(row: Mapping[str, Any], toolbox: Mapping[str, Any]) -> EvalItem:
    call = row["call"]
    offered = tuple(
        OfferedTool(name, toolbox[name]["description"], toolbox[name]["parameters"])
        for name in row["tools"]
    )
    twice = _answer(call) if call else ModelAnswer()
    wrong = [_answer(one) for one in row["wrong"]]
    if call:
        wrong += [ModelAnswer("I would call the tool."), ModelAnswer("", twice.calls * 2)]
    return EvalItem(
        id=row["id"],
        prompt=row["prompt"],
        reference=_answer(call) if call else ModelAnswer("None of the tools does that."),
        wrong=tuple(wrong),
        data={"call": call},
        tools=offered,
    )


def _answer(call: Mapping[str, Any] | list[Any]) -> ModelAnswer:
    if not isinstance(call, Mapping):
        return ModelAnswer("There is nothing to call.")
    return ModelAnswer("", (ToolRequest(call["name"], call["arguments"]),))


def grade(item: EvalItem, answer: ModelAnswer, _: RunCode | None) -> Grade:
    """Whether the calls are exactly the expected one, or none."""
    expected = item.data["call"]
    if expected is None:
        names = ", ".join(call.name for call in answer.calls)
        return failed(f"called {names} where no tool fits") if answer.calls else passed("no call")
    if not answer.calls:
        return failed(f"no call instead of {expected['name']}", "no_tool_call")
    if len(answer.calls) > 1:
        return failed(f"{len(answer.calls)} calls instead of one")
    call = answer.calls[0]
    if call.name != expected["name"]:
        return failed(f"called {call.name} instead of {expected['name']}")
    if not _same_arguments(call.arguments, expected["arguments"]):
        return failed(f"arguments {dict(call.arguments)!r:.200} of {call.name}")
    return passed()


def _same_arguments(given: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Equal, apart from the case of texts, spaces around them, and a closing full stop."""
    return same(_plain(given), _plain(expected))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip().removesuffix(".").casefold()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
