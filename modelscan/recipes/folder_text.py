"""README.md of a rendered recipe. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.recipes.manifest import RecipeManifest

_TEXT = """# {name}

Recipe `{recipe}`, method `{method}`, rendered by modelscan {version}. Nothing has been run.

- `script.py`: what is run; it is the same for every model and reads `manifest.json`.
- `manifest.json`: base, dataset, paths of adapter, checkpoints and result, parameters, needs.
- `requirements.txt`: the environment, Python {python}.
- `SHA256SUMS`: `modelscan recipe run` refuses files that differ from it.

GPU memory: {gpu}. Disk: {disk}. Verdict for {where}: {verdict}.

In this folder:

    modelscan recipe show .
{environment}    modelscan recipe run .{yes}

Nothing is uploaded. An interrupted run goes on from its last checkpoint where the recipe has one.
"""
_ENVIRONMENT = """    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
"""


def readme(manifest: RecipeManifest) -> str:
    """The page; it has no text of the user but what the artefact's name keeps of the model's."""
    needs = manifest.needs
    return _TEXT.format(
        name=manifest.artifact_name, recipe=manifest.recipe, method=manifest.method,
        version=manifest.modelscan, python=manifest.python,
        gpu="unknown" if needs.gpu_bytes is None else format_bytes(needs.gpu_bytes),
        disk="unknown" if needs.disk_bytes is None else format_bytes(needs.disk_bytes),
        where="a job" if manifest.job else "the machine that it was rendered on",
        verdict=manifest.fit.verdict.replace("_", " "),
        environment=_ENVIRONMENT if manifest.requirements and not manifest.job else "",
        yes=" --yes" if manifest.job else "",
    )  # fmt: skip
