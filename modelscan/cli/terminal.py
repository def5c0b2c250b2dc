"""Tables, fields and spinners on a terminal, drawn by rich, which is imported only here.

Rows do not wrap: the first column and numbers are never cut, other cells end in ``…``, optional
columns are omitted where the terminal is too narrow, and rows become records where that is not
enough. Colour marks states and verdicts only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from modelscan.cli.document import Bar, Table
from modelscan.core.units import format_bytes
from modelscan.engines import ollama, vllm

_GAP = 2
_PARAGRAPH = 36  # terminal cells of a folded text, for which optional columns are omitted
_LEAST = 10  # terminal cells that a shortened column keeps: a date, a version, a short name

_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
_PROGRAMS = (
    "modelscan", "curl", "export", "pip", "python", "python3", "llama-server", vllm.NAME,
    ollama.NAME,
)  # fmt: skip


_STYLES = {
    "running": "green", "ok": "green", "fits": "green", "yes": "green", "failed": "red",
    "error": "red", "unhealthy": "red", "does not fit": "red", "not supported": "red",
    "starting": "yellow", "downloading": "yellow", "warning": "yellow", "stopped": "dim",
    "absent": "dim", "unmanaged": "dim",
}  # fmt: skip
_STATED = ("state", "health", "status", "verdict", "level", "fits here", "ok")
_BAR_MARKS, _FREE_MARK = "█▓▒░", "·"
_SGR = {
    "green": "\x1b[32m", "red": "\x1b[31m", "yellow": "\x1b[33m", "dim": "\x1b[2m",
}  # fmt: skip
_BAR_STYLES = ("blue", "magenta", "cyan", "yellow")


def draw_table(
    table: Table, rows: Sequence[Sequence[str]], width: int, *, color: bool = False
) -> str:
    """Aligned columns below upper-case headers; ``rows`` are the cells as text, one line each.

    Where the columns that must stay do not fit, one record per row.
    """
    widths = column_widths(table, rows, width)
    if not widths:
        return draw_records(table.columns, rows, width, color=color)
    if not table.below:
        return _grid(table, rows, widths, width, color=color)
    parts = [_grid(table, [], widths, width, color=color)]
    for row in rows:
        parts.append(_grid(table, [row], widths, width, color=color, header=False))
        parts += [_line_below(name, row[table.columns.index(name)], width) for name in table.below]
    return "".join(parts)


def _grid(
    table: Table, rows: Sequence[Sequence[str]], widths: Mapping[int, int], width: int, *,
    color: bool, header: bool = True,
) -> str:  # fmt: skip
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=header)
    for index, cells in widths.items():
        name = table.columns[index]
        justify: Any = "right" if name in table.numeric else "left"
        grid.add_column(Text(name, style="bold"), justify=justify, width=cells)
    folded = {index: table.columns[index] in table.folded for index in widths}
    for row in rows:
        grid.add_row(*(
            Text(
                row[i], style=_style(table.columns[i], row[i]), no_wrap=not fold,
                overflow="fold" if fold else "ellipsis",
            )
            for i, fold in folded.items()
        ))  # fmt: skip
    return _drawn(grid, max(width, sum(widths.values()) + _GAP * len(widths)), color=color)


def _line_below(name: str, value: str, width: int) -> str:
    """``  hint: …`` with a hanging indent; empty for an unknown value."""
    if value == "-":
        return ""
    label = f"  {name.lower()}: "
    text = wrap(value, max(_LEAST, width - len(label)))
    return label + text.replace("\n", "\n" + " " * len(label)) + "\n"


def draw_records(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, color: bool = False
) -> str:
    """Each row as ``name  value`` lines, an empty line between two; unknown values are left out."""
    records = []
    for row in rows:
        pairs = zip(columns, row, strict=True)
        known = [(name.lower(), value) for name, value in pairs if value != "-"]
        records.append(draw_fields(known, width, color=color))
    return "\n".join(records)


def _style(name: str, value: str) -> str:
    """A colour for a word of state or verdict, none for anything else."""
    return _STYLES.get(value, "") if name.lower() in _STATED else ""


def draw_bar(bar: Bar, width: int, *, color: bool = False) -> str:
    """``label  ████▓▓░···  23.1 of 23.5 GiB``; below it the parts, where there are several."""
    from rich.cells import cell_len
    from rich.text import Text

    used = sum(size for _, size in bar.parts)
    sizes = f"{format_bytes(used)} of {format_bytes(bar.total_bytes)}"
    cells = max(_LEAST, min(40, width - cell_len(bar.label) - len(sizes) - 2 * _GAP))
    whole = max(bar.total_bytes, used, 1)
    line, drawn, upto = Text(f"{bar.label}{' ' * _GAP}"), 0, 0
    legend = Text(" " * (cell_len(bar.label) + _GAP))
    for index, (name, size) in enumerate(bar.parts):
        mark, style = _BAR_MARKS[index % 4], _BAR_STYLES[index % 4]
        upto += size
        line.append(mark * (round(cells * upto / whole) - drawn), style=style)
        drawn = round(cells * upto / whole)
        legend.append(mark, style=style)
        legend.append(f" {name} {format_bytes(size)}{' ' * _GAP}")
    line.append(_FREE_MARK * (cells - drawn), style="dim")
    line.append(f"{' ' * _GAP}{sizes}")
    text = _drawn(line, max(width, line.cell_len), color=color)
    if len(bar.parts) < 2:
        return text
    return text + _drawn(legend, max(width, _LEAST), color=color)


def column_widths(table: Table, rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Column index -> terminal cells, for the columns to draw; empty where they do not fit.

    Columns without any value are omitted. Where the minimum widths do not fit, or folded texts
    would be narrow, so are the optional columns, the last first. The widest of the rest shrink
    until the row fits.
    """
    from rich.cells import cell_len

    names = list(table.columns)
    told = [
        i for i, name in enumerate(names)
        if not i or (name not in table.below and any(row[i] != "-" for row in rows))
    ]  # fmt: skip
    widths = {i: max((cell_len(row[i]) for row in (names, *rows)), default=0) for i in told}
    kept = {i for i, name in enumerate(names) if not i or name in (*table.numeric, *table.whole)}
    least = {
        i: size if i in kept else min(size, max(_LEAST, cell_len(names[i])))
        for i, size in widths.items()
    }
    readable = {
        i: max(least[i], min(size, _PARAGRAPH)) if names[i] in table.folded else least[i]
        for i, size in widths.items()
    }
    removable = [i for i in map(names.index, table.optional) if i in widths]
    while removable and _row_width(readable) > width:
        index = removable.pop()
        del widths[index], least[index], readable[index]
    if _row_width(least) > width:
        return {}
    while _row_width(widths) > width and widths != least:
        widest = max((i for i in widths if widths[i] > least[i]), key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _row_width(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def draw_fields(pairs: Sequence[tuple[str, str]], width: int, *, color: bool = False) -> str:
    """``name  value`` lines; further lines of a value are aligned with its first."""
    from rich.cells import cell_len

    column = max((cell_len(name) for name, _ in pairs), default=0)
    drawn = []
    for name, value in pairs:
        lines = wrap(value, max(_LEAST, width - column - _GAP)).split("\n")
        labels = [name, *("" for _ in lines[1:])]
        style = _SGR.get(_style(name, value), "") if color else ""
        for label, line in zip(labels, lines, strict=True):
            space = " " * (column - cell_len(label) + _GAP)
            shown = f"{style}{line}\x1b[0m" if style else line
            drawn.append(f"{label}{space}{shown}".rstrip() + "\n")
    return "".join(drawn)


def is_verbatim(value: str) -> bool:
    """Whether a text is to be copied: a command line, or one word such as a path or an address."""
    words = value.split(" ")
    command = next((word for word in words if not _ASSIGNMENT.match(word)), "")
    program = command.rpartition("/")[2]
    return "\n" not in value and (program in _PROGRAMS or len(words) == 1)


def wrap(text: str, width: int) -> str:
    """Wrap prose between words; a command, a path or an address stays on one line.

    ``width`` counts terminal cells. A word that is wider stays whole, so that it can be copied; an
    indented line's continuation has its indent.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        whole = len(line) * 2 <= width or is_verbatim(line.strip())
        lines += [line.rstrip()] if whole else _wrapped(line, width)
    return "\n".join(lines)


def _wrapped(line: str, width: int) -> list[str]:
    from rich.cells import cell_len

    indent = line[: len(line) - len(line.lstrip(" "))]
    lines, current = [], indent
    for word in line.split():
        space = "" if current == indent else " "
        if space and cell_len(current + space + word) > width:
            lines.append(current)
            current, space = indent, ""
        current += space + word
    return [*lines, current]


@contextmanager
def spinner(stream: TextIO, text: str, *, color: bool) -> Iterator[Any]:
    """A spinner with a changing text on ``stream``."""
    from rich.console import Console

    with Console(file=stream, no_color=not color).status(text) as status:
        yield status


def _drawn(renderable: Any, width: int, *, color: bool = False) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out, width=width, color_system="standard" if color else None, highlight=False,
        markup=False, emoji=False, force_terminal=color, legacy_windows=False,
    )  # fmt: skip
    console.print(renderable, crop=False)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
