"""The options of ``catalog search`` and ``catalog list``, and the Query they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import click
import typer

from modelscan.cli.framework import Options
from modelscan.core.units import GIB, parse_least_tokens

if TYPE_CHECKING:
    from modelscan.catalog.search.types import Query

SORTS = ("relevance", "release", "params", "context", "downloads")
_SOURCES = {"hf": "huggingface", "ms": "modelscope", "modelsdev": "models.dev"}

Gpu = Annotated[
    str | None,
    typer.Option("--gpu", metavar="SPEC", help="Simulated hardware ('RTX 4090', '24GiB')."),
]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Number of rows (0: all).")]
USES = (
    "coding", "agents", "chat", "vision", "embedding", "rerank", "transcription", "math",
    "long-context",
)  # fmt: skip
Use = Annotated[
    str | None,
    typer.Option(
        "--for",
        click_type=click.Choice(USES),
        metavar="USE",
        help=f"Models for this use, best scores first: {', '.join(USES)}.",
    ),
]
SEARCH_LIMIT = 20


@dataclass(eq=False, repr=False)  # unused methods would cost start-up time
class Filters(Options):
    """The filters; each field is an option."""

    use: Use = None
    open_weights: Annotated[
        bool, typer.Option("--open-weights", help="Only models whose weights can be downloaded.")
    ] = False
    closed_weights: Annotated[
        bool, typer.Option("--closed-weights", help="Only models without published weights.")
    ] = False
    source: Annotated[
        str | None,
        typer.Option("--source", help="Only models of this source (models.dev, gpustack, hf …)."),
    ] = None
    family: Annotated[str | None, typer.Option("--family", help="Only this family, e.g. qwen.")] = (
        None
    )
    license: Annotated[
        str | None, typer.Option("--license", help="Only this license, e.g. apache-2.0.")
    ] = None
    modality: Annotated[
        str | None,
        typer.Option("--modality", help="Only models with all of these, e.g. text,image."),
    ] = None
    tools: Annotated[bool, typer.Option("--tools", help="Only models with tool calling.")] = False
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Only reasoning models.")] = False
    vision: Annotated[bool, typer.Option("--vision", help="Only models with image input.")] = False
    min_context: Annotated[
        str | None,
        typer.Option("--min-context", help="Only models with this context or more, e.g. 128k."),
    ] = None
    max_vram: Annotated[
        float | None,
        typer.Option(
            "--max-vram", min=0.0, metavar="GIB", help="Only models that run in this memory."
        ),
    ] = None
    max_params: Annotated[
        str | None,
        typer.Option("--max-params", help="Only models with at most this size, e.g. 8B."),
    ] = None
    fits: Annotated[
        bool, typer.Option("--fits", help="Only models that fit this machine (or --gpu).")
    ] = False
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="Only models of a route tagged trusted or curated; with --fits: of either kind.",
        ),
    ] = False
    gpu: Gpu = None
    sort: Annotated[str | None, typer.Option("--sort", click_type=click.Choice(SORTS))] = None
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help="Number of rows (0: all; default: 20 for search)."),
    ] = None
    offset: Annotated[int, typer.Option("--offset", min=0, help="Number of rows to skip.")] = 0

    @property
    def only_fitting(self) -> bool:
        """Whether to list only models that fit a machine."""
        return self.fits or self.gpu is not None

    def query(self, text: str = "", limit: int = 0) -> Query:
        """The filters as a Query; raises UsageError for an invalid value.

        ``limit`` rows (0: all) where the option is not given.
        """
        from modelscan.catalog.search.types import Query

        open_weights = self._weights()
        if self.only_fitting:
            open_weights = True if open_weights is None else open_weights
        return Query(
            text=text,
            open_weights=open_weights,
            source=_SOURCES.get(self.source.lower(), self.source.lower()) if self.source else None,
            family=self.family,
            license=self.license,
            modalities=tuple(
                word.strip().lower() for word in (self.modality or "").split(",") if word.strip()
            ),
            tools=self.tools,
            reasoning=self.reasoning,
            vision=self.vision,
            min_context_tokens=parse_least_tokens(self.min_context) if self.min_context else None,
            max_memory_bytes=None if self.max_vram is None else round(self.max_vram * GIB),
            max_parameters=parse_count(self.max_params) if self.max_params else None,
            use=self.use,
            sort=self.sort or "relevance",
            limit=(limit if self.limit is None else self.limit) or None,
            offset=self.offset,
        )

    def _weights(self) -> bool | None:
        if self.open_weights and self.closed_weights:
            raise click.UsageError("--open-weights and --closed-weights exclude each other")
        return True if self.open_weights else False if self.closed_weights else None


def parse_count(text: str) -> int:
    """``8B`` -> 8_000_000_000 (a bare number counts billions); raises UsageError."""
    scales = {"": 1e9, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
    number, unit = text.strip().lower(), ""
    if number and number[-1] in scales:
        number, unit = number[:-1], number[-1]
    try:
        value = float(number) * scales[unit]
    except ValueError:
        value = 0
    if not 0 < value < 1e16:
        raise click.UsageError(f"'{text}' is not a number of parameters: write it like 8B or 700M")
    return round(value)
