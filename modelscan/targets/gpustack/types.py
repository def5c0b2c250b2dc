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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(
            f"{what} is not as GPUStack sends it: {type(error).__name__}: {error}",
            hint="modelscan target test", code="not_understood",
        ) from error  # fmt: skip


def as_row(value: Any) -> Raw:
    """An object of an answer; raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.40} is not an object")
    return value


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
        replicas=int(row.get("replicas") or 0),
        ready_replicas=int(row.get("ready_replicas") or 0),
        state=row.get("state"),
        state_message=row.get("state_message") or None,
        source=row.get("source"),
        repo=row.get("huggingface_repo_id")
        or row.get("model_scope_model_id")
        or row.get("local_path"),
        backend=row.get("backend"),
        updated_at=row.get("updated_at"),
        raw=row,
    )


@understood("a model's instance")
def parse_instance(row: Raw) -> RemoteInstance:
    """Raises RemoteError for a row without id and state."""
    progress = row.get("download_progress")
    return RemoteInstance(
        id=int(row["id"]),
        name=str(row.get("name") or row["id"]),
        model_id=int(row.get("model_id") or 0),
        state=str(row["state"]),
        state_message=row.get("state_message") or None,
        download_progress=float(progress) if progress is not None else None,
        restart_count=int(row.get("restart_count") or 0),
        worker_name=row.get("worker_name"),
        gpu_indexes=tuple(int(i) for i in row.get("gpu_indexes") or ()),
        raw=row,
    )


@understood("a worker")
def parse_worker(row: Raw) -> RemoteWorker:
    """Raises RemoteError for a row without id and name."""
    status = row.get("status") or {}
    memory = status.get("memory") or {}
    total, used = memory.get("total"), memory.get("used")
    name = str(row["name"])
    return RemoteWorker(
        id=int(row["id"]),
        name=name,
        state=str(row.get("state") or "unknown"),
        state_message=row.get("state_message") or None,
        cpus=(status.get("cpu") or {}).get("total"),
        memory_bytes=total,
        free_bytes=total - (used or 0) if total is not None else None,
        gpus=tuple(parse_gpu(gpu, name) for gpu in status.get("gpu_devices") or ()),
    )


@understood("a GPU")
def parse_gpu(row: Raw, worker: str) -> RemoteGpu:
    """A device of a worker's status or of the device list (which adds ``id`` and ``allocated``)."""
    memory = row.get("memory") or {}
    index = int(row.get("index") or 0)
    kind = row.get("type") or ""
    return RemoteGpu(
        id=str(row.get("id") or f"{worker}:{kind}:{index}"),
        worker=str(row.get("worker_name") or worker),
        index=index,
        name=str(row.get("name") or "unknown GPU"),
        vendor=(row.get("vendor") or None) and str(row["vendor"]).lower(),
        total_bytes=memory.get("total"),
        used_bytes=memory.get("used"),
        allocated_bytes=memory.get("allocated"),
        compute_capability=row.get("compute_capability"),
        driver_version=row.get("driver_version"),
        unified_memory=bool(memory.get("is_unified_memory")),
        uuid=row.get("uuid") or None,
    )
