"""One check of ``doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """``status`` ``absent``: not installed, and optional."""

    name: str
    status: Literal["ok", "warning", "error", "absent"]
    detail: str
    hint: str | None = None
