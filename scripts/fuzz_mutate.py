"""Seeded damage to bytes, texts and JSON documents."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

_NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 7, 255, 65535, 1 << 31, 1 << 53, 1 << 63, 1 << 64, 10**30, 0.5, -0.0, 1e308,
    math.inf, -math.inf, math.nan, True, False, None, "", "1", "9" * 5000, "²", "٣", "x" * 300,
    [], {}, [0], [None], [1, "a"], [[1]], {"a": 1}, [1] * 300, "auto", "N/A",
)  # fmt: skip
_SNIPPETS = (
    "N/A", "[N/A]", "-1", "9" * 400, "9" * 5000, "1e999", "NaN", "\x00", "\x1b[31m", "MiB", "ERR!",
    "GPU is lost", "null", "{", "}", "[", "]", "<gpu>", "</gpu>", "|", ",", ":", "\n", "\t", "é漢",
    "²", "٣", "0x", "card0", '"', "\\", "%", "(", ")", " ", "-", "=", "\r\n", "\u2028", "\ud7ff",
    "||||||||", "[" * 3000, '{"a":' * 1000, " " * 5000, "0" * 3000, "GPU 0: ", "\ufeff",
)  # fmt: skip
_INTEGERS = (0, 1, 2, 3, 7, 8, 9, 127, 255, 256, 65535, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40,
             1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip


def bytes_of(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A damaged one of the seeds."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_BYTES)(rng, data)
    if rng.random() < 0.05:
        other = rng.choice(seeds)
        data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]
    return bytes(data)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _number(rng: random.Random, data: bytearray) -> None:
    """An interesting integer in place of 1, 2, 4 or 8 bytes, little-endian."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(data) + 1)
    value = rng.choice(_INTEGERS) & ((1 << 8 * width) - 1)
    data[at : at + width] = value.to_bytes(width, "little")


def _remove(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 4, 8, 64, 1000))]


def _repeat(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    part = data[at : at + rng.choice((1, 8, 40, 300))]
    data[at:at] = part * rng.choice((1, 2, 16))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_SNIPPETS).encode("utf-8", "surrogatepass")


_BYTES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip, _flip, _number, _number, _number, _remove, _repeat, _cut, _insert,
)  # fmt: skip


def text_of(rng: random.Random, seeds: Sequence[str]) -> str:
    """A damaged one of the seeds; a JSON document is damaged as a document half of the time."""
    text = rng.choice(seeds)
    if text.lstrip().startswith(("{", "[")) and rng.random() < 0.5:
        return _as_json(rng, text)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        kind = rng.random()
        if kind < 0.5:
            text = text[:at] + rng.choice(_SNIPPETS) + text[at + rng.choice((0, 0, 1, 5, 40)) :]
        elif kind < 0.7:
            text = text[:at] + text[at + rng.choice((1, 8, 60, 500)) :]
        elif kind < 0.85:
            text = _digits(rng, text)
        else:
            part = text[at : at + rng.choice((10, 100, 1000))]
            text = text[:at] + part * rng.choice((1, 3, 20)) + text[at:]
    return text


def _digits(rng: random.Random, text: str) -> str:
    """Another number in place of one of the text's."""
    found = list(re.finditer(r"\d+", text))
    if not found:
        return text
    match = rng.choice(found)
    other = rng.choice(("0", "-1", "9" * 30, "9" * 5000, "1e400", "²", "", str(1 << 63)))
    return text[: match.start()] + other + text[match.end() :]


def _as_json(rng: random.Random, text: str) -> str:
    try:
        return json.dumps(document_of(rng, [json.loads(text)]))
    except (ValueError, RecursionError):
        return text


def document_of(rng: random.Random, seeds: Sequence[Any], keys: Sequence[str] = ()) -> Any:
    """A damaged copy of one of the documents. ``keys``: names to add or to use instead."""
    document = json.loads(json.dumps(rng.choice(seeds)))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        place = _place(rng, document)
        if place is None:
            return copy.deepcopy(rng.choice(_NUMBERS))
        _change(rng, *place, keys)
    return document


def _place(rng: random.Random, document: Any) -> tuple[Any, Any] | None:
    """A random container and a key or index in it."""
    if not isinstance(document, (dict, list)) or not document:
        return None
    node = document
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        inner = node[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.3:
            return node, key
        node = inner


def _change(rng: random.Random, node: Any, key: Any, keys: Sequence[str]) -> None:
    kind = rng.random()
    if kind < 0.5:
        node[key] = _value(rng, node, key)
    elif kind < 0.7:
        del node[key]
    elif isinstance(node, dict):
        name = rng.choice(keys) if keys and rng.random() < 0.8 else f"{key}_{rng.randrange(9)}"
        node[name] = _value(rng, node, key) if rng.random() < 0.5 else copy.deepcopy(node[key])
    else:
        node.insert(rng.randrange(len(node) + 1), _value(rng, node, key))


def _value(rng: random.Random, node: Any, key: Any) -> Any:
    old = node[key]
    if isinstance(old, (int, float)) and not isinstance(old, bool) and rng.random() < 0.3:
        return rng.choice((-old, old * 2, old + 1, [old], str(old), old // 2 if old == old else 0))
    return copy.deepcopy(rng.choice(_NUMBERS))
