"""The names of the exports; apart from the exports, since help texts need the names only."""

from __future__ import annotations

from typing import Literal, get_args

ExportFormat = Literal[
    "command", "compose", "quadlet", "systemd", "kubernetes", "skypilot", "gpustack"
]  # fmt: skip
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
