"""The files that pages load, by names with a hash of their bytes: browsers keep them for good."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file with its address and media type."""

    url: str
    kind: str
    data: bytes


@cache
def assets() -> Mapping[str, Asset]:
    """Every file by its name below ``static/``; read once."""
    files = (file for file in FOLDER.rglob("*") if file.suffix in _KINDS)
    return {str(file.relative_to(FOLDER).as_posix()): _asset(file) for file in files}


def asset_url(name: str) -> str:
    """The address of a file, for templates; KeyError: there is none."""
    return assets()[name].url


def asset_at(path: str) -> Asset | None:
    """The file at an address; None: there is none, or its bytes are others now."""
    return next((one for one in assets().values() if one.url == path), None)


def _asset(file: Path) -> Asset:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:12]
    name = f"{file.stem}.{digest}{file.suffix}"
    return Asset(f"/static/{name}", _KINDS[file.suffix], data)
