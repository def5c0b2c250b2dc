"""Engines as tables and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.core.installed_engine import InstalledEngine
    from modelscan.supervisor.engines.answers import EngineList
    from modelscan.supervisor.engines.offer import EngineOffer


def list_document(answer: EngineList) -> Document[Any]:
    """One row per engine; interrupted installations as notes."""
    rows = [
        (row.id, row.version, row.source, devices(row), row.selected, format_bytes(row.size_bytes),
         row.path)
        for row in answer.engines
    ]  # fmt: skip
    table = Table(
        ("ENGINE", "VERSION", "SOURCE", "DEVICES", "USED", "SIZE", "PATH"), rows, ("SIZE",),
        optional=("SIZE", "SOURCE", "VERSION", "PATH"),
        empty="no engine is on this machine: modelscan engine install llama.cpp",
    )  # fmt: skip
    blocks: list[Block] = [table]
    for one in answer.unfinished:
        text = f"an installation of {one} was interrupted: modelscan engine remove {one}"
        blocks.append(Note(f"{text} (or install it again, which continues)"))
    return Document("engine.list", answer, blocks, [row.id for row in answer.engines])


def devices(row: InstalledEngine) -> str | None:
    """``CUDA0, CUDA1``, ``CPU``; None where the engine does not list them."""
    return None if row.devices is None else ", ".join(row.devices) or "CPU"


def engine_fields(row: InstalledEngine) -> Fields:
    """One engine."""
    return Fields(
        [
            ("engine", row.id),
            ("version", row.version),
            ("path", row.path),
            ("devices", devices(row)),
            ("source", row.source),
            ("supports", ", ".join(row.supports)),
        ]
    )


def offer_pairs(offer: EngineOffer) -> list[tuple[str, object]]:
    """What an installation fetches, from where, with which checksums, and writes."""
    from modelscan.supervisor.engines.offer import effort

    pairs: list[tuple[str, object]] = [
        ("engine", offer.id),
        *(("because", reason) for reason in offer.reasons),
    ]
    for file in offer.files:
        pairs += [
            ("file", file.url),
            ("size", format_bytes(file.size_bytes)),
            ("SHA-256", file.sha256),
        ]
    pairs += [("command", " ".join(command)) for command in offer.commands]
    pairs.append(("takes", effort(offer.download_bytes, offer.disk_bytes)))
    return [*pairs, ("folder", offer.folder)]
