"""Options that several commands about requests have."""

from __future__ import annotations

from typing import Annotated

import typer

Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Not older than 10m, 2h, 7d, …")
]
OfRoute = Annotated[
    str | None, typer.Option("--route", metavar="NAME", help="Only this route or role.")
]
OfStatus = Annotated[
    int | None, typer.Option("--status", metavar="N", help="Only this HTTP status.")
]
