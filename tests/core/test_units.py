"""Quantities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.core.units import (
    GIB,
    format_bytes,
    format_count,
    format_speed,
    format_tokens,
    parse_bytes,
    parse_tokens,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("24GiB", 24 * GIB), ("24G", 24 * GIB), ("24 gb", 24_000_000_000), ("1.5GiB", 3 * GIB // 2),
     ("512MiB", GIB // 2), ("17", 17), ("2TB", 2 * 10**12)],
)  # fmt: skip
def test_sizes(text: str, value: int) -> None:
    """GB is decimal, GiB binary; a bare G is what people mean by it for memory."""
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "24 parsecs", "1e9", "٣GiB x"])
def test_not_sizes(text: str) -> None:
    """Exit 2 with an example of the right form."""
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "value"), [("8192", 8192), ("32k", 32768), ("1M", 1 << 20), ("0.5k", 512)]
)
def test_tokens(text: str, value: int) -> None:
    """32k is 32768."""
    assert parse_tokens(text) == value


@pytest.mark.parametrize("text", ["0", "-5", "k", "32kb", "0.0001"])
def test_not_tokens(text: str) -> None:
    """At least one token."""
    with pytest.raises(UsageError):
        parse_tokens(text)


def test_formats() -> None:
    """Three digits; unknown is a dash."""
    assert [format_bytes(v) for v in (None, 0, 1023, 24 * GIB, 100 * GIB, -GIB)] == [
        "-", "0 B", "1023 B", "24.0 GiB", "100 GiB", "-1.00 GiB"]  # fmt: skip
    tokens = (None, 32768, 1000, 128_000, 131_072, 1 << 20, 0)
    assert [format_tokens(v) for v in tokens] == ["-", "32k", "1000", "128000", "128k", "1M", "0"]
    assert [format_count(v) for v in (None, 8_190_000_000, 671e9, 12)] == [
        "-",
        "8.19B",
        "671B",
        "12",
    ]


@given(st.integers(0, 1 << 50))
def test_formatted_sizes_parse_back(value: int) -> None:
    """What is printed is within half a percent of the truth."""
    assert abs(parse_bytes(format_bytes(value)) - value) <= max(value * 0.005, 0)


@given(st.integers(1, 1 << 30))
def test_formatted_tokens_parse_back_exactly(value: int) -> None:
    """A printed context can be pasted into --context."""
    assert parse_tokens(format_tokens(value)) == value


@pytest.mark.parametrize(
    ("speed", "text"),
    [(4910.4, "4,910"), (999.6, "1,000"), (99.96, "100"), (49.12, "49.1"), (9.996, "10.0"),
     (0.4914, "0.491"), (12345.6, "12,300"), (0.0, "0"), (None, None)],
)  # fmt: skip
def test_speeds_have_three_significant_digits(speed: float | None, text: str | None) -> None:
    """Thousands separators and never an exponent, however fast or slow."""
    assert format_speed(speed) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_speed_is_shown_within_half_a_percent(speed: float) -> None:
    shown = format_speed(speed)
    assert shown is not None and "e" not in shown
    assert abs(float(shown.replace(",", "")) - speed) <= 0.0051 * speed


def test_counts_have_no_exponent() -> None:
    assert (format_count(999_999_999), format_count(999_600)) == ("1B", "1M")
