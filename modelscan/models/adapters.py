"""LoRA adapters on this machine: their files read, and the adapters of a model's workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.adapter import Adapter, AdapterCheck, AdapterFault
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.plan import Candidate
from modelscan.core.reference import Kind, Reference, parse_reference
from modelscan.formats import gguf
from modelscan.formats.gguf_adapter import read_gguf_adapter
from modelscan.formats.peft import CONFIG, PICKLE, WEIGHTS, read_peft
from modelscan.formats.reader import reader
from modelscan.formats.safetensors import BadHeader, Header, read_header
from modelscan.state.paths import expand

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.state.paths import Paths

_MOST_CONFIG_BYTES = 16 << 20


def read_adapter(path: Path) -> Adapter:
    """The adapter of a PEFT folder (or one of its files) or of a GGUF file.

    Whatever is wrong with its files is among ``faults``. Raises UsageError where there is nothing.
    """
    path = path.expanduser()
    if not path.exists():
        raise nothing_at(path)
    if path.name in (CONFIG, WEIGHTS):
        path = path.parent
    return _folder(path) if path.is_dir() else _gguf(path)


def _folder(folder: Path) -> Adapter:
    faults = list(_missing(folder))
    config = _config(folder / CONFIG, faults)
    header, size = _weights(folder / WEIGHTS, faults)
    adapter = read_peft({} if config is None else config, header, str(folder), size)
    own = () if config is None else adapter.faults
    return replace(adapter, faults=(*faults, *own))


def _missing(folder: Path) -> list[AdapterFault]:
    faults = []
    if not (folder / CONFIG).is_file():
        others = sorted(folder.glob("*.gguf"))
        instead = f"; give {others[0]} itself" if others else ""
        faults.append(AdapterFault("files", f"{folder} has no {CONFIG}{instead}"))
    if not (folder / WEIGHTS).is_file():
        pickle = (folder / PICKLE).is_file()
        what = f": {PICKLE} is a pickle, which can run code" if pickle else ""
        faults.append(AdapterFault("files", f"{folder} has no {WEIGHTS}{what}"))
    return faults


def _config(file: Path, faults: list[AdapterFault]) -> Any:
    """The parsed config; None where it cannot be read."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            return json_value(stream.read(_MOST_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        faults.append(AdapterFault("config", f"{CONFIG} is no JSON: {error}"[:200]))
        return None


def _weights(file: Path, faults: list[AdapterFault]) -> tuple[Header | None, int]:
    if not file.is_file():
        return None, 0
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = read_header(reader(stream))
    except BadHeader as error:
        faults.append(AdapterFault("files", f"{WEIGHTS}: {error.message}"))
        return None, 0
    except OSError as error:
        faults.append(AdapterFault("files", f"cannot read {file}: {error.strerror}"))
        return None, 0
    if header.size_bytes > size:
        cut = f"{WEIGHTS} is cut off: {size:,} of {header.size_bytes:,} bytes"
        faults.append(AdapterFault("files", cut))
    return header, size


def _gguf(file: Path) -> Adapter:
    try:
        with file.open("rb") as stream:
            header = gguf.parse_header(reader(stream), file.stat().st_size)
    except gguf.GgufError as error:
        fault = AdapterFault("files", f"{file.name}: {error.message}")
        return Adapter("gguf", str(file), faults=(fault,))
    except OSError as error:
        fault = AdapterFault("files", f"cannot read {file}: {error.strerror}")
        return Adapter("gguf", str(file), faults=(fault,))
    return read_gguf_adapter(header, str(file))


def on_hub(text: str) -> Reference | None:
    """The repository of an adapter (``org/name``, ``hf:…``, ``ms:…``); None for a path."""
    name = text.rpartition("=")[2]
    if Path(name).expanduser().exists():
        return None
    reference = parse_reference(name)
    if reference.kind is Kind.NAME and name.count("/") == 1:
        return parse_reference(f"hf:{name}")
    return reference if reference.kind in (Kind.HUGGINGFACE, Kind.MODELSCOPE) else None


def require_present(adapters: Sequence[str]) -> None:
    """Raises UsageError for an adapter that is neither on this machine nor on a hub."""
    for text in adapters:
        path = expand(text.rpartition("=")[2])
        if on_hub(text) is None and not path.exists():
            raise nothing_at(path)


