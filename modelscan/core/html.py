"""HTML of answers for notebooks: self-contained, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from modelscan.core.units import format_bytes

_CELL = "padding:2px 8px;text-align:left"
_COLORS = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
)  # fmt: skip


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "") -> str:
    """A table; None is ``-``, a tuple its items, a column ``*_bytes`` in binary units."""
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL}">{_cell(name, value)}</td>'
            for name, value in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name.endswith("_bytes") and isinstance(value, int):
        return escape(format_bytes(value) or "-")
    if isinstance(value, tuple):
        return escape(", ".join(map(str, value)) or "-")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(str(value))


def paragraphs(texts: Sequence[str]) -> str:
    """Each text as one paragraph."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def memory_bar(label: str, parts: Sequence[tuple[str, int]], capacity_bytes: int | None) -> str:
    """One device's memory as a bar: ``parts`` (name, bytes) in order, the rest empty.

    ``capacity_bytes`` is the length of the bar; if None or too small, the parts fill it.
    """
    used = sum(size for _, size in parts)
    whole = max(used, capacity_bytes or 0) or 1
    blocks = "".join(
        f'<div title="{escape(name)}: {escape(format_bytes(size) or "")}" style="width:'
        f'{100 * size / whole:.2f}%;background:{_COLORS[i % len(_COLORS)]}"></div>'
        for i, (name, size) in enumerate(parts)
        if size
    )
    of = f" of {format_bytes(capacity_bytes)}" if capacity_bytes else ""
    legend = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts if size)
    return (
        f"<div><b>{escape(label)}</b>: {escape(format_bytes(used) or '')}{escape(of)}"
        '<div style="display:flex;height:14px;width:480px;background:#e5e5e5">'
        f"{blocks}</div><small>{escape(legend)}</small></div>"
    )
