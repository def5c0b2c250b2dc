"""GGUF files in folders of this machine, with the facts of their headers; nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.formats.files import describe
from modelscan.formats.gguf import GgufHeader, parse_header
from modelscan.formats.gguf_types import FILE_TYPES
from modelscan.formats.reader import reader
from modelscan.gateway.node.wire import NodeFile

MAX_FILES = 500
_MAX_DEPTH = 4


class WeightFolders:
    """Folders that are listed again and again; a header is read once per version of a file."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._seen: dict[tuple[str, int, int], NodeFile] = {}

    def list(self) -> tuple[NodeFile, ...]:
        """The files, by path: at most ``MAX_FILES``, of a model in parts the first one."""
        found: dict[tuple[str, int, int], NodeFile] = {}
        for path in _paths(self._folders):
            try:
                facts = path.stat()
            except OSError:
                continue
            key = (str(path), facts.st_size, facts.st_mtime_ns)
            found[key] = self._seen.get(key) or _file(path, facts.st_size)
            if len(found) == MAX_FILES:
                break
        self._seen = found
        return tuple(sorted(found.values(), key=lambda one: one.path))


def _paths(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        depth = len(folder.parts)
        for where, inner, names in os.walk(folder):
            inner[:] = sorted(one for one in inner if not one.startswith("."))
            if len(Path(where).parts) - depth >= _MAX_DEPTH:
                inner.clear()
            for name in sorted(names):
                path = Path(where, name)
                if name.lower().endswith(".gguf") and _is_first(path) and _is_text(path):
                    yield path


def _is_first(path: Path) -> bool:
    shard = describe(path.name).shard
    return shard is None or shard.index == 1


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _file(path: Path, size: int) -> NodeFile:
    try:
        with path.open("rb") as stream:
            header = parse_header(reader(stream), size)
    except ModelscanError as error:
        return NodeFile(str(path), path.name, size, problem=error.message)
    except OSError as error:
        return NodeFile(str(path), path.name, size, problem=error.strerror or str(error))
    return NodeFile(
        str(path), path.name, size, header.architecture or None, _context(header),
        _quantization(header) or describe(path.name).quantization,
    )  # fmt: skip


def _quantization(header: GgufHeader) -> str | None:
    kind = header.integer("general.file_type")
    return None if kind is None else FILE_TYPES.get(kind)


def _context(header: GgufHeader) -> int | None:
    value = header.metadata.get(f"{header.architecture}.context_length")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
