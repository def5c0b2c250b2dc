"""The files of a plan on this machine: local, or fetched from their hub."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.units import format_bytes
from modelscan.formats.files import is_blob_name, is_projector
from modelscan.targets.local import adapters

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.hub.downloads.types import Progress
    from modelscan.state.config import Config
    from modelscan.targets.events import Events

LOCAL = "local_path"
_SAY_EVERY_S = 0.2
_PROJECTOR = "clip"  # the architecture of its header


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files an engine is started with. ``model`` is the first shard or the folder."""

    model: Path
    projector: Path | None = None


def is_remote(plan: Plan) -> bool:
    """Whether the plan's files must come from a hub."""
    return plan.source != LOCAL


def fetch(name: str, plan: Plan, config: Config, events: Events) -> tuple[Plan, WeightFiles]:
    """Download and verify files on a hub; returns the plan pinned to the fetched revision."""
    from modelscan.hub.downloads.pull import pull

    plan = adapters.fetch(plan, config, _reporter(name, events))
    if not is_remote(plan):
        return plan, expected(plan, config)
    pulled = pull(plan, config, _reporter(name, events))
    paths = tuple(file.path for file in pulled.files)
    plan = _listed(plan, paths)
    names = plan.files or paths
    if plan.format == "gguf":
        names = tuple(dict.fromkeys((*names, *filter(is_projector, paths))))
    weights = _chosen(pulled.folder, [pulled.folder / name for name in names])
    files = names if plan.files else ()
    return replace(plan, revision=pulled.revision, files=files), weights


def _listed(plan: Plan, paths: Sequence[str]) -> Plan:
    """The plan with the names of the fetched files, where it had expected ones."""
    if not plan.files_expected:
        return plan
    return replace(plan, files=tuple(p for p in paths if p.endswith(".gguf")), files_expected=False)


def _reporter(name: str, events: Events) -> Callable[[Progress], None]:
    """Reports the progress a few times per second."""
    from modelscan.targets.events import Downloading

    said_at = 0.0

    def report(progress: Progress) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < _SAY_EVERY_S and progress.done_bytes < progress.total_bytes:
            return
        said_at = now
        percent = 100 * progress.done_bytes / max(1, progress.total_bytes)
        events(
            Downloading(
                name, percent, _pace(progress), progress.file, progress.done_bytes,
                progress.total_bytes, progress.rate_bytes_per_s, progress.left_s,
            )
        )  # fmt: skip

    return report


def _pace(progress: Progress) -> str:
    words = f"{format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}"
    if progress.rate_bytes_per_s is None or progress.left_s is None:
        return words
    rate = format_bytes(round(progress.rate_bytes_per_s))
    return f"{words}, {rate}/s, {progress.left_s:.0f} s left"


def expected(plan: Plan, config: Config) -> WeightFiles:
    """The local paths of a plan's files, or (for a preview) where they will be.

    Raises ModelscanError for local files that do not exist.
    """
    if plan.source != LOCAL:
        root = _cache_folder(plan, config)
        return _chosen(root, [root / name for name in plan.files])
    root = Path(plan.repo).expanduser().absolute()
    files = [_inside(root, name) for name in plan.files] or [root]
    for file in files:
        if not file.exists():
            raise ModelscanError(
                f"{file} no longer exists", hint="restore the file, or deploy another model",
                code="file_missing", details={"file": str(file)},
            )  # fmt: skip
    return _chosen(root, files)


def _cache_folder(plan: Plan, config: Config) -> Path:
    from modelscan.hub.downloads.pull import folder_of

    return folder_of(plan, config)


def _chosen(root: Path, files: Sequence[Path]) -> WeightFiles:
    projectors = [file for file in files if is_projector(str(file)) or _projects(file)]
    models = [file for file in files if file not in projectors]
    return WeightFiles(models[0] if models else root, projectors[0] if projectors else None)


def _projects(file: Path) -> bool:
    """Whether a file without a name of its own is a projector, by its header."""
    if not is_blob_name(file.name) or not file.is_file():
        return False
    from modelscan.models.from_local import read_header

    return read_header(file).architecture == _PROJECTOR


def _inside(root: Path, name: str) -> Path:
    """A file of the repository folder; for a repository of one file, the file."""
    path = Path(name)
    if path.is_absolute():
        return path
    return root if root.is_file() else root / path
