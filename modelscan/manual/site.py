"""The manual as a folder of HTML files, which need no server and load nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from modelscan import __version__
from modelscan.manual.html import Addressing, navigation, page_html
from modelscan.manual.pages import ManualPage, manual_pages
from modelscan.manual.search import manual_parts
from modelscan.state.bundled import docs_dir

STATIC = Path(__file__).resolve().parent / "static"
MANUAL_CSS = STATIC / "manual.css"
PICTURES = "images"
_LAST = "search.html"  # written last: with it a folder is complete
_SEARCH = """\
<h1>Search</h1>
<p id="answer" role="status">The search needs JavaScript; the pages do not.</p>
<ol class="found" id="found"></ol>
"""


def write_site(folder: Path) -> int:
    """Write every page, the search and what they load into a folder; the number of pages.

    Files of these names are replaced, others stay. Raises OSError.
    """
    for name in ("manual.css", "site.css", "search.js"):
        _write(folder / "static" / name, (STATIC / name).read_text("utf-8"))
    rows = [[one.page, one.title, one.heading, one.anchor, one.text] for one in manual_parts()]
    index = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    _write(folder / "static" / "index.js", f"const MANUAL = {index};\n")
    if (docs_dir() / PICTURES).is_dir():
        shutil.copytree(docs_dir() / PICTURES, folder / PICTURES, dirs_exist_ok=True)
    for page in manual_pages():
        _write(folder / f"{page.name}.html", _framed(page))
    _write(folder / _LAST, _search())
    return len(manual_pages())


def cached_site(cache: Path) -> Path:
    """The folder of the files for this version's pages, below a cache folder; made once.

    Raises OSError.
    """
    digest = hashlib.sha256(__version__.encode())
    for file in (*sorted(STATIC.iterdir()), *(page.file for page in manual_pages())):
        digest.update(file.read_bytes())
    folder = cache / "docs" / digest.hexdigest()[:16]
    if not (folder / _LAST).is_file():
        write_site(folder)
        _forget_others(folder)
    return folder


def _forget_others(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other != folder and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def _framed(page: ManualPage) -> str:
    root = "../" * page.name.count("/")
    to = Addressing(lambda name: f"{root}{name}.html", lambda file: f"{root}{file}")
    return _frame(root, page.title, page_html(page, to), navigation(page.name, to), "")


def _search() -> str:
    to = Addressing(lambda name: f"{name}.html", lambda file: file)
    scripts = "".join(
        f'<script src="static/{name}"></script>\n' for name in ("index.js", "search.js")
    )
    body = f'<div class="text">\n{_SEARCH}</div>\n'
    return _frame("", "Search", body, navigation("", to), scripts)


def _frame(root: str, title: str, body: str, pages: str, scripts: str) -> str:
    return _template().substitute(
        root=root, title=escape(title), body=body, navigation=pages, scripts=scripts,
        version=__version__,
    )  # fmt: skip


@cache
def _template() -> Template:
    return Template((STATIC / "page.html").read_text("utf-8"))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
