"""``modelscan registry``: the models that are trusted here."""

from __future__ import annotations

from modelscan.cli.framework import group
from modelscan.cli.registry import adapter, curate, evals, files, labels, models, promote

app = group("Models that are trusted: versions, tags, aliases, where weights are.")
models.register(app)
app.add_typer(labels.versions, name="version")
app.add_typer(labels.tags, name="tag")
app.add_typer(labels.aliases, name="alias")
app.add_typer(curate.app, name="curate")
evals.register(app)
files.register(app)
adapter.register(app)
promote.register(app)
