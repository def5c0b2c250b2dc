"""Which files of a repository a plan needs, and where they may go. Pure.

One GGUF quantization with its shards and projector; safetensors without duplicates. Formats that
can run code when they are opened (pickles), and a repository's own code, only where the plan was
made with ``--allow-unsafe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.model import WeightFile
from modelscan.core.plan import Plan
from modelscan.core.workload import REMOTE_CODE
from modelscan.formats.files import (
    PICKLE_SUFFIXES,
    RepositoryFile,
    Role,
    describe,
    is_projector,
    parts,
    projectors,
)

_PROJECTOR_FACTOR = 2  # its weights, and as much again for what it computes with


def needed(plan: Plan, listing: Sequence[WeightFile]) -> tuple[WeightFile, ...]:
    """The files to fetch, in the order of the listing.

    Raises NotDeployableError when the weights the plan names are not in the repository, or are
    there only as pickles; UsageError for a file name that would leave its folder.
    """
    by_path = {file.path: file for file in listing}
    for path in by_path:
        check_path(path)
    chosen = _gguf(plan, by_path) if plan.format == "gguf" else _repository(plan, by_path)
    return tuple(file for file in listing if file.path in chosen)


def check_path(path: str) -> str:
    """A name from a hub must stay inside its folder; raises UsageError otherwise."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path
    if unsafe or not path or path.endswith("/") or re.match(r"^[A-Za-z]:", path):
        raise UsageError(
            f"the repository has a file with an unsafe name: {path!r}", code="unsafe_path"
        )
    return path


def _projector(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The projector, for a plan made without the repository's list of files (a catalog name):
    chosen where enough memory is left for it."""
    if plan.revision is not None or any(is_projector(path) for path in plan.files):
        return set()  # made with the repository's own list
    found = next(iter(projectors(by_path.values())), None)
    if found is None or found.size_bytes is None:
        return set()
    estimate = plan.estimate
    device = next(iter(estimate.per_gpu), estimate.host)
    if device is None or device.free_bytes is None:
        return set()
    left = device.free_bytes - device.total_bytes - estimate.margin_bytes
    return {found.path} if left >= _PROJECTOR_FACTOR * found.size_bytes else set()


def _gguf(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    chosen = _projector(plan, by_path)
    for name in plan.files or [p for p in by_path if describe(p).format == "gguf"]:
        if name not in by_path:
            raise _absent(plan, name, by_path)
        chosen |= {name, *_shards(name, by_path)}
    return chosen


def _shards(name: str, by_path: Iterable[str]) -> set[str]:
    """Every part of a split file; raises NotDeployableError when one is missing."""
    named = set(parts(name))
    missing = named - set(by_path)
    if missing:
        raise NotDeployableError(
            f"{len(missing)} of {len(named)} parts are missing, e.g. {sorted(missing)[0]}",
            hint="modelscan plan MODEL --all", code="incomplete",
        )  # fmt: skip
    return named


def _repository(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The folder that vLLM and SGLang load: weights, their index, and what goes with them."""
    files = [describe(path) for path in by_path]
    roles = {Role.CONFIG, Role.TOKENIZER, *((Role.CODE,) if _runs_code(plan) else ())}
    with_them = {file.path for file in files if file.role in roles}
    weights = _pickled(files) if plan.format == "pickle" else _safetensors(files)
    if not weights:
        raise _no_weights(plan) if plan.format == "pickle" else _only_pickles(plan, by_path)
    return weights | with_them


def _runs_code(plan: Plan) -> bool:
    return any(key.replace("_", "-") == REMOTE_CODE for key in plan.settings)


def _safetensors(files: Sequence[RepositoryFile]) -> set[str]:
    """The weights once (the makers' copies left out), of the top folder where it has any."""
    tensors = [file for file in files if file.format == "safetensors"]
    own = [file.path for file in tensors if not file.copy] or [file.path for file in tensors]
    top = {path for path in own if "/" not in path}
    indexes = {
        file.path
        for file in files
        if file.role is Role.INDEX and file.path.endswith(".safetensors.index.json")
        if not file.copy
    }
    return (top or set(own)) | indexes if own else set()


def _pickled(files: Sequence[RepositoryFile]) -> set[str]:
    """Only a plan that was made with ``--allow-unsafe`` has this format."""
    weights = {f.path for f in files if f.format == "pickle" and f.role is Role.WEIGHTS}
    indexes = {f.path for f in files if f.path.endswith(".bin.index.json")}
    return weights | indexes if weights else set()


def _absent(plan: Plan, name: str, by_path: Iterable[str]) -> NotDeployableError:
    there = sorted(path for path in by_path if path.endswith(".gguf"))[:5]
    listed = ", ".join(there) or "no GGUF file"
    return NotDeployableError(
        f"{plan.repo} has no file {name} (it has {listed})",
        hint="modelscan catalog sync", code="file_missing", details={"files": there},
    )  # fmt: skip


def _only_pickles(plan: Plan, by_path: Iterable[str]) -> NotDeployableError:
    pickles = sorted(path for path in by_path if path.endswith(PICKLE_SUFFIXES))
    if pickles:
        return NotDeployableError(
            f"{plan.repo} has its weights only as {pickles[0]}: opening such a file can run code",
            hint=f"choose one with safetensors or GGUF: modelscan catalog info {plan.model}",
            code="unsafe_format", details={"files": pickles[:20]},
        )  # fmt: skip
    return _no_weights(plan)


def _no_weights(plan: Plan) -> NotDeployableError:
    return NotDeployableError(
        f"{plan.repo} has no weights", hint=f"modelscan catalog passport hf:{plan.repo}",
        code="no_weights",
    )  # fmt: skip
