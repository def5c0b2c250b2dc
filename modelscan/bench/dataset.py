"""Prompts of a JSON Lines file, in the shapes that other load generators read. Pure.

{"text": "…"}                                       single_turn of AIPerf
{"turns": [{"text": "…"}, {"text": "…"}]}           multi_turn of AIPerf: one after the other
{"messages": [{"role": "user", "content": "…"}]}    chat; "max_tokens" is optional everywhere
{"prompt": "…"}                                     custom of vLLM
{"timestamp": 0, "input_length": 512, "output_length": 64}   mooncake_trace: synthetic, at its
                                                    time (milliseconds)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from modelscan.bench.workload import BenchWorkload, PromptCase, PromptMessage, Role
from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value

MOST_LINES, MOST_CHARACTERS = 100_000, 4 << 20
_SHAPES = "text, turns, messages, prompt, or input_length"
_ROLES: tuple[str, ...] = get_args(Role)
_OTHER_MEDIA = ("image", "images", "audio", "audios", "video", "videos")


def read_dataset(lines: Iterable[str], where: str, output_tokens: int | None) -> BenchWorkload:
    """The workload of a file's lines; ``output_tokens``: the limit of lines without one.

    Raises UsageError with the number of the line that cannot be used.
    """
    cases = tuple(_cases(lines, where, output_tokens))
    if not cases:
        raise UsageError(f"{where} has no prompt", hint=f"one JSON object a line with {_SHAPES}")
    scheduled = [case.at_s is not None for case in cases]
    if any(scheduled) and not all(scheduled):
        number = scheduled.index(False) + 1
        raise UsageError(
            f"{where}: the prompt {number} has no timestamp, others have one",
            hint="give each line a timestamp in milliseconds, or none",
        )
    synthetic = any(case.input_tokens is not None for case in cases)
    name = where.replace("\\", "/").rpartition("/")[2]
    return BenchWorkload(name, cases, synthetic=synthetic, ignore_eos=synthetic)


def _cases(lines: Iterable[str], where: str, output_tokens: int | None) -> Iterator[PromptCase]:
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES:
            raise UsageError(f"{where} has more than {MOST_LINES:,} lines", hint="split it")
        if line.strip():
            try:
                yield _case(line, number, output_tokens)
            except ValueError as error:
                raise UsageError(
                    f"{where}, line {number}: {error}",
                    hint=f"one JSON object a line with {_SHAPES}",
                    code="bad_dataset",
                ) from error


def _case(line: str, number: int, output_tokens: int | None) -> PromptCase:
    if len(line) > MOST_CHARACTERS:
        raise ValueError(f"{len(line):,} characters; at most {MOST_CHARACTERS:,} are read")
    row = json_value(line)
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object")
    _refuse_media(row)
    tokens = _amount(row, "max_tokens", "output_length", "output_tokens") or output_tokens
    timestamp = row.get("timestamp")
    at_s = None if timestamp is None else _number(timestamp, "timestamp") / 1000
    if "input_length" in row:
        length = _amount(row, "input_length")
        return PromptCase(str(number), max_tokens=tokens, at_s=at_s, input_tokens=length)
    turns, messages = _prompt(row)
    return PromptCase(str(number), turns, messages, tokens, at_s=at_s)


def _prompt(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[PromptMessage, ...]]:
    """The turns of a line, and the messages before them."""
    if "messages" in row:
        messages = tuple(_message(one) for one in _rows(row, "messages"))
        last = messages[-1]
        if last.role != "user":
            raise ValueError(f"the last message must be the user's, not of the role '{last.role}'")
        return (last.content,), messages[:-1]
    if "turns" in row:
        return tuple(_text(one) for one in _rows(row, "turns")), ()
    return (_text(row),), ()


def _message(row: Any) -> PromptMessage:
    if not isinstance(row, dict) or row.get("role") not in _ROLES:
        raise ValueError(f"a message needs a role: {', '.join(_ROLES)}")
    content = row.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        if len(parts) != len(content) or not all(isinstance(part, str) for part in parts):
            raise ValueError("only messages of text can be sent")
        content = "".join(cast(list[str], parts))
    if not isinstance(content, str):
        raise ValueError("a message needs content: a text")
    return PromptMessage(cast(Role, row["role"]), content)


def _text(row: Any) -> str:
    if isinstance(row, str) and row:
        return row
    if isinstance(row, dict):
        _refuse_media(row)
        texts = row.get("texts")
        if isinstance(texts, list) and texts and isinstance(texts[0], (str, dict)):
            return _text(texts[0])
        for key in ("text", "prompt", "content"):
            if isinstance(row.get(key), str) and row[key]:
                return str(row[key])
    raise ValueError(f"there is no prompt in it: {_SHAPES}")


def _rows(row: Mapping[str, Any], key: str) -> Sequence[Any]:
    rows = row[key]
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{key}: a list is required")
    return rows


def _refuse_media(row: Mapping[str, Any]) -> None:
    for key in _OTHER_MEDIA:
        if row.get(key):
            raise ValueError(f"{key}: only text can be sent")


def _amount(row: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        if row.get(key) is not None:
            number = _number(row[key], key)
            if number < 1 or number != int(number):
                raise ValueError(f"{key}: a whole number from 1 is required")
            return int(number)
    return None


def _number(value: Any, key: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e13:
        raise ValueError(f"{key}: a number is required")
    return float(value)
