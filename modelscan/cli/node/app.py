"""``modelscan node``: machines that report to a control plane."""

from __future__ import annotations

from modelscan.cli.framework import group
from modelscan.cli.node import listing

app = group("Machines of a cluster: join, leave, certificates.")
listing.register(app)
