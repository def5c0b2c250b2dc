"""The manual: its links lead somewhere, its index is complete, its site needs nothing else, and
`modelscan docs` prints, finds and writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from conftest import REPOSITORY, Ran

from modelscan.manual.links import broken_links
from modelscan.manual.markup import headings_of, render
from modelscan.manual.pages import SECTIONS, find_page, manual_pages
from modelscan.manual.search import parts_of, search, search_manual
from modelscan.manual.site import write_site

Run = Callable[..., Ran]
DOCS = REPOSITORY / "docs"


def markdown_files() -> list[Path]:
    """Every page, and what a visitor of the repository reads."""
    others = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "benchmarks").glob("*.md")]
    return [*sorted(others), *sorted(DOCS.rglob("*.md"))]


def test_no_link_is_broken() -> None:
    assert list(broken_links(REPOSITORY, markdown_files())) == []


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("other.md", False), ("other.md#a-part", False), ("#here--there", False),
        ("sub/", False), ("https://example.org/x#y", False), ("mailto:a@example.org", False),
        ("missing.md", True), ("other.md#missing", True), ("#missing", True),
        ("../outside.md", True), ("/etc/passwd", True), ("other.txt#part", True),
    ],
)  # fmt: skip
def test_what_a_broken_link_is(tmp_path: Path, link: str, broken: bool) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "other.md").write_text("# Other\n\n## A `part`\n")
    (root / "other.txt").write_text("")
    (tmp_path / "outside.md").write_text("# Outside\n")
    page = root / "page.md"
    page.write_text(f"# Page\n\n## Here & there\n\nSee [it]({link}).\n")
    assert bool(list(broken_links(root, [page]))) == broken


def test_every_page_is_in_the_index_of_its_section() -> None:
    for section in SECTIONS:
        index = (DOCS / section / "index.md").read_text()
        linked = set(re.findall(r"\]\(([a-z0-9-]+)\.md[#)]", index))
        assert linked == {page.stem for page in (DOCS / section).glob("*.md")} - {"index"}, section
    assert {page.name for page in DOCS.glob("*.md")} == {"index.md"}


def test_every_block_has_a_language_and_console_blocks_are_run() -> None:
    from test_console_blocks import PAGES

    for page in markdown_files():
        kinds = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)[::2]
        assert "" not in kinds, page
        assert "console" not in kinds or page in PAGES, page


def test_markup_is_only_what_markdown_makes() -> None:
    page = render(
        "<!-- made -->\n# A `b` c\n\n<script>x</script> [y](javascript:z) [w](w.md) ![i](i.png)\n\n"
        "## A `b` c\n\n```sh\n<b>\n```\n\n| a | b |\n|---|---|\n| `x\\|y` | **z** |\n",
        lambda link: {"w.md": "/w"}.get(link),
    )
    assert "<script" not in page.html and "javascript:" not in re.sub(r"\[y\].*?\)", "", page.html)
    assert '<a href="/w">w</a>' in page.html and "made" not in page.html
    assert "<b>" not in page.html and "<code>x|y</code>" in page.html
    assert [(one.level, one.anchor) for one in page.headings] == [(1, "a-b-c"), (2, "a-b-c-1")]


class Found(HTMLParser):
    """What a page of the site loads, where it leads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.anchors: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (tag == "link" and given["rel"] == "stylesheet") or tag in ("script", "img"):
            self.loads.append(given.get("href") or given.get("src") or "inline")
        elif given.get("href") and tag == "a":
            self.leads.append(str(given["href"]))
        if given.get("id"):
            self.anchors.append(str(given["id"]))
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert write_site(folder) == len(manual_pages())
    return folder


@pytest.fixture(scope="module")
def found(site: Path) -> dict[Path, Found]:
    return {file: Found(file.read_text()) for file in site.rglob("*.html")}


def test_the_site_loads_only_its_own_files_and_has_no_dead_link(
    site: Path, found: dict[Path, Found]
) -> None:
    assert len(found) == len(manual_pages()) + 1
    for file, page in found.items():
        assert page.inline == [] and len(set(page.anchors)) == len(page.anchors), file
        for address in page.loads:
            assert (file.parent / address).is_file(), (file, address)
        assert list(_dead(site, file, page, found)) == []


