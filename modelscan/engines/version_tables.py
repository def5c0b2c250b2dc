"""Facts about every known version of an engine, from ``catalogs/engines.json.gz``.

The file is made by ``make engine-tables`` from the packages that the engines publish. It is read on
first use and never changes while modelscan runs. Kinds of facts: ``architecture``, ``removed``,
``plugin``, ``lora``, ``lora_target`` (a module that adapters may change), ``transcription``,
``method`` (quantization method, lowest compute capability, activation types),
``deprecated_method``, ``platform_method``, ``scheme``, ``float16_ban``,
``unscaled_rope``, ``tool_parser``, ``reasoning_parser``, ``flag``, ``cuda``, ``cuda_build``,
``rocm_build``, ``default``, ``projector``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.state.bundled import bundled_bytes

FILE = "engines.json.gz"
Key = tuple[int, ...]
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.?post(\d+))?")
_BUILD = re.compile(r"b(\d{3,6})\b|\b20\d\d\.\d{1,2}\.(\d{4,6})\b")


@dataclass(frozen=True, slots=True)
class EngineTable:
    """``versions`` from old to new; ``facts``: kind -> runs of versions -> rows."""

    versions: tuple[str, ...]
    facts: Mapping[str, Mapping[str, list[str]]]

    def position(self, version: str | None) -> int:
        """Index of this version or of the nearest older one; unknown or None: the newest."""
        wanted = version_key(version)
        if wanted is None:
            return len(self.versions) - 1
        older = [i for i, name in enumerate(self.versions) if _comparable(name, wanted)]
        return older[-1] if older else self._oldest(wanted)

    def _oldest(self, wanted: Key) -> int:
        keys = enumerate(self.versions)
        same = (i for i, name in keys if len(version_key(name) or ()) == len(wanted))
        return next(same, 0)

    def spans(self, kind: str, row: str) -> list[tuple[int, int]]:
        """The runs of versions that have a fact, as (first, last) index."""
        for runs, rows in self.facts.get(kind, {}).items():
            if row in rows:
                return list(_borders(runs))
        return []

    def when(self, kind: str, row: str) -> str | None:
        """``from 0.14.0``, ``until 0.27.0``, ``0.16.0 to 0.19.0``; None if no version has it."""
        return self.words(self.spans(kind, row))

    def words(self, spans: list[tuple[int, int]]) -> str | None:
        """The first and last version of these runs as text; None for no runs."""
        if not spans:
            return None
        first, last = min(spans)[0], max(span[1] for span in spans)
        newest = len(self.versions) - 1
        if last == newest:
            return f"from {self.versions[first]} on"
        if first == 0:
            return f"until {self.versions[last]}"
        return f"{self.versions[first]} to {self.versions[last]}"

    def named(self, kind: str, name: str) -> list[tuple[int, int]]:
        """The runs of every row whose first word is ``name``."""
        return [
            span
            for runs, rows in self.facts.get(kind, {}).items()
            if any(row.partition(" ")[0] == name for row in rows)
            for span in _borders(runs)
        ]


def version_key(version: str | None) -> Key | None:
    """Sorts versions; a llama.cpp build is a key of one number. None if it is no version."""
    text = (version or "").strip()
    build = _BUILD.search(text)
    if build:
        return (int(build.group(1) or build.group(2)),)
    match = _VERSION.match(text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def _comparable(name: str, wanted: Key) -> bool:
    """Whether a listed version is the requested one or older; builds compare with builds only."""
    key = version_key(name)
    return key is not None and len(key) == len(wanted) and key <= wanted


def _borders(runs: str) -> Iterator[tuple[int, int]]:
    for run in runs.split(","):
        first, _, last = run.partition("-")
        yield int(first), int(last)


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """The facts of one version of an engine. ``version`` is the listed one that they are of."""

    engine: str
    requested: str | None
    table: EngineTable
    position: int
    _rows: dict[str, dict[str, str]] = field(default_factory=dict, compare=False)

    @property
    def version(self) -> str:
        """The version that the facts are of."""
        return self.table.versions[self.position]

    @property
    def newest(self) -> bool:
        """Whether the requested version is newer than every known one."""
        wanted, last = version_key(self.requested), version_key(self.table.versions[-1])
        return wanted is not None and last is not None and wanted > last

    @property
    def note(self) -> str | None:
        """Says which version's facts were used, if they are not those of the requested one."""
        if self.requested is None or version_key(self.requested) == version_key(self.version):
            return None
        return f"what {self.engine} {self.requested} runs is taken from {self.version}"

    def rows(self, kind: str) -> Mapping[str, str]:
        """First word of each row of this version -> the rest of the row."""
        rows = self._rows.get(kind)
        if rows is None:
            rows = self._rows[kind] = dict(self._read(kind))
        return rows

    def _read(self, kind: str) -> Iterator[tuple[str, str]]:
        for runs, rows in self.table.facts.get(kind, {}).items():
            if any(first <= self.position <= last for first, last in _borders(runs)):
                for row in rows:
                    name, _, rest = row.partition(" ")
                    yield name, rest

    def has(self, kind: str, name: str) -> bool:
        """Whether this version has a row of that name."""
        return name in self.rows(kind)

    def when(self, kind: str, name: str) -> str | None:
        """The versions that have a row of that name, as text; None if none has."""
        return self.table.words(self.table.named(kind, name))

    def platform_methods(self, platform: str) -> frozenset[str] | None:
        """The methods in a platform's list; None if this version has no list for it."""
        names = [
            row.partition(" ")[2]
            for runs, rows in self.table.facts.get("platform_method", {}).items()
            if any(first <= self.position <= last for first, last in _borders(runs))
            for row in rows
            if row.startswith(platform + " ")
        ]
        return frozenset(names) or None


@functools.lru_cache(maxsize=1)
def _tables() -> Mapping[str, EngineTable]:
    import gzip  # not needed by commands that plan nothing

    document: dict[str, Any] = json.loads(gzip.decompress(bundled_bytes(FILE)))
    return {
        name: EngineTable(tuple(entry["versions"]), entry["facts"])
        for name, entry in document["engines"].items()
    }


@functools.lru_cache(maxsize=128)
def facts_of(engine: str, version: str | None) -> VersionFacts:
    """The facts of a version, else of the nearest older known one. ``version`` None: the newest."""
    table = _tables()[engine]
    return VersionFacts(engine, version, table, table.position(version))


def listed_anywhere(classes: tuple[str, ...]) -> bool:
    """Whether any version of any engine lists one of these model classes; True for none."""
    tables = _tables().values()
    return not classes or any(t.named("architecture", name) for t in tables for name in classes)
