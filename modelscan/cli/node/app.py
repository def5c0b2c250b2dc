"""``modelscan node``: machines that report to a control plane."""

from __future__ import annotations

from modelscan.cli.framework import group
from modelscan.cli.node import cert, join, listing

app = group("Machines of a cluster: join, leave, certificates.")
join.register(app)
listing.register(app)
app.add_typer(cert.app, name="cert")
