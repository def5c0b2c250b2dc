"""Markdown as HTML, by markdown-it (rich depends on it): pure. HTML in a page stays text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

Address = Callable[[str], "str | None"]
"""From a link in a page to an address; None: its text is shown without a link."""
_COMMENT = re.compile(r"\A(?:<!--.*?-->\s*)+", re.DOTALL)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Heading:
    """``level`` from 1 on; ``anchor`` as GitHub makes it, unique within the page."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as HTML, without a frame, and its headings in order."""

    html: str
    headings: tuple[Heading, ...]


def render(text: str, address: Address) -> Rendered:
    """A page's body. Links and pictures get the addresses that ``address`` gives them."""
    parser = _parser()
    tokens = parser.parse(without_comment(text))
    headings = tuple(_headings(tokens))
    _mark(tokens, headings)
    for token in tokens:
        _without_style(token)
        if token.children:
            token.children = list(_linked(token.children, address))
    html: str = parser.renderer.render(tokens, parser.options, {})
    # A new line in a table's cell is written as in GitHub's Markdown.
    return Rendered(html.replace("&lt;br&gt;", "<br>"), headings)


def headings_of(text: str) -> tuple[Heading, ...]:
    """The headings of a page."""
    return tuple(_headings(_parser().parse(without_comment(text))))


def tree_of(text: str) -> SyntaxTreeNode:
    """A page as a tree of blocks."""
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(without_comment(text)))


def links_of(text: str) -> list[str]:
    """Where a page's links and pictures lead, as written."""
    children = (child for token in _parser().parse(text) for child in token.children or ())
    found = (child.attrGet("href") or child.attrGet("src") for child in children)
    return [str(one) for one in found if one]


def without_comment(text: str) -> str:
    """A page without the comments that it begins with."""
    return _COMMENT.sub("", text)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.add_render_rule("table_open", _table_open)
    made.add_render_rule("table_close", _table_close)
    made.add_render_rule("fence", _fence)
    return made


# A box that scrolls must be reachable with the keyboard.
_BOX = '<div class="scroll" tabindex="0" role="region" aria-label="Table">'


def _table_open(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return f"{_BOX}<table>\n"


def _table_close(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _fence(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    from markdown_it.common.utils import escapeHtml

    kind = escapeHtml(tokens[at].info.strip()) or "text"
    content = escapeHtml(tokens[at].content)
    return f'<pre class="file" tabindex="0" data-kind="{kind}"><code>{content}</code></pre>\n'


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    times: dict[str, int] = {}
    for opened, inline in itertools.pairwise(tokens):
        if opened.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or ())
        anchor = _NOT_IN_ANCHORS.sub("", text.strip().lower()).replace(" ", "-")
        before = times[anchor] = times.get(anchor, -1) + 1
        yield Heading(int(opened.tag[1:]), text, f"{anchor}-{before}" if before else anchor)


def _mark(tokens: Sequence[Token], headings: Sequence[Heading]) -> None:
    opened = (token for token in tokens if token.type == "heading_open")
    for token, heading in zip(opened, headings, strict=True):
        if heading.level > 1:
            token.attrSet("id", heading.anchor)


def _without_style(token: Token) -> None:
    """The alignment of a table's cell as a class: a style attribute would need its own policy."""
    style = str(token.attrs.pop("style", ""))
    if style:
        token.attrSet("class", style.replace("text-align:", "to-"))


def _linked(children: Sequence[Token], address: Address) -> Iterator[Token]:
    for token in children:
        name = {"link_open": "href", "image": "src"}.get(token.type)
        if name:
            _lead(token, name, address(str(token.attrGet(name) or "")))
        yield token


def _lead(token: Token, name: str, to: str | None) -> None:
    """Give a link or picture its address. A link without one stays an ``a`` that leads nowhere."""
    if to is None:
        token.attrs.pop(name, None)
    else:
        token.attrSet(name, to)
