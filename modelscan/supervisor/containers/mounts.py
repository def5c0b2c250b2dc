"""Which files and folders of this machine a container gets, read-only, at the same paths."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from pathlib import Path

_CACHED = re.compile(r"(?:models|datasets|spaces)--")  # a repository in Hugging Face's cache
_SHARD = re.compile(r"^(.*)-\d{5}-of-(\d{5})(\.[^.]+)$")


def mounts_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The smallest set of paths that has all of them, in their order.

    A repository of the hub's cache is mounted whole: its files are links into it. The other shards
    of a file come with it.
    """
    wanted = [place for path in paths for place in _places(Path(path))]
    roots = list(dict.fromkeys(map(str, wanted)))
    return tuple(one for one in roots if not any(_inside(one, other) for other in roots))


def _places(path: Path) -> Iterable[Path]:
    cached = next((one for one in (path, *path.parents) if _CACHED.match(one.name)), None)
    if cached is not None:
        return (cached,)
    match = _SHARD.match(path.name)
    if match is None:
        return (path,)
    first, count, suffix = match.groups()
    pattern = f"{_literal(first)}-?????-of-{count}{_literal(suffix)}"
    return sorted(path.parent.glob(pattern)) or (path,)


def _literal(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _inside(path: str, other: str) -> bool:
    return path != other and Path(other) in Path(path).parents


def readable_by_others(path: str) -> bool:
    """Whether every user may read this file, or everything in this folder."""
    root = Path(path)
    try:
        below = [root, *root.rglob("*")] if root.is_dir() else [root]
        return all(map(_open_to_all, below))
    except OSError:
        return False


def _open_to_all(path: Path) -> bool:
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed
