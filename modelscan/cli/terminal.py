"""What a terminal shows, drawn by rich: imported when a table, fields or a spinner are drawn.

A terminal's rows never wrap: the first column and the numbers are whole, other cells end in ``…``,
and the columns that a table calls optional are left out where the terminal is too narrow.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from modelscan.cli.document import Table

_GAP = 2
_LEAST = 8  # cells that a shortened column keeps


def draw_table(table: Table, rows: Sequence[Sequence[str]], width: int) -> str:
    """Aligned columns below upper-case headers; ``rows`` are the cells as text, one line each."""
    from rich.table import Table as Grid
    from rich.text import Text

    columns = shown_columns(table, rows, width)
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), collapse_padding=True)
    for index in columns:
        name = table.columns[index]
        grid.add_column(
            Text(name),
            justify="right" if name in table.numeric else "left",
            min_width=_least_width(table, rows, index),
            no_wrap=not index or name in table.numeric,
        )
    for row in rows:
        cells = (Text(row[i], no_wrap=True, overflow="ellipsis", end="") for i in columns)
        grid.add_row(*cells)
    return _drawn(grid, width)


def shown_columns(table: Table, rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Indices of the columns to draw: optional ones go, the last first, until the rest fits."""
    kept = list(range(len(table.columns)))
    for name in reversed(table.optional):
        if sum(_least_width(table, rows, i) + _GAP for i in kept) - _GAP <= width:
            break
        kept.remove(list(table.columns).index(name))
    return kept


def _least_width(table: Table, rows: Sequence[Sequence[str]], index: int) -> int:
    """Terminal cells that a column needs: the first and numeric ones their whole width."""
    from rich.cells import cell_len

    name = table.columns[index]
    whole = max((cell_len(row[index]) for row in rows), default=0)
    if index and name not in table.numeric:
        whole = min(whole, _LEAST)
    return max(whole, cell_len(name))


def draw_fields(pairs: Sequence[tuple[str, str]], width: int) -> str:
    """``name  value`` lines; a value's further lines stand below its beginning."""
    from rich.cells import cell_len

    column = max((cell_len(name) for name, _ in pairs), default=0)
    drawn = []
    for name, value in pairs:
        lines = wrap(value, max(_LEAST, width - column - _GAP)).split("\n")
        labels = [name, *("" for _ in lines[1:])]
        for label, line in zip(labels, lines, strict=True):
            space = " " * (column - cell_len(label) + _GAP)
            drawn.append(f"{label}{space}{line}".rstrip() + "\n")
    return "".join(drawn)


def is_verbatim(value: str) -> bool:
    """Text to copy: a command line, or one word such as a path or an address."""
    first = value.partition(" ")[0]
    return "\n" not in value and (first in ("modelscan", "curl", "pip") or " " not in value)


def wrap(text: str, width: int) -> str:
    """Prose broken between words; a command, a path or an address stays on one line, to be copied.

    ``width`` counts terminal cells.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width, color_system=None)
    lines: list[str] = []
    for line in text.split("\n"):
        whole = len(line) * 2 <= width or is_verbatim(line.strip())
        wrapped = [line] if whole else [part.plain for part in Text(line).wrap(console, width)]
        lines += (part.rstrip() for part in wrapped)
    return "\n".join(lines)


@contextmanager
def spinner(stream: TextIO, text: str, *, color: bool) -> Iterator[Any]:
    """A spinner with a changing text on ``stream``."""
    from rich.console import Console

    with Console(file=stream, no_color=not color).status(text) as status:
        yield status


def _drawn(renderable: Any, width: int) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False,
        force_terminal=False, legacy_windows=False,
    )  # fmt: skip
    console.print(renderable, crop=False)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
