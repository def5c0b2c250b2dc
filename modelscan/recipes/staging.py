"""The folder that a job receives: exactly the listed files, and nothing next to them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.recipes.manifest import MANIFEST, SCRIPT
from modelscan.state.files import ensure_dir, explain_os_errors

if TYPE_CHECKING:
    from modelscan.recipes.manifest import RecipeManifest
    from modelscan.recipes.types import RecipeModel


def stage(upload: Path, folder: Path, manifest: RecipeManifest) -> None:
    """Collect script, manifest, dataset and local models; what was there before is removed."""
    with explain_os_errors(upload):
        if upload.is_symlink() or upload.is_file():
            upload.unlink()
        shutil.rmtree(upload, ignore_errors=True)
        ensure_dir(upload)
        for name in (SCRIPT, MANIFEST):
            shutil.copyfile(folder / name, upload / name)
        if manifest.dataset is not None:
            shutil.copyfile(manifest.dataset.path, upload / "dataset.jsonl")
        for place, model in enumerate((manifest.base, *manifest.others)):
            _model(upload / ("base" if place == 0 else f"base-{place}"), model)


def _model(target: Path, model: RecipeModel) -> None:
    """Its files as links where the file system can, else as copies."""
    if model.path is None:
        return
    ensure_dir(target)
    source = Path(model.path)
    place = source.parent if source.is_file() else source
    for one in model.files:
        try:
            os.link((place / one.path).resolve(), target / one.path)
        except OSError:
            shutil.copyfile(place / one.path, target / one.path)