def _dead(site: Path, file: Path, page: Found, found: dict[Path, Found]) -> Iterator[str]:
    for address in page.leads:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https"):
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        if target not in found or (parts.fragment and parts.fragment not in found[target].anchors):
            yield f"{file.relative_to(site)}: {address}"


def test_the_sites_policy_allows_no_other_source(found: dict[Path, Found]) -> None:
    for file in found:
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', file.read_text())
        assert policy and policy[1].startswith("default-src 'none'") and "unsafe" not in policy[1]
        assert "http" not in policy[1]


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("proxy", "how-to/offline"), ("modelscope", "how-to/mirrors"), ("ttl", "how-to/serve"),
        ("exit codes", "reference/exit-codes"), ("kubernetes", "how-to/kubernetes"),
        ("MODELSCAN_HOME", "reference/environment"),
        ("cuda card", "tutorial/first-model-cuda"), ("back up database", "how-to/server"),
    ],
)  # fmt: skip
def test_the_search_finds_the_page_that_explains_it(query: str, page: str) -> None:
    assert page in [hit.page for hit in search_manual(query)][:5]


def test_the_search_needs_every_word_and_cuts_long_queries() -> None:
    page = manual_pages()[0]
    parts = list(parts_of(page, "# One\n\nA text.\n\n## Two\n\n```sh\n# no heading\n```\nOther."))
    assert [(one.heading, one.text) for one in parts] == [
        ("", "A text."), ("Two", "no heading Other."),
    ]  # fmt: skip
    assert [hit.heading for hit in search("oth head", parts, 9)] == ["Two"]
    assert search("oth zzz", parts, 9) == [] and search("  ?! ", parts, 9) == []
    assert search("( " * 500 + "\\", parts, 9) == []


def test_anchors_are_those_that_github_makes() -> None:
    text = "# A\n## `modelscan.adopt/1`\n## What's *new*, 2.0?\n## a_b\n"
    anchors = [heading.anchor for heading in headings_of(text)]
    assert anchors == ["a", "modelscanadopt1", "whats-new-20", "a_b"]


def test_a_page_is_found_by_its_name_and_its_last_part() -> None:
    assert find_page("how-to/serve") == find_page("serve") == find_page("docs/how-to/serve.md")


def test_docs_prints_a_page_as_it_is_into_a_pipe(run_in_process: Run) -> None:
    ran = run_in_process("docs", "serve")
    assert (ran.code, ran.out) == (0, (DOCS / "how-to" / "serve.md").read_text())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("nosuch",), "modelscan docs --search nosuch"), (("serv",), "modelscan docs how-to/serve"),
        (("routing",), "modelscan docs explanation/routing"), (("../LICENSE",), "modelscan docs --search ../LICENSE"),
        (("serve", "--list"), "modelscan docs --help"),
    ],
)  # fmt: skip
def test_docs_names_what_was_meant(run_in_process: Run, words: tuple[str, ...], hint: str) -> None:
    ran = run_in_process("docs", *words)
    assert ran.code == 2 and f"hint: {hint}" in ran.err, ran.err


def test_docs_finds_and_lists(run_in_process: Run) -> None:
    schema = json.loads((REPOSITORY / "modelscan" / "schemas" / "docs.json").read_text())
    for words in (("--search", "proxy"), ("--list",), ("serve",), ("--search", "zzzzzz")):
        document = json.loads(run_in_process("docs", *words, "--json").out)
        jsonschema.validate(document, schema)
        assert bool(document["pages"]) == (words[-1] != "zzzzzz")
    assert run_in_process("docs", "--list", "-q").out.split() == [
        one.name for one in manual_pages()
    ]


def test_docs_writes_the_site_and_says_where(run_in_process: Run, tmp_path: Path) -> None:
    ran = run_in_process("docs", "--no-browser")
    cached = Path(ran.out.strip())
    assert ran.code == 0 and cached.name == "index.html" and cached.is_file()
    assert (cached.parent / "search.html").is_file() and (
        cached.parent / "static/index.js"
    ).is_file()
    folder = tmp_path / "pages"
    assert run_in_process("docs", "--output", str(folder), "-q").out.strip() == str(
        folder / "index.html"
    )
    (tmp_path / "file").write_text("")
    ran = run_in_process("docs", "--output", str(tmp_path / "file"))
    assert ran.code == 1 and "cannot be written" in ran.err and "hint: modelscan docs" in ran.err
