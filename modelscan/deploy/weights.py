"""The files of a plan on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Weights:
    """What an engine is started with. ``model`` is the first shard or the folder."""

    model: Path
    projector: Path | None = None


def local_weights(plan: Plan) -> Weights:
    """Where the plan's files are; raises for weights that are not on this machine."""
    if plan.source != "local_path":
        raise NotDeployableError(
            f"the weights of {plan.model} are on {plan.source} ({plan.repo}), not on this machine",
            hint="download the file, then: modelscan deploy PATH_OF_THE_GGUF_FILE",
            code="not_downloaded",
            details={"repo": plan.repo, "files": list(plan.files), "source": plan.source},
        )
    root = Path(plan.repo).expanduser().absolute()
    files = [_inside(root, name) for name in plan.files] or [root]
    for file in files:
        if not file.exists():
            raise ModelscanError(f"{file} is not there any more", code="file_missing")
    projectors = [file for file in files if is_projector(file.name)]
    models = [file for file in files if file not in projectors]
    return Weights(models[0] if models else root, projectors[0] if projectors else None)


def _inside(root: Path, name: str) -> Path:
    """A file of the repository folder; a repository that is one file names itself."""
    path = Path(name)
    if path.is_absolute():
        return path
    return root if root.is_file() else root / path


def is_projector(name: str) -> bool:
    """llama.cpp's image and audio encoders are files of their own."""
    return name.lower().startswith("mmproj") or "-mmproj" in name.lower()
