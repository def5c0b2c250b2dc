"""The files that pages load, by names with a hash of their bytes: browsers keep them for good."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelscan.manual.site import MANUAL_CSS
from modelscan.state.bundled import docs_dir

FOLDER = Path(__file__).resolve().parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PICTURES = {**_KINDS, ".png": "image/png"}


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
    own = {str(file.relative_to(FOLDER).as_posix()): _asset(file) for file in files}
    return {**own, "manual.css": _asset(MANUAL_CSS)}


def asset_url(name: str) -> str:
    """The address of a file, for templates; KeyError: there is none."""
    return assets()[name].url


def asset_at(path: str) -> Asset | None:
    """The file at an address; None: there is none, or its bytes are others now."""
    return next((one for one in assets().values() if one.url == path), None)


def picture(name: str) -> Asset | None:
    """A picture of the manual by its file name; None: there is none."""
    folder = docs_dir() / "images"
    file = next((one for one in folder.glob("*") if one.name == name), None)
    kind = _PICTURES.get(file.suffix) if file else None
    return Asset(f"/docs/images/{name}", kind, file.read_bytes()) if file and kind else None


def _asset(file: Path) -> Asset:
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()[:12]
    name = f"{file.stem}.{digest}{file.suffix}"
    return Asset(f"/static/{name}", _KINDS[file.suffix], data)