def nothing_at(path: Path) -> UsageError:
    """The error for a path without files."""
    return UsageError(
        f"there is no adapter at '{path}'",
        hint="give the folder with adapter_config.json, or a GGUF file",
        code="no_such_adapter",
        details={"path": str(path)},
    )


def with_adapters(
    model: ResolvedModel, text: str, workload: Workload, files: Sequence[Path], paths: Paths
) -> ResolvedModel:
    """The model with what its adapters contain, on every variant.

    ``text`` is MODEL as the user wrote it; ``files``: of engine options. One that is not on this
    machine (on a hub, or on a cluster's disk) gets a warning.
    """
    named = {one: expand(one.rpartition("=")[2]) for one in workload.adapters}
    absent = [one for one, path in named.items() if not path.exists()]
    places = dict.fromkeys((*(path for path in named.values() if path.exists()), *files))
    if absent:
        notes = (f"the adapter {one} is not on this machine: it is not checked" for one in absent)
        model = replace(model, warnings=(*model.warnings, *notes))
    if not places or model.closed:
        return model
    adapters = tuple(
        replace(one, base_match=base_match(one, model, text, paths))
        for one in map(read_adapter, places)
    )
    candidates = (_loaded(each, adapters) for each in model.candidates)
    return replace(model, candidates=tuple(candidates))


def _loaded(candidate: Candidate, adapters: tuple[Adapter, ...]) -> Candidate:
    def shape() -> ModelShape:
        size = sum(one.file_bytes for one in adapters if one.format == "gguf")
        return replace(candidate.shape, adapters=adapters, adapter_bytes=size)

    return Candidate(
        candidate.variant, shape, candidate.quality, candidate.floor_bytes, candidate.publisher,
        candidate.online,
    )  # fmt: skip


def base_match(adapter: Adapter, model: ResolvedModel, text: str, paths: Paths) -> AdapterCheck:
    """Whether an adapter's stated base is this model: by the names of both, as the catalog links
    them. Names that merely resemble each other decide nothing.
    """
    base = adapter.base
    if base is None:
        return AdapterCheck("base", "unknown", "the adapter does not name its base")
    names = {text, model.id, *(candidate.variant.repo for candidate in model.candidates)}
    if base.lower() in {name.removeprefix("hf:").lower() for name in names}:
        return _revision(adapter, model, base)
    if (mine := _existing(base)) is not None:
        if any(mine == _existing(name) for name in names):
            return _revision(adapter, model, base)
        return AdapterCheck("base", "unknown", f"it was trained on the files in {base}")
    theirs = _catalog_ids((base,), paths)
    ours = _catalog_ids(sorted(names), paths)
    if theirs and ours and not theirs & ours:
        reason = f"it was trained on {min(theirs)}, not on {min(ours)}"
        return AdapterCheck("base", "fails", reason)
    if theirs & ours:
        return _revision(adapter, model, base)
    return AdapterCheck("base", "unknown", f"it was trained on {base}: whether that is {model.id} "
                        "is not known")  # fmt: skip


def _revision(adapter: Adapter, model: ResolvedModel, base: str) -> AdapterCheck:
    revisions = {one.variant.revision for one in model.candidates} - {None}
    stated = adapter.revision
    if stated and revisions and not any(str(one).startswith(stated) for one in revisions):
        other = min(map(str, revisions))
        reason = f"it was trained on revision {stated} of {base}, this is {other}"
        return AdapterCheck("base", "unknown", reason)
    return AdapterCheck("base", "ok", f"it was trained on {base}")


def _existing(name: str) -> Path | None:
    try:
        path = expand(name)
        return path.resolve() if path.exists() else None
    except (OSError, ValueError):
        return None


def _catalog_ids(names: Sequence[str], paths: Paths) -> set[str]:
    """The models of the catalog that have exactly these names."""
    from modelscan.catalog.search.lookup import find_known

    found = set()
    for name in names:
        try:
            model = find_known(name, paths)
        except ModelscanError:
            continue
        if model is not None:
            found.add(model.id)
    return found
