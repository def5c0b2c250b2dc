"""``modelscan registry check-adapter``: does a LoRA adapter run on a base, and on which engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import click
import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command
from modelscan.core.errors import EXIT_NOT_DEPLOYABLE
from modelscan.core.workload import BACKENDS, Backend

if TYPE_CHECKING:
    from modelscan.deploy.adapters import AdapterChecked


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    command(app, "check-adapter")(check_adapter)


def check_adapter(
    context: Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A folder of PEFT, or a GGUF file.", show_default=False
        ),
    ],
    base: Annotated[
        str, typer.Option("--base", metavar="MODEL", help="The model that it is to be loaded with.")
    ],
    backend: Annotated[
        str | None,
        typer.Option("--backend", click_type=click.Choice(BACKENDS), help="For this engine."),
    ] = None,
    backend_version: Annotated[
        str | None,
        typer.Option("--backend-version", metavar="V", help="Of the engine (default: as here)."),
    ] = None,
) -> Document[Any]:
    """Check an adapter: files, base, sizes, and what the engine's version accepts."""
    from modelscan.deploy.adapters import check_adapter as checked

    answer = checked(path, base, context.config, cast("Backend | None", backend), backend_version)
    return _document(answer)


def _document(answer: AdapterChecked) -> Document[Any]:
    facts = answer.adapter
    pairs: list[tuple[str, object]] = [
        ("adapter", answer.path),
        ("format", f"{facts.format}, {facts.method.lower() or 'unknown'}"),
        ("base", answer.base),
        ("trained on", facts.base),
        ("rank", facts.max_rank),
        ("alpha", facts.alpha),
        ("modules", ", ".join(facts.target_modules)),
        ("engine", f"{answer.backend} {answer.backend_version or '(newest known)'}"),
        ("options", " ".join(_option(one.name, one.value) for one in answer.engine_options)),
    ]
    rows = [(one.name, one.state, one.reason) for one in answer.checks]
    table = Table(("CHECK", "STATE", "REASON"), rows, folded=("REASON",))
    result = {
        True: "every check passed", False: "it does not run like this",
        None: "nothing speaks against it; what is unknown is not checked",
    }[answer.fits]  # fmt: skip
    code = EXIT_NOT_DEPLOYABLE if answer.fits is False else 0
    blocks: list[Block] = [
        Fields([pair for pair in pairs if pair[1] not in (None, "")]),
        table,
        Note(result),
    ]
    return Document("registry.check_adapter", answer, blocks, [answer.path], exit_code=code)


def _option(name: str, value: str | None) -> str:
    return f"--{name}" if value is None else f"--{name} {value}"
