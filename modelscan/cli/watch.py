"""``--watch``: a document again and again, redrawn in place on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.output import Mode
from modelscan.core.jsonform import to_json

MIN_INTERVAL_S = 0.2
Interval = Annotated[
    float, typer.Option("--interval", metavar="S", help="Seconds between two readings.")
]
Count = Annotated[
    int | None, typer.Option("--count", min=1, metavar="N", help="Stop watching after N readings.")
]


def watched(
    context: Context,
    event: str,
    read: Callable[[], Document],
    interval_s: float,
    count: int | None,
) -> None:
    """Print ``read()`` every ``interval_s``: JSON Lines with ``--json``, else a new table."""
    import time

    output, readings = context.output, 0
    while count is None or readings < count:
        if readings:
            time.sleep(max(MIN_INTERVAL_S, interval_s))
        document = read()
        if output.mode is Mode.JSON:
            output.event(event, **to_json(document.body))
        else:
            output.redraw()
            output.emit(document)
        readings += 1
