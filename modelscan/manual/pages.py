"""The pages of the manual that come with modelscan, by section and in the order of its index."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.state.bundled import docs_dir

SECTIONS = {
    "tutorial": "Tutorial", "how-to": "How to", "explanation": "Explanation",
    "reference": "Reference", "internals": "Internals",
}  # fmt: skip
FRONT = "index"
_LINK = re.compile(r"\]\(([a-z0-9-]+)\.md[#)]")


@dataclass(frozen=True, slots=True)
class ManualPage:
    """``name``: the path below ``docs/`` without ``.md``; ``title``: the first heading."""

    name: str
    title: str
    section: str

    @property
    def file(self) -> Path:
        """Where the page is stored."""
        return docs_dir() / f"{self.name}.md"

    def text(self) -> str:
        """The page as Markdown."""
        return self.file.read_text("utf-8")


@cache
def manual_pages() -> tuple[ManualPage, ...]:
    """The front page, then every section's: its index, the pages in the order in which that
    names them, and the others by name.
    """
    folder = docs_dir()
    names = [file.stem for file in sorted(folder.glob("*.md"))]
    for section in SECTIONS:
        names += _in_order(folder / section)
    return tuple(ManualPage(name, _title(folder / f"{name}.md"), _section(name)) for name in names)


def find_page(text: str) -> ManualPage:
    """The page of a name (``how-to/serve``), of its last part, or of a file name.

    Raises UsageError, with the nearest names, for an unknown one or for one of several pages.
    """
    wanted = text.strip().strip("/").removeprefix("docs/").removesuffix(".md").lower()
    pages = manual_pages()
    whole = [page for page in pages if page.name == wanted]
    short = [page for page in pages if page.name.rpartition("/")[2] == wanted]
    if len(whole or short) == 1:
        return (whole or short)[0]
    names = [page.name for page in short] or _near(wanted)
    fault = f"means {' or '.join(names)}" if short else "is no page of the manual"
    found = f"modelscan docs --search {shlex.quote(text)}"
    raise UsageError(
        f"'{text}' {fault}", code="unknown_page", details={"nearest": names},
        hint=f"modelscan docs {names[0]}" if names else found,
    )  # fmt: skip


def _near(wanted: str) -> list[str]:
    short = {page.name.rpartition("/")[2]: page.name for page in manual_pages()}
    near = difflib.get_close_matches(wanted.rpartition("/")[2], short, n=3)
    inside = [name for word, name in short.items() if wanted and wanted in word]
    return list(dict.fromkeys([*inside, *(short[one] for one in near)]))


def _in_order(folder: Path) -> Iterator[str]:
    there = {file.stem for file in folder.glob("*.md")}
    index = folder / "index.md"
    linked = _LINK.findall(index.read_text("utf-8")) if index.is_file() else []
    first = [name for name in dict.fromkeys([FRONT, *linked]) if name in there]
    for name in (*first, *sorted(there.difference(first))):
        yield f"{folder.name}/{name}"


def _title(file: Path) -> str:
    lines = (line for line in file.read_text("utf-8").splitlines() if line.startswith("# "))
    return next(lines, file.stem).removeprefix("# ").replace("`", "").strip()


def _section(name: str) -> str:
    return SECTIONS.get(name.partition("/")[0], "")
