"""The facts about engine versions that are bundled, made from the packages the engines publish.

    python -m scripts.build_engine_tables            # fetch what is new, write the file
    python -m scripts.build_engine_tables --only sglang   # the others' tables as they are
    python -m scripts.build_engine_tables --check    # warn if the index has newer releases

Each release is fetched and read once: archives and their facts are kept in .cache/engines/. The
file lists, for every engine, the releases that were read and, for every kind of fact, rows with the
runs of releases that have them (``3-17,20-46``: indices of the list).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.catalogs_packages import REPOSITORY
from scripts.engine_tables import llamacpp, sglang, sources, vllm
from scripts.engine_tables.packages import (
    CACHE,
    DISTRIBUTIONS,
    Distribution,
    fetch,
    members,
    releases,
    version_key,
)

OUTPUT = REPOSITORY / "catalogs" / "engines.json.gz"
FORMAT = 1
_READERS: Mapping[str, ModuleType] = {"vllm": vllm, "sglang": sglang, "xllamacpp": llamacpp}
_ENGINES = {"xllamacpp": "llama.cpp"}
Facts = list[list[str]]  # [kind, row]


def main() -> None:
    """Write the file, or compare it with the index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="warn if newer releases exist")
    parser.add_argument("--only", choices=list(_READERS), help="read this package alone")
    options = parser.parse_args()
    if options.check:
        _check()
        return
    tables = _bundled() if options.only else {}
    wanted = [d for d in DISTRIBUTIONS if options.only in (None, d.name)]
    tables |= {_ENGINES.get(d.name, d.name): _table(d) for d in wanted}
    text = json.dumps({"format": FORMAT, "engines": tables}, separators=(",", ":"), sort_keys=True)
    OUTPUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size:,} bytes, {len(text):,} unpacked")


def _table(distribution: Distribution) -> dict[str, object]:
    """The releases that could be read, and the facts of each kind with their runs."""
    versions: list[str] = []
    seen: dict[tuple[str, str], list[int]] = {}
    for version in releases(distribution):
        facts = _facts(distribution, version)
        if not facts or (versions and _label(distribution, version) == versions[-1]):
            continue
        for kind, row in facts:
            seen.setdefault((kind, row), []).append(len(versions))
        versions.append(_label(distribution, version))
    grouped: dict[str, dict[str, list[str]]] = {}
    for (kind, row), indices in sorted(seen.items()):
        grouped.setdefault(kind, {}).setdefault(_runs(indices), []).append(row)
    print(f"{distribution.name}: {len(versions)} releases, {len(seen)} facts", flush=True)
    return {"versions": versions, "facts": grouped}


def _label(distribution: Distribution, version: str) -> str:
    """xllamacpp's calendar versions end in llama.cpp's build number."""
    if distribution.name != "xllamacpp" or not version.startswith("20"):
        return version
    return f"b{version.split('.')[2]}"


def _runs(indices: list[int]) -> str:
    return ",".join(f"{first}-{last}" for first, last in _borders(indices))


def _borders(indices: list[int]) -> Iterator[tuple[int, int]]:
    first = previous = indices[0]
    for index in indices[1:]:
        if index != previous + 1:
            yield first, previous
            first = index
        previous = index
    yield first, previous


def _facts(distribution: Distribution, version: str) -> Facts:
    """The facts of one release, from the cache unless the reader has changed."""
    reader = _READERS[distribution.name]
    kept = CACHE / "facts" / f"{distribution.name}-{version}-{_fingerprint(reader)}.json"
    if kept.is_file():
        stored: Facts = json.loads(kept.read_text(encoding="utf-8"))
        return stored
    archive = fetch(distribution, version)
    if archive is None:
        return []
    read: Callable[[sources.Sources], Iterator[tuple[str, str]]] = reader.facts
    texts = dict(members(archive, reader.WANTED))
    facts = [[kind, row] for kind, row in sorted(set(read(sources.Sources(texts))))]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(facts), encoding="utf-8")
    print(f"{distribution.name} {version}: {len(facts)} facts", flush=True)
    return facts


def _fingerprint(reader: ModuleType) -> str:
    files = [Path(str(module.__file__)) for module in (reader, sources)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _bundled() -> dict[str, Any]:
    engines: dict[str, Any] = json.loads(gzip.decompress(OUTPUT.read_bytes()))["engines"]
    return engines


def _check() -> None:
    """Print a warning for every engine with newer releases; never fails."""
    bundled = _bundled()
    for distribution in DISTRIBUTIONS:
        known = set(bundled[_ENGINES.get(distribution.name, distribution.name)]["versions"])
        try:
            newest = max(releases(distribution), key=version_key)
        except (subprocess.CalledProcessError, StopIteration):
            print(f"note: the releases of {distribution.name} could not be listed", file=sys.stderr)
            continue
        if _label(distribution, newest) not in known:
            print(f"warning: {distribution.name} {newest} is published, the bundled facts are "
                  "older: make engine-tables", file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    main()
