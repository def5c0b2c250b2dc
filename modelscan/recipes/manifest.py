"""The folder of a recipe: what is in it, written and read back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.recipes.types import (
    Produces,
    RecipeCost,
    RecipeDataset,
    RecipeFile,
    RecipeFit,
    RecipeJob,
    RecipeModel,
    RecipeNeeds,
    RecipePaths,
    RecipeRun,
)
from modelscan.state.files import ensure_dir, write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "modelscan.recipe.manifest/1"
MANIFEST, SCRIPT, SUMS, RUN = "manifest.json", "script.py", "SHA256SUMS", "run.json"
REQUIREMENTS, README = "requirements.txt", "README.md"
RENDERED = (SCRIPT, REQUIREMENTS, README, MANIFEST)
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True)
class RecipeManifest:
    """``manifest.json``. ``paths``: of results, relative to the folder; of inputs, absolute."""

    artifact_name: str
    recipe: str
    method: str
    created_on: str  # yyyymmdd
    modelscan: str
    base: RecipeModel
    others: tuple[RecipeModel, ...]
    dataset: RecipeDataset | None
    paths: RecipePaths
    parameters: dict[str, Any]
    python: str
    requirements: tuple[str, ...]
    needs: RecipeNeeds
    fit: RecipeFit
    leaves_machine: tuple[str, ...]
    cost: RecipeCost
    job: RecipeJob | None
    gated: bool
    produces: Produces
    warnings: tuple[str, ...] = ()
    schema: str = SCHEMA


def write_folder(folder: Path, manifest: RecipeManifest, texts: Mapping[str, str]) -> None:
    """Write every file, the sums last: a folder without them was not finished."""
    ensure_dir(folder)
    contents = {**texts, MANIFEST: json.dumps(to_json(manifest), indent=1) + "\n"}
    for name in RENDERED:
        write_atomic(folder / name, contents[name])
    sums = "".join(f"{_digest(contents[name].encode())}  {name}\n" for name in RENDERED)
    write_atomic(folder / SUMS, sums)


def is_recipe(folder: Path) -> bool:
    """Whether the folder has a rendered recipe."""
    return (folder / SUMS).is_file() and (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> RecipeManifest:
    """The manifest. Raises UsageError where the folder has none, or one that cannot be read."""
    if not is_recipe(folder):
        raise UsageError(
            f"no rendered recipe (no {MANIFEST} and {SUMS}): {folder}",
            hint="modelscan recipe render quantize MODEL",
            code="no_recipe",
        )
    try:
        manifest = from_json(RecipeManifest, json.loads(_bytes(folder / MANIFEST)))
    except (ValueError, NotReadable, RecursionError) as error:
        raise UsageError(
            f"{folder / MANIFEST} cannot be read: {error}",
            hint="render the recipe again",
            code="bad_recipe",
        ) from error
    if manifest.schema != SCHEMA:
        raise UsageError(
            f"{folder / MANIFEST} is '{manifest.schema}', this version reads {SCHEMA}",
            hint="render the recipe again",
            code="bad_recipe",
        )
    return manifest


def files_of(folder: Path) -> tuple[RecipeFile, ...]:
    """The rendered files with the digests of their present content."""
    return tuple(
        RecipeFile(name, _digest(_bytes(folder / name)))
        for name in (*RENDERED, SUMS)
        if (folder / name).is_file()
    )


def changed_rendered(folder: Path) -> list[str]:
    """Rendered files that are gone or differ from their sums."""
    stated: dict[str, str] = {}
    for line in _bytes(folder / SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        stated[name] = digest
    now = {one.path: one.sha256 for one in files_of(folder)}
    return [name for name in RENDERED if now.get(name) != stated.get(name) or name not in now]


def read_run(folder: Path) -> RecipeRun | None:
    """The last finished run; None where there is none, or its record cannot be read."""
    try:
        return from_json(RecipeRun, json.loads(_bytes(folder / RUN))["run"])
    except (ModelscanError, OSError, ValueError, KeyError, TypeError, NotReadable):
        return None


def _bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > _LARGEST:
            raise UsageError(f"{file} is too large for a recipe's file", code="bad_recipe")
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="render the recipe again",
            code="bad_recipe",
        ) from error  # fmt: skip


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
