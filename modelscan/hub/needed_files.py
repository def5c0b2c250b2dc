"""Selects the files of a repository that a plan needs, and checks their names. Pure.

One GGUF quantization with its parts and projector; safetensors without duplicates. Files that can
run code when opened (pickles), and a repository's own code, only if the plan was made with
``--allow-unsafe``.
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
    gguf_sets,
    is_projector,
    parts,
    projectors,
)
from modelscan.formats.quantization import canonical

_PROJECTOR_FACTOR = 2  # its weights, and the same amount for its activations


def needed(plan: Plan, listing: Sequence[WeightFile]) -> tuple[WeightFile, ...]:
    """The files to download, in the order of the listing.

    Raises NotDeployableError if the plan's weights are not in the repository, or only as pickles;
    UsageError for a file name that points outside its folder.
    """
    by_path = {file.path: file for file in listing}
    for path in by_path:
        check_path(path)
    chosen = _gguf(plan, by_path) if plan.format == "gguf" else _repository(plan, by_path)
    return tuple(file for file in listing if file.path in chosen)


def check_path(path: str) -> str:
    """The path, if it stays inside its folder. Raises UsageError otherwise."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path
    if unsafe or not path or path.endswith("/") or re.match(r"^[A-Za-z]:", path):
        raise UsageError(
            f"the repository has a file with an unsafe name: {path!r}", code="unsafe_path"
        )
    return path


def _projector(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The projector, for a plan made without the repository's list of files (a catalog name).

    Selected if enough memory remains for it.
    """
    if plan.revision is not None or any(is_projector(path) for path in plan.files):
        return set()  # made with the repository's own list
    projector = next(iter(projectors(by_path.values())), None)
    if projector is None or projector.size_bytes is None:
        return set()
    estimate = plan.estimate
    device = next(iter(estimate.per_gpu), estimate.host)
    if device is None or device.free_bytes is None:
        return set()
    remaining = device.free_bytes - device.total_bytes - estimate.margin_bytes
    return {projector.path} if remaining >= _PROJECTOR_FACTOR * projector.size_bytes else set()


def _gguf(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    chosen = _projector(plan, by_path)
    for name in _names(plan, by_path) or [p for p in by_path if describe(p).format == "gguf"]:
        if name not in by_path:
            raise _absent(plan, name, by_path)
        chosen |= {name, *_shards(name, by_path)}
    return chosen


def _names(plan: Plan, by_path: dict[str, WeightFile]) -> Sequence[str]:
    """The plan's files; where their names are only expected, those of its quantization."""
    absent = [name for name in plan.files if name not in by_path]
    if not plan.files_expected or (plan.files and not absent):
        return plan.files
    mine = canonical(plan.quantization)
    sets = gguf_sets(by_path.values())
    files = next((files for label, files in sets if canonical(label) == mine), None)
    if files is None:
        raise _absent(plan, absent[0] if absent else f"in {plan.quantization}", by_path)
    return [file.path for file in files]


def _shards(name: str, by_path: Iterable[str]) -> set[str]:
    """All parts of a split file. Raises NotDeployableError if one is missing."""
    paths = set(parts(name))
    missing = paths - set(by_path)
    if missing:
        raise NotDeployableError(
            f"{len(missing)} of {len(paths)} parts are missing, e.g. {sorted(missing)[0]}",
            hint="modelscan plan MODEL --all", code="incomplete",
        )  # fmt: skip
    return paths


def _repository(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The files that vLLM and SGLang load: weights, their index, configuration and tokenizer."""
    files = [describe(path) for path in by_path]
    roles = {Role.CONFIG, Role.TOKENIZER, *((Role.CODE,) if _runs_code(plan) else ())}
    supporting = {file.path for file in files if file.role in roles}
    weights = _pickled(files) if plan.format == "pickle" else _safetensors(files)
    if not weights:
        raise _no_weights(plan) if plan.format == "pickle" else _only_pickles(plan, by_path)
    return weights | supporting


def _runs_code(plan: Plan) -> bool:
    return any(key.replace("_", "-") == REMOTE_CODE for key in plan.settings)


def _safetensors(files: Sequence[RepositoryFile]) -> set[str]:
    """The weights without the publishers' copies, from the top folder if it has any."""
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
    """Pickle weights; only a plan made with ``--allow-unsafe`` has this format."""
    weights = {f.path for f in files if f.format == "pickle" and f.role is Role.WEIGHTS}
    indexes = {f.path for f in files if f.path.endswith(".bin.index.json")}
    return weights | indexes if weights else set()


def _absent(plan: Plan, name: str, by_path: Iterable[str]) -> NotDeployableError:
    gguf_files = sorted(path for path in by_path if path.endswith(".gguf"))[:5]
    listed = ", ".join(gguf_files) or "no GGUF file"
    return NotDeployableError(
        f"{plan.repo} has no file {name} (it has {listed})",
        hint="modelscan catalog sync", code="file_missing", details={"files": gguf_files},
    )  # fmt: skip


def _only_pickles(plan: Plan, by_path: Iterable[str]) -> NotDeployableError:
    pickles = sorted(path for path in by_path if path.endswith(PICKLE_SUFFIXES))
    if pickles:
        return NotDeployableError(
            f"{plan.repo} has its weights only as {pickles[0]}: opening such a file can run code",
            hint=f"use one with safetensors or GGUF: modelscan catalog info {plan.model}",
            code="unsafe_format", details={"files": pickles[:20]},
        )  # fmt: skip
    return _no_weights(plan)


def _no_weights(plan: Plan) -> NotDeployableError:
    return NotDeployableError(
        f"{plan.repo} has no weights", hint=f"modelscan catalog passport hf:{plan.repo}",
        code="no_weights",
    )  # fmt: skip
