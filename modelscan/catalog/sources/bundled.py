"""The bundled snapshots."""

from __future__ import annotations

from pathlib import Path

from modelscan.catalog.records import SourceSnapshot, load
from modelscan.state.bundled import bundled_dir


def snapshots_dir() -> Path:
    """The folder of the bundled snapshots."""
    return bundled_dir() / "snapshots"


def bundled_snapshots() -> tuple[SourceSnapshot, ...]:
    """All sources' bundled snapshots, sorted by name."""
    files = sorted(snapshots_dir().glob("*.json.gz"))
    return tuple(load(file.read_bytes(), where=file.name) for file in files)
