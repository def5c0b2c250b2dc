"""Exact sizes, hashes and commits of GGUF files on Hugging Face, as @qvac/inference pins them.

Its registry names one to four files of a repository, not all: the rest stays unknown. Files of
speech, image and embedding engines of its own and its copies on other servers are left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant, WeightFile
from modelscan.formats.files import gguf_sets
from modelscan.formats.repo_names import short
from scripts.catalogs_packages import QVAC, members

SOURCE = "qvac"
_OBJECT = re.compile(r"^    \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)
_PATH = re.compile(
    r"registryPath: '([^/']+/[^/']+)/(?:resolve|blob)/[0-9a-f]{40}/([^']+\.gguf)',"
    r"\s+registrySource: 'hf'"
)
_SHARD = re.compile(
    r"filename: '([^']+)',\s+expectedSize: (\d+),\s+sha256Checksum: '([0-9a-f]{64})'"
)
_WHOLE = re.compile(r"expectedSize: (\d+),\s+sha256Checksum: '([0-9a-f]{64})'")


def snapshot() -> SourceSnapshot:
    """One record per repository, with the variants whose files are pinned."""
    ((_, program),) = members(QVAC, inside="dist/models/registry/", suffix="models.js")
    files = pinned_files(program.decode())
    if len(files) < 40:
        raise SystemExit("@qvac/inference pins few files: has its registry's form changed?")
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=QVAC.published,
        records=tuple(r for repo, listed in sorted(files.items()) if (r := _record(repo, listed))),
        origin=QVAC.origin,
        licence=QVAC.licence,
    )


def pinned_files(registry: str) -> dict[str, tuple[WeightFile, ...]]:
    """Repository -> its pinned files, every part of a split one."""
    found: dict[str, dict[str, WeightFile]] = defaultdict(dict)
    for match in _OBJECT.finditer(registry):
        place = _PATH.search(match[1])
        if place is not None:
            for file in _files(place[2], match[1]):
                found[place[1]].setdefault(file.path, file)
    return {repo: tuple(files.values()) for repo, files in found.items()}


def _files(path: str, body: str) -> Iterator[WeightFile]:
    """The parts of a split file; of a whole one the first size, because parts repeat the keys."""
    head, _, tail = body.partition("shardMetadata")
    folder = path.rpartition("/")[0]
    for name, size, digest in _SHARD.findall(tail):
        if name.endswith(".gguf"):
            yield WeightFile(f"{folder}/{name}" if folder else name, int(size), digest)
    whole = _WHOLE.search(head)
    if not tail and whole is not None:
        yield WeightFile(path, int(whole[1]), whole[2])


def _record(repo: str, files: tuple[WeightFile, ...]) -> SourceRecord | None:
    variants = tuple(
        Variant(
            repo=repo,
            format="gguf",
            quantization=label,
            weight_bytes=sum(file.size_bytes or 0 for file in members_),
            files=members_,
        )
        for label, members_ in gguf_sets(files)
        if label is not None
    )
    if not variants:  # only projectors
        return None
    return SourceRecord(
        key=repo, kind="repository", name=short(repo), repos=(repo,), variants=variants
    )
