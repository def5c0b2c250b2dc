"""Parsing and formatting of quantities. Inside, bytes and tokens are ``int``."""

from __future__ import annotations

import math
import re

from modelscan.core.errors import UsageError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_BYTE_UNITS = {
    "": 1, "b": 1,
    "k": KIB, "kib": KIB, "kb": 1000,
    "m": MIB, "mib": MIB, "mb": 1000**2,
    "g": GIB, "gib": GIB, "gb": 1000**3,
    "t": TIB, "tib": TIB, "tb": 1000**4,
}  # fmt: skip
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}
_QUANTITY = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$", re.IGNORECASE | re.ASCII)
LARGEST = 1e12  # limit of typed numbers: a larger one is a typing error


def parse_bytes(text: str) -> int:
    """``24GiB`` -> bytes. ``GB`` is decimal, ``GiB`` and a bare ``G`` are binary.

    Raises UsageError when it is not a size.
    """
    match = _QUANTITY.match(text)
    unit = match.group(2).lower() if match else ""
    if not match or unit not in _BYTE_UNITS:
        raise UsageError(f"'{text}' is not a size", hint="write it like 24GiB, 512MiB or 80GB")
    return round(float(match.group(1)) * _BYTE_UNITS[unit])


def parse_tokens(text: str) -> int:
    """``32k`` -> 32768 tokens, ``1m`` -> 1048576, ``32000`` -> 32000.

    Raises UsageError when it is not a positive number of tokens.
    """
    match = _QUANTITY.match(text)
    scale = {"": 1, "k": KIB, "m": MIB}.get(match.group(2).lower() if match else "?")
    number = float(match.group(1)) * scale if match and scale else 0
    tokens = round(number) if number <= LARGEST else 0
    if tokens < 1:
        raise UsageError(f"'{text}' is not a number of tokens", hint="write it like 8192 or 32k")
    return tokens


def parse_least_tokens(text: str) -> int:
    """The smallest number that ``text`` can mean as a lower limit: ``128k`` -> 128000 tokens.

    Models with 128,000 and with 131,072 tokens are both called 128k. Raises UsageError like
    ``parse_tokens``.
    """
    binary = parse_tokens(text)
    match = _QUANTITY.match(text)
    scale = {"k": 1_000, "m": 1_000_000}.get(match.group(2).lower() if match else "")
    return round(float(match.group(1)) * scale) if match and scale else binary


def parse_seconds(text: str) -> float:
    """``600``, ``600s``, ``10m``, ``2h`` or ``1d`` -> seconds. Raises UsageError otherwise."""
    match = _QUANTITY.match(text)
    scale = _SECONDS.get(match.group(2).lower()) if match else None
    if match is None or scale is None:
        raise UsageError(f"'{text}' is not a time", hint="write it like 600, 10m or 2h")
    return float(match.group(1)) * scale


def format_bytes(value: int | None) -> str:
    """Bytes for people, binary units, three significant digits; unknown is ``-``."""
    if value is None:
        return "-"
    if value < 0:
        return "-" + format_bytes(-value)
    for size, unit in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if value >= size:
            number = value / size
            digits = 0 if number >= 100 else 1 if number >= 10 else 2
            return f"{number:.{digits}f} {unit}"
    return f"{value} B"


def format_tokens(value: int | None) -> str:
    """Tokens for people, in a form that ``parse_tokens`` reads back exactly; unknown is ``-``.

    Whole multiples of 1024 as ``32k``; round decimal numbers stay as they are (128000 is what its
    provider says, and not 125k).
    """
    if value is None:
        return "-"
    if value >= KIB and value % 1000:
        for size, unit in ((MIB, "M"), (KIB, "k")):
            if value % size == 0:
                return f"{value // size}{unit}"
    return str(value)


def format_speed(value: float | None) -> str | None:
    """Three significant digits with thousands separators: ``4,910``, ``49.1``, ``0.491``.

    For tokens per second and other rates; the caller adds the unit. Unknown is None.
    """
    if value is None:
        return None
    if value <= 0:
        return "0"
    digits = 2 - math.floor(math.log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 entry``, ``2 entries``; without ``many`` the word gets an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def format_count(value: int | float | None) -> str:
    """Parameters and similar counts: ``8.19B``, ``494M``; unknown is ``-``."""
    if value is None:
        return "-"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= 0.9995 * size:  # 999,600 is 1M, not 1e+03K
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"
