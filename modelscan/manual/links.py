"""Where the manual's links lead: for the site, and whether each target exists."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelscan.manual.markup import headings_of, links_of

_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """``path``: below ``docs/``, ``..`` where it leaves it; ``anchor`` without ``#``."""

    path: str
    anchor: str


def target_of(page: str, link: str) -> LinkTarget | None:
    """Where a link of a page (``how-to/serve``) leads; None: to another server."""
    if _FOREIGN.match(link):
        return None
    path, _, anchor = link.partition("#")
    folder = page.rpartition("/")[0]
    return LinkTarget(
        posixpath.normpath(posixpath.join(folder, path)) if path else f"{page}.md", anchor
    )


def broken_links(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """``FILE: LINK`` for every link of Markdown files to a file or heading that is not there.

    ``root`` is the folder of the repository: a link must not leave it.
    """
    anchors: dict[Path, frozenset[str]] = {}
    for file in files:
        text = file.read_text("utf-8")
        for link in links_of(text):
            if not _FOREIGN.match(link) and not _exists(root, file, link, anchors):
                yield f"{file.relative_to(root)}: {link}"


def _exists(root: Path, file: Path, link: str, anchors: dict[Path, frozenset[str]]) -> bool:
    path, _, anchor = link.partition("#")
    target = (file.parent / path).resolve() if path else file
    if not target.exists() or root.resolve() not in (target, *target.parents):
        return False
    if not anchor:
        return True
    if target.suffix != ".md":
        return False
    if target not in anchors:
        headings = headings_of(target.read_text("utf-8"))
        anchors[target] = frozenset(one.anchor for one in headings if one.level > 1)
    return anchor in anchors[target]
