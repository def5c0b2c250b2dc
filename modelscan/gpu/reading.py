"""The result of parsing a tool's output (Reading or ParseError), and helpers for parsers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.gpu import Gpu, Link, Problem

MAX_TEXT = 8 << 20
MAX_LINE = 4000
MAX_DEVICES = 512
_UNITS = {"": 1, "b": 1, "byte": 1, "bytes": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20,
          "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30, "tb": 1 << 40, "tib": 1 << 40}  # fmt: skip
_QUANTITY = re.compile(r"^\s*([-+]?\d{1,24}(?:\.\d{1,24})?)\s*([A-Za-z%]*)")
_NOTHING = {"", "n/a", "[n/a]", "na", "none", "-", "unknown", "[not supported]", "not supported",
            "[insufficient permissions]", "null"}  # fmt: skip


class ParseError(Exception):
    """The text lists no device. ``code``: why; ``hint``: how to correct it."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def problem(self) -> Problem:
        """The error as a problem of an inventory."""
        return Problem(self.code, self.message, self.hint)


@dataclass(frozen=True, slots=True)
class Reading:
    """The devices in one output; fields that the output does not contain are None."""

    source: str
    gpus: tuple[Gpu, ...]
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
    driver_version: str | None = None
    fabric_bytes_per_s: Mapping[int, int] = field(default_factory=dict)  # NVLink total per GPU


def plain(text: str) -> str:
    """The text, limited in length, without byte order mark and terminal escapes.

    In text copied from a web page, only ``[4m`` is left of ``ESC[4m``.
    """
    without = re.sub(r"\x1b\[[0-9;]{0,16}[A-Za-z]|\[\d{1,2}m", "", text[:MAX_TEXT])
    return without.removeprefix("\ufeff")


def lines_of(text: str, longest: int = MAX_LINE) -> Iterator[str]:
    """The lines of the plain text, each limited in length."""
    for line in plain(text).splitlines():
        yield line[:longest]


def is_nothing(value: Any) -> bool:
    """True for None and the spellings of ``N/A``."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING)


def is_help(text: str) -> bool:
    """True if the text is a program's usage help."""
    head = text[:20_000]
    usage = re.search(r"^[ \t]{0,8}usage:", head, re.IGNORECASE | re.MULTILINE)
    return bool(usage and re.search(r"--help\b|\[-h\]|\[Options\]", head))


def text_of(value: Any) -> str | None:
    """The value as printable text; None for spellings of ``N/A`` and other types."""
    if is_nothing(value) or isinstance(value, (dict, list, bool)):
        return None
    cleaned = "".join(c for c in str(value)[:200] if c.isprintable()).strip()
    return cleaned or None


def number(value: Any) -> float | None:
    """The leading number of ``42 %``, ``{"value": 42, "unit": "%"}`` or 42; None if there is
    none.
    """
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        try:
            result = float(value)
        except OverflowError:
            return None
        return result if math.isfinite(result) else None
    match = _QUANTITY.match(value[:64]) if isinstance(value, str) else None
    return float(match.group(1)) if match else None


def size_bytes(value: Any, unit: str = "") -> int | None:
    """Bytes of ``81559 MiB``, ``{"value": 196592, "unit": "MB"}`` or a number in ``unit``.

    Vendors' MB are MiB. None for negative and impossible sizes.
    """
    actual_unit = unit
    if isinstance(value, Mapping):
        actual_unit = str(value.get("unit") or unit)
    elif isinstance(value, str):
        match = _QUANTITY.match(value[:64])
        actual_unit = (match.group(2) if match else "") or unit
    amount = number(value)
    scale = _UNITS.get(actual_unit.lower())
    if amount is None or scale is None or not 0 <= amount * scale < 1 << 50:
        return None
    return round(amount * scale)


def pci_address(value: Any) -> str | None:
    """``00000000:01:00.0`` and ``01:00.0`` as ``0000:01:00.0``, in lower case; None if not an
    address.
    """
    match = re.search(
        r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", str(value or "").lower()[:64]
    )
    if not match:
        return None
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}"


def free_of(total: int | None, used: int | None, reserved: int | None = None) -> int | None:
    """Total minus used and reserved bytes; None if total or used is unknown."""
    if total is None or used is None:
        return None
    return max(0, total - used - (reserved or 0))


def json_in(text: str, tool: str) -> Any:
    """The JSON document in an output, with any warnings before or after it. Raises ParseError."""
    text = plain(text)
    starts = [m.start() for m in re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE)][:20]
    for start in starts or [i for i in (text.find("{"), text.find("[")) if i >= 0][:1]:
        try:
            return _documents(text[start:].lstrip())
        except (ValueError, RecursionError):
            continue
    code, reason = (
        ("garbled", "ends early or is not JSON") if starts else ("not_json", "has no JSON")
    )
    raise ParseError(code, f"the output of {tool} {reason}", f"run it by hand: {tool}")


def _documents(text: str) -> Any:
    """The first document; consecutive lists (one per device) are joined."""
    decoder = json.JSONDecoder()
    document, end = decoder.raw_decode(text)
    for _ in range(MAX_DEVICES):
        text = text[end:].lstrip()
        if not isinstance(document, list) or not text.startswith("["):
            break
        try:
            next_document, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            break
        document = [*document, *next_document]
    return document


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """The dictionaries in a list (or the value itself, if it is one), at most MAX_DEVICES."""
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    for count, item in enumerate(items):
        if count >= MAX_DEVICES:
            return
        if isinstance(item, dict):
            yield item


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else {}


def index_of(value: Any, fallback: int) -> int:
    """A device's index; ``fallback`` if it is missing or impossible."""
    amount = number(value)
    return int(amount) if amount is not None and 0 <= amount < 10_000 else fallback
