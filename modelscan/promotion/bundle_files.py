"""What a bundle's deployment runs on this machine: its files by checksum, and the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import from_json, to_json
from modelscan.core.workload import Workload
from modelscan.promotion.bundle import BundledDeployment, BundledFile
from modelscan.promotion.bundle_export import LOCAL, file_digest
from modelscan.state.paths import expand
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.state.config import Config

_HUBS = {"huggingface": "hf:", "modelscope": "ms:"}


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """``folders``: where files are looked for; ``replace``: entries of the same name give way."""

    folders: tuple[Path, ...] = ()
    replace: bool = False
    dry_run: bool = False
    timeout_s: float = 600.0


def bundled_request(
    one: BundledDeployment, places: Mapping[str, str], options: BundleOptions, config: Config
) -> Request:
    """The request that runs the same: what was chosen there is requested here."""
    wishes = from_json(Workload, {**to_json(Workload()), **one.wishes})
    adapters = tuple(_adapter(one, at, places, options, config) for at in range(len(one.adapters)))
    workload = replace(
        wishes,
        backend=one.backend,  # type: ignore[arg-type]
        context_tokens=one.context_tokens,
        parallel=one.parallel,
        quantization=None if one.source == LOCAL else one.quantization,
        adapters=adapters,
    )
    model = _model(one, places, options, config)
    return Request(
        model=model, workload=workload, name=one.name, route=False, timeout_s=options.timeout_s,
    )  # fmt: skip


def _model(
    one: BundledDeployment, places: Mapping[str, str], options: BundleOptions, config: Config
) -> str:
    if one.source in _HUBS:
        revision = f"@{one.revision}" if one.revision else ""
        return f"{_HUBS[one.source]}{one.repo}{revision}"
    found = [_found(one.name, file, places, options, config) for file in one.files]
    if not found:
        raise UsageError(f"the bundle names no file of {one.name}", code="bad_bundle")
    whole = one.format != "gguf"
    return str(found[0].parent if whole else found[0])


def _adapter(
    one: BundledDeployment, at: int, places: Mapping[str, str], options: BundleOptions,
    config: Config,
) -> str:  # fmt: skip
    adapter = one.adapters[at]
    if not adapter.files:
        return adapter.name  # of a hub
    single = len(adapter.files) == 1 and adapter.files[0].name == adapter.name
    base = places.get(f"{one.name}/{adapter.name}")
    inner = {} if base is None or single else {
        f"{one.name}/{file.name}": str(expand(base) / file.name) for file in adapter.files
    }  # fmt: skip
    within = replace(options, folders=(
        *options.folders, *(folder / adapter.name for folder in options.folders)
    ))  # fmt: skip
    found = [_found(one.name, file, {**places, **inner}, within, config) for file in adapter.files]
    return str(found[0] if single else found[0].parent)


def _found(
    deployment: str, file: BundledFile, places: Mapping[str, str], options: BundleOptions,
    config: Config,
) -> Path:  # fmt: skip
    """The file on this machine with that content: in the folders, else where it was."""
    hint = places.get(f"{deployment}/{file.name}")
    candidates = [folder / Path(file.name).name for folder in options.folders]
    candidates += [expand(hint)] if hint else []
    present = [path for path in candidates if path.is_file()]
    for path in present:
        if file.sha256 is None or file_digest(path, config) == file.sha256:
            return path
    if present:
        raise ModelscanError(
            f"{present[0]} is another file than the one that {deployment} serves: its SHA-256 is "
            f"{file_digest(present[0], config)[:12]}…, not {str(file.sha256)[:12]}…",
            hint="modelscan route import --bundle FILE --files FOLDER",
            code="hash_mismatch",
            details={"file": str(present[0]), "sha256": file.sha256},
        )
    raise UsageError(
        f"{file.name} of {deployment} is not on this machine",
        hint="modelscan route import --bundle FILE --files FOLDER   (where the file is)",
        code="no_such_file",
        details={"file": file.name, "sha256": file.sha256},
    )
