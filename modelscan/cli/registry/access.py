"""Opens the registry for a command: transactions of this machine's server database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import Context

if TYPE_CHECKING:
    import sqlalchemy as sa

    from modelscan.deploy.registered import WeightsFacts
    from modelscan.state.server.database import ServerDatabase

SlugArgument = Annotated[str, typer.Argument(help="A model of the registry.", metavar="SLUG")]
ReferenceArgument = Annotated[
    str, typer.Argument(help="SLUG, SLUG@VERSION or SLUG@ALIAS.", metavar="SLUG[@VERSION]")
]
VersionArgument = Annotated[str, typer.Argument(help="A version.", metavar="SLUG@VERSION")]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(help="Fields to set; KEY= removes a value.", metavar="[KEY=VALUE]..."),
]
IfMatch = Annotated[
    str | None,
    typer.Option("--if-match", metavar="ETAG", help="Only if it is still the one with this ETag."),
]
Quantization = Annotated[
    str | None, typer.Option("--quantization", "--quant", metavar="Q", help="Of several formats.")
]
ContextTokens = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="N", help="Of the request that the memory is for (default: 4k)."
    ),
]


@contextmanager
def open_registry(context: Context) -> Iterator[ServerDatabase]:
    """The open database. Raises UsageError where packages are missing."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan registry")
    from modelscan.state.server.database import open_server

    with open_server(context.config) as database:
        yield database


@contextmanager
def writing(context: Context) -> Iterator[sa.Connection]:
    """A writing transaction."""
    with open_registry(context) as database, database.writing() as connection:
        yield connection


@contextmanager
def reading(context: Context) -> Iterator[sa.Connection]:
    """A connection that only reads."""
    with open_registry(context) as database, database.reading() as connection:
        yield connection


def etags(text: str | None) -> frozenset[str] | None:
    """The ETag of ``--if-match``, with or without quotes."""
    return None if text is None else frozenset((text.strip().strip('"'),))


def _tokens(text: str | None) -> int | None:
    from modelscan.core.units import parse_tokens

    return None if text is None else parse_tokens(text)


def read_weights(
    context: Context, source: str, quantization: str | None, context_tokens: str | None
) -> WeightsFacts:
    """The facts of ``--from MODEL``, with the options that are about its weights."""
    from modelscan.deploy.registered import weights_facts

    with context.output.status(f"reading {source}"):
        return weights_facts(
            source, context.config, quantization=quantization,
            context_tokens=_tokens(context_tokens),
        )  # fmt: skip
