"""``modelscan recipe``: quantization, fine-tuning and merges as folders that one can read first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.recipes.render import RecipeWish

app = group("Quantize, fine-tune and merge models: as scripts that run on request.")
Folder = Annotated[Path, typer.Argument(help="A rendered folder.", metavar="DIR")]
Method = Annotated[
    str | None, typer.Option("--method", metavar="M", help="Of recipe list (default: the first).")
]
Dataset = Annotated[
    Path | None,
    typer.Option("--dataset", metavar="PATH", help="Conversations, JSON Lines with messages."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of recipe list (repeatable)."),
]
Job = Annotated[bool, typer.Option("--job", help="As a job on Hugging Face's machines.")]
Flavor = Annotated[
    str | None, typer.Option("--flavor", metavar="F", help="The job's machine, e.g. l4x1.")
]
GpuOption = Annotated[
    str | None, typer.Option("--gpu", metavar="SPEC", help="Check the fit on this GPU instead.")
]


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List the recipes with their methods."""
    from modelscan.cli.recipe.view import list_document

    return list_document(context.workspace.recipes())


@command(app, "render")
def render(
    context: Context,
    recipe: Annotated[
        str,
        typer.Argument(
            help="quantize, gguf, unsloth, peft, nemo, merge or dataset.", metavar="RECIPE"
        ),
    ],
    models: Annotated[
        list[str], typer.Argument(help="A model; for merge the base, then others.", metavar="MODEL")
    ],
    method: Method = None,
    dataset: Dataset = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new folder (default: ./NAME)."),
    ] = None,
    settings: Settings = None,
    job: Job = False,
    flavor: Flavor = None,
    gpu: GpuOption = None,
) -> Document[Any]:
    """Write a recipe's script, environment and manifest; nothing is run or sent."""
    from modelscan.cli.recipe.view import recipe_document
    from modelscan.recipes.render import RecipeWish

    wish = RecipeWish(
        recipe, tuple(models), method, dataset, out, _settings(settings or []), job, flavor
    )
    return recipe_document(_rendered(context, wish, gpu))


def _rendered(context: Context, wish: RecipeWish, gpu: str | None) -> Any:
    with context.output.status(f"reading {wish.models[0]}"):
        return context.workspace.render_recipe(wish, gpu=gpu)


def _settings(texts: list[str]) -> dict[str, str]:
    from modelscan.core.errors import UsageError

    settings: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"'{text}' is no KEY=VALUE", hint="--set rank=32")
        settings[name.strip()] = value.strip()
    return settings


@command(app, "show")
def show(context: Context, folder: Folder) -> Document[Any]:
    """Show a rendered recipe: files, needs, command, what leaves this machine."""
    from modelscan.cli.recipe.view import recipe_document
    from modelscan.recipes.shown import shown
    from modelscan.state.paths import expand

    return recipe_document(shown(expand(folder)))


@command(app, "run")
def run(
    context: Context,
    folder: Folder,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="PATH", help="The Python that has its packages."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run it even if it does not fit this machine.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Start a job: it costs money and sends files.")
    ] = False,
) -> Document[Any]:
    """Verify a rendered recipe and run it; again after Ctrl-C goes on from a checkpoint."""
    from modelscan.cli.interrupt import interruptible
    from modelscan.cli.recipe.view import recipe_document
    from modelscan.recipes.run import RunOptions

    with interruptible():
        answer = context.workspace.run_recipe(
            folder, RunOptions(python, force, yes), on_line=context.output.program_line
        )
    return recipe_document(answer)
