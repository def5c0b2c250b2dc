"""A public benchmark score as the index has it."""

from __future__ import annotations

from typing import NamedTuple


class Score(NamedTuple):
    """A public score: benchmark, value, the day it was published or read, and the publisher."""

    name: str
    value: float
    date: str | None
    source: str | None
