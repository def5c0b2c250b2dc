"""A rendered folder as a document, and every recipe as a list."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.recipes.flavors import job_command
from modelscan.recipes.manifest import SCRIPT, files_of, read_manifest, read_run
from modelscan.recipes.registry import RECIPES
from modelscan.recipes.script_files import environment_of, script_text
from modelscan.recipes.types import (
    RecipeList,
    RecipeMethodRow,
    RecipePaths,
    RecipeRow,
    RecipeSetting,
    RenderedRecipe,
)

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeKind
    from modelscan.recipes.manifest import RecipeManifest

UPLOAD = "upload"  # of a job: what is sent, collected by ``recipe run``
VENV = ".venv"


def recipe_list() -> RecipeList:
    """Every recipe with its methods, settings and environment."""
    return RecipeList(tuple(map(_row, RECIPES)))


def _row(kind: RecipeKind) -> RecipeRow:
    environment = environment_of(script_text(kind))
    methods = tuple(RecipeMethodRow(m.name, m.description, m.dataset) for m in kind.methods)
    settings = tuple(RecipeSetting(p.name, p.default, p.accepts) for p in kind.parameters)
    return RecipeRow(
        kind.name, kind.description, kind.produces, methods, settings, environment.python,
        environment.requirements,
    )  # fmt: skip


def shown(folder: Path) -> RenderedRecipe:
    """The document of a rendered folder. Raises UsageError where it is none."""
    folder = folder.resolve()
    manifest = read_manifest(folder)
    run = read_run(folder)
    paths = absolute(manifest, folder)
    return RenderedRecipe(
        artifact_name=manifest.artifact_name, recipe=manifest.recipe, method=manifest.method,
        dir=str(folder), files=files_of(folder), base=manifest.base, others=manifest.others,
        dataset=manifest.dataset, paths=paths, parameters=manifest.parameters,
        python=manifest.python, requirements=manifest.requirements,
        command=command_of(manifest, folder), needs=manifest.needs, fit=manifest.fit,
        leaves_machine=manifest.leaves_machine, cost=manifest.cost, job=manifest.job,
        produces=manifest.produces, publish=_publish(manifest, paths),
        next=_next(manifest, folder, paths, run is not None),
        run=run, warnings=manifest.warnings,
    )  # fmt: skip


def absolute(manifest: RecipeManifest, folder: Path) -> RecipePaths:
    """The manifest's paths with those of results in this folder."""

    def inside(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    paths = manifest.paths
    return RecipePaths(
        paths.base, paths.dataset, inside(paths.adapter), inside(paths.checkpoint),
        inside(paths.output),
    )  # fmt: skip


def command_of(manifest: RecipeManifest, folder: Path) -> tuple[str, ...]:
    """What ``recipe run`` starts: the script, or ``hf jobs run``."""
    if manifest.job is not None:
        upload = str(folder / UPLOAD)
        return job_command(manifest.artifact_name, manifest.job, upload, gated=manifest.gated)
    return script_command(interpreter(folder), folder)


def script_command(python: str, folder: Path) -> tuple[str, ...]:
    """The script in an isolated interpreter: no variables of Python, no modules of the folder."""
    return (python, "-I", str(folder / SCRIPT))


def interpreter(folder: Path) -> str:
    """The folder's own environment, else the Python that runs modelscan."""
    own = folder / VENV / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _publish(manifest: RecipeManifest, paths: RecipePaths) -> str | None:
    """The line that uploads the result. It is printed, never run."""
    result = paths.adapter or paths.output
    if result is None or manifest.produces == "dataset":
        return None
    return f"hf upload YOUR-NAME/{manifest.artifact_name} {shlex.quote(result)} --private"


def _next(manifest: RecipeManifest, folder: Path, paths: RecipePaths, ran: bool) -> tuple[str, ...]:
    """Commands: those that run it, or after a run those that use the result."""
    if ran and manifest.job is None:
        return tuple(_uses(manifest, paths))
    place = shlex.quote(str(folder))
    run = f"modelscan recipe run {place}{' --yes' if manifest.job else ''}"
    own = folder / VENV / "bin" / "python"
    if not manifest.requirements or manifest.job is not None or own.exists():
        return (run,)
    venv = shlex.quote(str(folder / VENV))
    pip = shlex.quote(str(folder / VENV / "bin" / "pip"))
    packages = shlex.quote(str(folder / "requirements.txt"))
    return (f"python3 -m venv {venv}", f"{pip} install -r {packages}", run)


def _uses(manifest: RecipeManifest, paths: RecipePaths) -> Iterator[str]:
    base = manifest.base.path or f"hf:{manifest.base.repository}"
    if manifest.produces == "dataset" and paths.output:
        rows = shlex.quote(f"{paths.output}/train.jsonl")
        yield f"modelscan recipe render peft {shlex.quote(base)} --dataset {rows}"
    elif paths.adapter:
        yield f"modelscan deploy {shlex.quote(base)} --adapter {shlex.quote(paths.adapter)}"
    elif paths.output:
        yield f"modelscan deploy {shlex.quote(paths.output)}"
