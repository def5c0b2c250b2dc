"""Tables, fields and spinners on a terminal, drawn by rich, which is imported only here.

Rows do not wrap: the first column and numbers are never cut, other cells end in ``…``, and optional
columns are omitted where the terminal is too narrow.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from modelscan.cli.document import Table
from modelscan.engines import ollama, vllm

_GAP = 2
_LEAST = 10  # terminal cells that a shortened column keeps: a date, a version, a short name

_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_PROGRAMS = (
    "modelscan", "curl", "pip", "python", "python3", "llama-server", vllm.NAME, ollama.NAME,
)  # fmt: skip


def draw_table(table: Table, rows: Sequence[Sequence[str]], width: int) -> str:
    """Aligned columns below upper-case headers; ``rows`` are the cells as text, one line each."""
    from rich.table import Table as Grid
    from rich.text import Text

    widths = column_widths(table, rows, width)
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, cells in widths.items():
        name = table.columns[index]
        justify: Any = "right" if name in table.numeric else "left"
        grid.add_column(Text(name), justify=justify, width=cells)
    folded = {index: table.columns[index] in table.folded for index in widths}
    for row in rows:
        grid.add_row(*(
            Text(row[i], no_wrap=not fold, overflow="fold" if fold else "ellipsis")
            for i, fold in folded.items()
        ))  # fmt: skip
    return _drawn(grid, max(width, sum(widths.values()) + _GAP * len(widths)))


def column_widths(table: Table, rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Column index -> terminal cells, for the columns to draw.

    Where the minimum widths do not fit, columns are omitted: the optional ones, the last first,
    then from the right those that may be cut. The widest of the rest shrink until the row fits.
    """
    from rich.cells import cell_len

    names = list(table.columns)
    widths = {
        i: max((cell_len(row[i]) for row in (names, *rows)), default=0) for i in range(len(names))
    }
    kept = {i for i, name in enumerate(names) if not i or name in (*table.numeric, *table.whole)}
    least = {
        i: size if i in kept else min(size, max(_LEAST, cell_len(names[i])))
        for i, size in widths.items()
    }
    optional = [names.index(name) for name in table.optional]
    removable = [*(i for i in range(len(names)) if i not in {*kept, *optional}), *optional]
    while removable and _row_width(least) > width:
        index = removable.pop()
        del widths[index], least[index]
    while _row_width(widths) > width and widths != least:
        widest = max((i for i in widths if widths[i] > least[i]), key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _row_width(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def draw_fields(pairs: Sequence[tuple[str, str]], width: int) -> str:
    """``name  value`` lines; further lines of a value are aligned with its first."""
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
    """Whether a text is to be copied: a command line, or one word such as a path or an address."""
    words = value.split(" ")
    command = next((word for word in words if not _ASSIGNMENT.match(word)), "")
    program = command.rpartition("/")[2]
    return "\n" not in value and (program in _PROGRAMS or len(words) == 1)


def wrap(text: str, width: int) -> str:
    """Wrap prose between words; a command, a path or an address stays on one line.

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
