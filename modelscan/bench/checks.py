"""Checks of an answer's visible text: contains, regex, json, max_words and the others. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value

CheckKind = Literal[
    "contains", "not_contains", "regex", "not_regex", "json", "json_schema", "min_words",
    "max_words", "nonempty",
]  # fmt: skip
CHECK_KINDS: tuple[CheckKind, ...] = get_args(CheckKind)
# The name of each kind's argument; ``value`` is accepted for all of them.
ARGUMENTS: Mapping[CheckKind, str | None] = {
    "contains": "text", "not_contains": "text", "regex": "pattern", "not_regex": "pattern",
    "json": None, "json_schema": "schema", "min_words": "words", "max_words": "words",
    "nonempty": None,
}  # fmt: skip
_FENCE = re.compile(r"^```\w*\s*\n(.*?)\n?```$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """One check. ``argument``: a text, a pattern, a number of words or a JSON Schema."""

    kind: CheckKind
    argument: Any = None
    ignore_case: bool = False

    @property
    def label(self) -> str:
        """The check as text, for reports."""
        shown = self.argument if isinstance(self.argument, (str, int)) else None
        return self.kind if shown is None else f"{self.kind} {str(shown)[:80]}"


def made(kind: CheckKind, argument: Any, *, ignore_case: bool = False) -> AnswerCheck:
    """A check whose argument has the type that its kind needs; raises ValueError otherwise."""
    name = ARGUMENTS[kind]
    if name is None:
        if argument is not None:
            raise ValueError(f"the kind '{kind}' has no argument")
    elif name == "words":
        if not isinstance(argument, int) or isinstance(argument, bool) or argument < 0:
            raise ValueError(f"'{kind}' needs {name}: a number")
    elif name == "schema":
        _check_schema(argument)
    elif not isinstance(argument, str) or not argument:
        raise ValueError(f"'{kind}' needs {name}: a text")
    elif name == "pattern":
        try:
            re.compile(argument)
        except re.error as error:
            raise ValueError(f"'{argument}' is no regular expression: {error}") from error
    return AnswerCheck(kind, argument, ignore_case)


def passes(check: AnswerCheck, answer: str) -> bool:
    """Whether an answer passes. Raises UsageError where a package for it is missing."""
    return _PASSES[check.kind](check, answer)


def failed_checks(checks: tuple[AnswerCheck, ...], answer: str) -> list[AnswerCheck]:
    """The checks that an answer fails, in their order."""
    return [check for check in checks if not passes(check, answer)]


def _contains(check: AnswerCheck, answer: str) -> bool:
    text = str(check.argument)
    return text.lower() in answer.lower() if check.ignore_case else text in answer


def _regex(check: AnswerCheck, answer: str) -> bool:
    flags = re.MULTILINE | (re.IGNORECASE if check.ignore_case else 0)
    return re.search(check.argument, answer, flags) is not None


def _json(answer: str) -> tuple[bool, Any]:
    """Whether the text is one JSON value, in a code fence or without one; and the value."""
    text = answer.strip()
    fenced = _FENCE.match(text)
    try:
        return True, json_value(fenced[1] if fenced else text)
    except ValueError:
        return False, None


def _json_schema(check: AnswerCheck, answer: str) -> bool:
    is_json, value = _json(answer)
    return is_json and bool(_validator(check.argument).is_valid(value))


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, Mapping):
        raise ValueError("'json_schema' needs schema: a JSON Schema")
    validator = _validator(schema)
    from jsonschema.exceptions import SchemaError

    try:
        validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {error.message:.200}") from error


def _validator(schema: Any) -> Any:
    """A validator that loads no other document."""
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise UsageError(
            "a check of the kind json_schema needs jsonschema, which this installation lacks",
            hint="pip install jsonschema",
            code="missing_package",
        ) from error
    return Draft202012Validator(json.loads(json.dumps(schema)))


def _words(answer: str) -> int:
    return len(answer.split())


_PASSES: Mapping[CheckKind, Callable[[AnswerCheck, str], bool]] = {
    "contains": _contains,
    "not_contains": lambda check, answer: not _contains(check, answer),
    "regex": _regex,
    "not_regex": lambda check, answer: not _regex(check, answer),
    "json": lambda _, answer: _json(answer)[0],
    "json_schema": _json_schema,
    "min_words": lambda check, answer: _words(answer) >= check.argument,
    "max_words": lambda check, answer: _words(answer) <= check.argument,
    "nonempty": lambda _, answer: bool(answer.strip()),
}
