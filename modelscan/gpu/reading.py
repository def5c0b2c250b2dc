"""What a parser makes of a tool's output: a Reading, or a ParseError with a name. Nothing else."""

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
    """The text tells of no device. ``code`` names why; ``hint`` is what mends it."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def problem(self) -> Problem:
        """The same as a problem of an inventory."""
        return Problem(self.code, self.message, self.hint)


@dataclass(frozen=True, slots=True)
class Reading:
    """Devices as one output tells them; fields it does not tell are None."""

    source: str
    gpus: tuple[Gpu, ...]
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
    driver_version: str | None = None
    fabric_bytes_per_s: Mapping[int, int] = field(default_factory=dict)  # NVLink total per GPU


def plain(text: str) -> str:
    """A text of bounded length without a byte order mark and terminal escapes.

    A page that was copied keeps of ``ESC[4m`` only ``[4m``.
    """
    without = re.sub(r"\x1b\[[0-9;]{0,16}[A-Za-z]|\[\d{1,2}m", "", text[:MAX_TEXT])
    return without.removeprefix("\ufeff")


def lines_of(text: str, longest: int = MAX_LINE) -> Iterator[str]:
    """Lines of bounded length of the plain text."""
    for line in plain(text).splitlines():
        yield line[:longest]


def is_nothing(value: Any) -> bool:
    """``N/A`` in its many spellings."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING)


def is_help(text: str) -> bool:
    """Whether a program printed how it is to be called instead of an answer."""
    head = text[:20_000]
    usage = re.search(r"^[ \t]{0,8}usage:", head, re.IGNORECASE | re.MULTILINE)
    return bool(usage and re.search(r"--help\b|\[-h\]|\[Options\]", head))


def text_of(value: Any) -> str | None:
    """A printable word, or None for the ways of saying nothing."""
    if is_nothing(value) or isinstance(value, (dict, list, bool)):
        return None
    cleaned = "".join(c for c in str(value)[:200] if c.isprintable()).strip()
    return cleaned or None


def number(value: Any) -> float | None:
    """The leading number of ``42 %``, ``{"value": 42, "unit": "%"}`` or 42."""
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
    """Bytes of ``81559 MiB``, ``{"value": 196592, "unit": "MB"}`` or a bare number in ``unit``.

    Vendors' MB are MiB. Negative and absurd sizes are None.
    """
    own = unit
    if isinstance(value, Mapping):
        own = str(value.get("unit") or unit)
    elif isinstance(value, str):
        match = _QUANTITY.match(value[:64])
        own = (match.group(2) if match else "") or unit
    amount = number(value)
    scale = _UNITS.get(own.lower())
    if amount is None or scale is None or not 0 <= amount * scale < 1 << 50:
        return None
    return round(amount * scale)


def pci_address(value: Any) -> str | None:
    """``00000000:01:00.0`` and ``01:00.0`` as ``0000:01:00.0``, lower case."""
    match = re.search(
        r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", str(value or "").lower()[:64]
    )
    if not match:
        return None
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}"


def free_of(total: int | None, used: int | None, reserved: int | None = None) -> int | None:
    """Total less used and reserved; None where it cannot be known."""
    if total is None or used is None:
        return None
    return max(0, total - used - (reserved or 0))


def json_in(text: str, tool: str) -> Any:
    """The JSON document in an output, whatever warnings precede or follow it; raises ParseError."""
    text = plain(text)
    starts = [m.start() for m in re.finditer(r"^[ \t]*[\[{]", text, re.MULTILINE)][:20]
    for start in starts or [i for i in (text.find("{"), text.find("[")) if i >= 0][:1]:
        try:
            return _documents(text[start:].lstrip())
        except (ValueError, RecursionError):
            continue
    code, said = ("garbled", "ends early or is not JSON") if starts else ("not_json", "has no JSON")
    raise ParseError(code, f"the output of {tool} {said}", f"run it by hand: {tool}")


def _documents(text: str) -> Any:
    """The first document; lists that follow each other (one per device) are one list."""
    decoder = json.JSONDecoder()
    document, end = decoder.raw_decode(text)
    for _ in range(MAX_DEVICES):
        text = text[end:].lstrip()
        if not isinstance(document, list) or not text.startswith("["):
            break
        try:
            following, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            break
        document = [*document, *following]
    return document


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """The dictionaries in a list (or the one there is), at most MAX_DEVICES."""
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
    """A device's number; the fallback where it is absent or absurd."""
    amount = number(value)
    return int(amount) if amount is not None and 0 <= amount < 10_000 else fallback
