"""Numbers as the pages show them; unknown is an en dash."""

from __future__ import annotations

from modelscan.core.units import GIB, MIB, format_speed

UNKNOWN = "–"
_DECIMAL = 1000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def gib(value: float | None, digits: int = 1) -> str:
    """Bytes as GiB, without the unit."""
    return UNKNOWN if value is None else f"{value / GIB:,.{digits}f}"


def size(value: float | None) -> str:
    """Bytes with their unit: GiB, below one MiB."""
    if value is None:
        return UNKNOWN
    return f"{value / MIB:,.0f} MiB" if 0 < abs(value) < GIB else f"{gib(value)} GiB"


def bare(value: float) -> str:
    """A size inside a picture: GiB without the unit, small ones in MiB."""
    return gib(value) if value >= GIB / 10 else size(value)


def difference(fraction: float | None, digits: int = 1) -> str:
    """A difference as a percentage with its sign; what rounds to nothing has none."""
    if fraction is None:
        return UNKNOWN
    percent = round(100 * fraction, digits)
    return f"{percent:+.{digits}f} %" if percent else f"{0:.{digits}f} %"


def tokens(value: int | None) -> str:
    """Tokens in thousands where that is exact: 131,072 and 128,000 are both 128k."""
    if value is None:
        return UNKNOWN
    unit = _DECIMAL if value % _DECIMAL == 0 else 1024
    return f"{value // unit}k" if value and value % unit == 0 else f"{value:,}"


def speed(value: float | None) -> str:
    """Tokens per second, or another rate, in three significant digits."""
    return UNKNOWN if value is None else str(format_speed(value))


def whole(value: float | None) -> str:
    """A whole number with separators."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def count(value: int | None) -> str:
    """Parameters: 32.8B, 596M."""
    if not value:
        return UNKNOWN
    if value >= 1e12:
        return f"{value / 1e12:.1f}T".replace(".0T", "T")
    return f"{value / 1e9:.1f}B".replace(".0B", "B") if value >= 1e9 else f"{value / 1e6:.0f}M"


def loss(percent: float | None, basis: str | None) -> str:
    """The perplexity above the original's: ``none`` for the original, ``≈`` where interpolated."""
    if percent is None:
        return UNKNOWN
    if basis in ("original", "upcast"):
        return "none"
    number = f"{percent:.0f}" if percent >= 100 else f"{percent:.2g}"
    return f"{number} %" if basis == "measured" else f"≈ {number} %"


def seconds(value: float | None) -> str:
    """A duration: 0.42 s, 38 ms."""
    if value is None:
        return UNKNOWN
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"


def share(value: float | None) -> str:
    """0..1 as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 model``, ``2 models``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_name(name: str) -> str:
    """A GPU's name without its maker's."""
    for prefix in ("NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "Intel "):
        name = name.removeprefix(prefix)
    return name


def moment(text: str | None, *, seconds: bool = False) -> str:
    """A time as it is stored (RFC 3339, UTC), short: 30 Nov 09:14."""
    if not text or len(text) < 16 or not text[5:7].isdigit():
        return text or UNKNOWN
    month = _MONTHS[int(text[5:7]) - 1]
    return f"{int(text[8:10])} {month} {text[11 : 19 if seconds else 16]}"
