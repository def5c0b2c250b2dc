"""A small line without axes: the last values of a rate, in a table's cell."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT = 120, 24


def spark(values: Sequence[float | None]) -> Markup:
    """The line; "" where fewer than two values are known. Unknown values are gaps."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    most = max(known) or 1.0
    step = _WIDTH / (len(values) - 1)
    path, pen = [], "M"
    for number, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        y = _HEIGHT - 2 - value / most * (_HEIGHT - 4)
        path.append(f"{pen}{number * step:.1f} {y:.1f}")
        pen = "L"
    return Markup(
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'aria-hidden="true"><path d="{" ".join(path)}"/></svg>'
    )
