"""GPUStack's objects, parsed once at the boundary. Unknown keys are in ``raw``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import RemoteError

Raw = Mapping[str, Any]


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Context for reading foreign rows: missing or mistyped fields raise RemoteError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RemoteError(
            f"{what} is not as GPUStack sends it: {type(error).__name__}: {error}",
            hint="modelscan target test", code="not_understood",
        ) from error  # fmt: skip


def as_row(value: Any) -> Raw:
    """An object of an answer; raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.40} is not an object")
    return value


def _object(row: Raw, key: str) -> Raw:
    value = row.get(key)
    return {} if value is None else as_row(value)


def _rows(row: Raw, key: str) -> list[Any]:
    value = row.get(key)
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{key} = {value!r:.40} is not a list")
    return value or []


def _text(row: Raw, key: str) -> str | None:
    """Text; None for null and for an empty one."""
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} = {value!r:.40} is not text")
    return value or None


def _whole(row: Raw, key: str) -> int | None:
    """A whole number that fits in 64 bits."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 2**63:
        raise TypeError(f"{key} = {value!r:.40} is not a number")
    return int(value)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model as the server returns it. ``state`` is the server's own term."""

    id: int
    name: str
    replicas: int
    ready_replicas: int
    state: str | None
    state_message: str | None
    source: str | None
    repo: str | None
    backend: str | None
    updated_at: str | None
    raw: Raw


@dataclass(frozen=True, slots=True)
class RemoteInstance:
    """One replica. The reason why it cannot run is here, never in the model."""

    id: int
    name: str
    model_id: int
    state: str
    state_message: str | None
    download_progress: float | None
    restart_count: int
    worker_name: str | None
    gpu_indexes: tuple[int, ...]
    raw: Raw


@dataclass(frozen=True, slots=True)
class RemoteGpu:
    """A worker's device. ``allocated_bytes``: reserved by GPUStack; ``used_bytes``: measured."""

    id: str
    worker: str
    index: int
    name: str
    vendor: str | None
    total_bytes: int | None
    used_bytes: int | None
    allocated_bytes: int | None
    compute_capability: str | None
    driver_version: str | None
    unified_memory: bool
    uuid: str | None


@dataclass(frozen=True, slots=True)
class RemoteWorker:
    """A worker with its GPUs; only ``ready`` ones run models."""

    id: int
    name: str
    state: str
    state_message: str | None
    cpus: int | None
    memory_bytes: int | None
    free_bytes: int | None
    gpus: tuple[RemoteGpu, ...]


@understood("a model")
def parse_model(row: Raw) -> RemoteModel:
    """Raises RemoteError for a row without id or name: not a GPUStack answer."""
    return RemoteModel(
        id=int(row["id"]),
        name=str(row["name"]),
        replicas=_whole(row, "replicas") or 0,
        ready_replicas=_whole(row, "ready_replicas") or 0,
        state=_text(row, "state"),
        state_message=_text(row, "state_message"),
        source=_text(row, "source"),
        repo=_text(row, "huggingface_repo_id")
        or _text(row, "model_scope_model_id")
        or _text(row, "local_path"),
        backend=_text(row, "backend"),
        updated_at=_text(row, "updated_at"),
        raw=row,
    )


@understood("a model's instance")
def parse_instance(row: Raw) -> RemoteInstance:
    """Raises RemoteError for a row without id and state."""
    progress = row.get("download_progress")
    return RemoteInstance(
        id=int(row["id"]),
        name=str(row.get("name") or row["id"]),
        model_id=_whole(row, "model_id") or 0,
        state=str(row["state"]),
        state_message=_text(row, "state_message"),
        download_progress=float(progress) if progress is not None else None,
        restart_count=_whole(row, "restart_count") or 0,
        worker_name=_text(row, "worker_name"),
        gpu_indexes=tuple(int(i) for i in _rows(row, "gpu_indexes")),
        raw=row,
    )


@understood("a worker")
def parse_worker(row: Raw) -> RemoteWorker:
    """Raises RemoteError for a row without id and name."""
    status = _object(row, "status")
    memory = _object(status, "memory")
    total, used = _whole(memory, "total"), _whole(memory, "used")
    name = str(row["name"])
    return RemoteWorker(
        id=int(row["id"]),
        name=name,
        state=str(row.get("state") or "unknown"),
        state_message=_text(row, "state_message"),
        cpus=_whole(_object(status, "cpu"), "total"),
        memory_bytes=total,
        free_bytes=total - (used or 0) if total is not None else None,
        gpus=tuple(parse_gpu(gpu, name) for gpu in _rows(status, "gpu_devices")),
    )


@understood("a GPU")
def parse_gpu(row: Raw, worker: str) -> RemoteGpu:
    """A device of a worker's status or of the device list (which adds ``id`` and ``allocated``)."""
    memory = _object(row, "memory")
    index = _whole(row, "index") or 0
    kind = _text(row, "type") or ""
    return RemoteGpu(
        id=str(row.get("id") or f"{worker}:{kind}:{index}"),
        worker=str(row.get("worker_name") or worker),
        index=index,
        name=str(row.get("name") or "unknown GPU"),
        vendor=(_text(row, "vendor") or "").lower() or None,
        total_bytes=_whole(memory, "total"),
        used_bytes=_whole(memory, "used"),
        allocated_bytes=_whole(memory, "allocated"),
        compute_capability=_text(row, "compute_capability"),
        driver_version=_text(row, "driver_version"),
        unified_memory=bool(memory.get("is_unified_memory")),
        uuid=_text(row, "uuid"),
    )
