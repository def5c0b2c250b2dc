"""The passport of a hub repository: reads only headers, by range requests (less than 1 MiB)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.catalog.passport.facts import (
    AdapterPassport,
    Passport,
    from_info,
    parse_adapter,
    weight_files,
    with_card,
    without_packed,
)
from modelscan.core.errors import ModelscanError
from modelscan.core.reference import Kind, Reference
from modelscan.core.units import KIB
from modelscan.formats.safetensors import BadHeader, parameters_by_dtype, read_header
from modelscan.formats.sampling import FILE, from_generation_config
from modelscan.hub.card import parse_card
from modelscan.hub.repository import parse_object

if TYPE_CHECKING:
    from modelscan.core.architecture import Tensor
    from modelscan.core.sampling import Sampling
    from modelscan.hub.repo_info import RepoInfo
    from modelscan.hub.repository import Hub, RemoteFile

HEADER_BUDGET_BYTES = 768 * KIB


def from_hub(hub: Hub, ref: Reference) -> Passport:
    """The passport of a repository. Raises the hub's errors for the repository itself."""
    received_before = hub.http.received_bytes
    info = hub.repo_info(ref)
    notes: list[str] = []
    if not info.files_complete:
        notes.append(f"the hub's list of the files of {ref.value} is incomplete")
    if ref.kind is Kind.MODELSCOPE:
        info = _with_card(info, hub, ref, notes)
    adapter = _adapter(hub, ref, info, notes)
    passport = replace(
        from_info(info),
        url=hub.page_url(ref),
        adapter=adapter,
        sampling=_sampling(hub, ref, info, notes),
        adapters=None if adapter else _adapters(hub, ref, notes),
    )
    passport = without_packed(replace(passport, **_counted(hub, ref, info, notes)), notes)
    if adapter and adapter.base_model and not passport.base_models:
        passport = replace(passport, base_model=adapter.base_model, base_relation="adapter")
    return replace(
        passport, moved_bytes=hub.http.received_bytes - received_before, warnings=tuple(notes)
    )


def _with_card(info: RepoInfo, hub: Hub, ref: Reference, notes: list[str]) -> RepoInfo:
    if not any(file.path == "README.md" for file in info.files):
        return info
    readme = _tried(notes, "the model card", lambda: hub.fetch_optional(ref, "README.md"))
    return with_card(info, parse_card(readme)) if readme else info


def _adapter(hub: Hub, ref: Reference, info: RepoInfo, notes: list[str]) -> AdapterPassport | None:
    """The repository's adapter configuration; None if it is not an adapter."""
    has_config = any(file.path == "adapter_config.json" for file in info.files)
    if not has_config and info.base_relation != "adapter":
        return None
    base = info.base_models[0] if info.base_models else None
    body = None
    if has_config:
        body = _tried(
            notes, "adapter_config.json", lambda: hub.fetch_optional(ref, "adapter_config.json")
        )
    return parse_adapter(body, base)


def _sampling(hub: Hub, ref: Reference, info: RepoInfo, notes: list[str]) -> Sampling | None:
    """The recommended values in the repository's generation_config.json, if it has one."""
    if not any(file.path == FILE for file in info.files):
        return None
    body = _tried(notes, FILE, lambda: hub.fetch_optional(ref, FILE))
    config = (
        _tried(notes, FILE, lambda: parse_object(body, f"{FILE} of {ref.value}")) if body else {}
    )
    return from_generation_config(config or {})


def _adapters(hub: Hub, ref: Reference, notes: list[str]) -> tuple[str, ...] | None:
    if ref.kind is not Kind.HUGGINGFACE:
        return None  # ModelScope cannot search for adapters
    adapters = _tried(notes, "the list of adapters", lambda: hub.huggingface.adapters_of(ref.value))
    return None if adapters is None else tuple(info.repo for info in adapters)


def _counted(hub: Hub, ref: Reference, info: RepoInfo, notes: list[str]) -> dict[str, Any]:
    """Parameters by dtype from the headers, if they can be read within the budget."""
    files = weight_files(info.files)
    counts = None
    if files:
        counts = _tried(notes, "the safetensors headers", lambda: _headers(hub, ref, files))
    if counts is None:
        return {}
    total = sum(counts.values())
    if info.parameters and dict(info.parameters) != counts:
        stated = sum(info.parameters.values())
        notes.append(f"the hub counts {stated} parameters, the files' headers {total}")
    return {"safetensors": counts, "parameters": total, "parameters_basis": "headers"}


def _headers(hub: Hub, ref: Reference, paths: Sequence[str]) -> dict[str, int] | None:
    """The counts from all headers; None if they exceed the budget."""
    first = 64 * KIB if len(paths) <= 4 else 16 * KIB
    remaining = HEADER_BUDGET_BYTES
    tensors: list[Tensor] = []
    for path in paths:
        if remaining < first:
            return None
        remote = _Bounded(hub.open_file(ref, path), remaining)
        try:
            tensors.extend(read_header(remote.read, first_bytes=first).tensors)
        except _BudgetSpentError:
            return None
        remaining -= remote.moved_bytes
    return parameters_by_dtype(tensors)


class _BudgetSpentError(BadHeader):
    """The headers are larger than the budget of a passport."""


class _Bounded:
    """Reads exactly the requested ranges, up to a budget in bytes."""

    def __init__(self, remote: RemoteFile, budget_bytes: int) -> None:
        self._remote = remote
        self._budget_bytes = budget_bytes
        self.moved_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        if self.moved_bytes + size > self._budget_bytes:
            raise _BudgetSpentError("the headers are larger than the budget")
        part = self._remote.hub.fetch_range(self._remote.ref, self._remote.path, offset, size)
        self.moved_bytes += len(part)
        return part


def _tried(notes: list[str], what: str, call: Any) -> Any:
    """The call's result; None and a warning if this part of the passport fails."""
    try:
        return call()
    except ModelscanError as error:
        notes.append(f"{what} could not be read: {error.message}")
        return None
