"""A page of the manual on a terminal: text wrapped, commands whole, tables as other tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from modelscan.cli.document import Markdown, Table
from modelscan.cli.terminal import draw_table, wrap

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode as Node

_BOLD, _PLAIN, _INDENT = "\x1b[1m", "\x1b[0m", "    "


def draw_markdown(block: Markdown, width: int, *, color: bool = False) -> str:
    """The page as lines of at most ``width`` cells, apart from what one copies.

    Links become names of pages in parentheses, for ``modelscan docs``.
    """
    from modelscan.manual.markup import tree_of

    drawn = _Drawn(block.page, width, color)
    return "\n\n".join(drawn.blocks(tree_of(block.text))) + "\n"


class _Drawn:
    def __init__(self, page: str, width: int, color: bool) -> None:
        self._page = page
        self._width = width
        self._color = color
        self._kinds: dict[str, Callable[[Node], str]] = {
            "heading": self._heading, "paragraph": self._paragraph, "fence": self._fence,
            "code_block": self._fence, "bullet_list": self._list, "ordered_list": self._list,
            "table": self._table,
        }  # fmt: skip

    def blocks(self, node: Node) -> Iterator[str]:
        """One text for each block below a node."""
        for child in node.children:
            drawn = self._kinds.get(child.type)
            text = drawn(child) if drawn else "\n\n".join(self.blocks(child))
            if text:
                yield text

    def _heading(self, node: Node) -> str:
        text = self._words(node)
        return f"{_BOLD}{text}{_PLAIN}" if self._color else text

    def _paragraph(self, node: Node) -> str:
        return wrap(self._words(node), self._width)

    def _fence(self, node: Node) -> str:
        return "\n".join(f"{_INDENT}{line}".rstrip() for line in node.content.splitlines())

    def _list(self, node: Node) -> str:
        numbered = node.type == "ordered_list"
        items = []
        for number, item in enumerate(node.children, 1):
            mark = f"{number}. " if numbered else "- "
            inner = _Drawn(self._page, self._width - len(mark), self._color)
            text = "\n".join(inner.blocks(item))
            items.append(mark + text.replace("\n", "\n" + " " * len(mark)))
        return "\n".join(items)

    def _table(self, node: Node) -> str:
        rows = [
            [self._words(cell) or "-" for cell in row.children]
            for part in node.children for row in part.children
        ]  # fmt: skip
        header, *body = rows
        columns = [name if name != "-" else " " for name in header]
        table = Table(columns, body, whole=columns[:-1], folded=columns[-1:])
        return draw_table(table, body, self._width, color=self._color).rstrip("\n")

    def _words(self, node: Node) -> str:
        """The text of a block, of which every child is inline."""
        return " ".join("".join(self._pieces(node)).split())

    def _pieces(self, node: Node) -> Iterator[str]:
        for child in node.children:
            if child.type in ("text", "code_inline"):
                yield child.content.replace("<br>", " / ")
            elif child.type in ("softbreak", "hardbreak"):
                yield " "
            else:
                yield from self._pieces(child)
            if child.type == "link":
                yield self._place("".join(self._pieces(child)), str(child.attrs.get("href", "")))

    def _place(self, text: str, link: str) -> str:
        """Where a link leads, unless its text says so: a page's name, or an address."""
        from modelscan.manual.links import target_of

        target = target_of(self._page, link)
        if target is None:
            return "" if link in text else f" ({link})"
        name = target.path.removesuffix(".md")
        other = target.path.endswith(".md") and not target.path.startswith("..")
        return f" ({name})" if other and name not in (text, self._page) else ""
