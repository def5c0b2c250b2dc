"""Which deployment a version of the registry becomes: its weights, its adapter, its base."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modelscan.core.deployment_name import check_name, derive_name
from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.models.adapters import read_adapter
from modelscan.registry.names import parse_reference
from modelscan.registry.resolve import ResolvedVersion, resolve_reference
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.registry.types import ModelVersion
    from modelscan.state.server.database import ServerDatabase

_NESTED = 4  # an adapter's base that is itself a version, and so on


@dataclass(frozen=True, slots=True)
class CandidateModel:
    """What runs a version: the place of its weights, or of its base's, and the adapter's path.

    ``name``: the MODEL to deploy. A whole model is deployed by its name of the registry, so that
    only the weights that the version is are used, and its record and its entry name it.
    """

    model: str
    adapter: Path | None = None
    name: str | None = None


def find_version(database: ServerDatabase, text: str) -> ResolvedVersion:
    """The version of ``SLUG[@V|@ALIAS]``. Raises RegistryRefused."""
    with database.reading() as connection:
        return resolve_reference(connection, parse_reference(text))


def candidate_name(route: str, version: ModelVersion) -> str:
    """``ROUTE-<hash8>``: the same for the same content."""
    own = hashlib.sha256(f"{version.slug}@{version.version} {version.digest}".encode())
    return check_name(f"{derive_name(route)[:50].rstrip('-._')}-{own.hexdigest()[:8]}")


def candidate_model(
    database: ServerDatabase, version: ModelVersion, depth: int = 0
) -> CandidateModel:
    """What runs a version. Raises UsageError where its weights or its base are not known."""
    place = place_of(version)
    lineage = version.lineage
    if lineage is None or not lineage.adapter:
        return CandidateModel(place, name=version.name)
    if lineage.base_model is not None:
        return CandidateModel(lineage.base_model, Path(place))
    if lineage.base is None or depth >= _NESTED:
        raise UsageError(
            f"{version.name} is an adapter, and its base is not known",
            hint=f"modelscan registry version add {version.slug} --from {place} --base MODEL",
            code="unknown_base",
        )
    base = find_version(database, lineage.base).version
    below = candidate_model(database, base, depth + 1)
    if below.adapter is not None:
        raise UsageError(
            f"{version.name} is an adapter of {base.name}, which is an adapter too: no engine "
            "loads one on top of the other",
            hint="modelscan recipe list   (merge the first into its base)",
            code="nested_adapters",
        )
    return CandidateModel(below.model, Path(place))


def place_of(version: ModelVersion) -> str:
    """The path or the hub's repository of a version's weights. Raises UsageError without one."""
    url = version.weights_url
    parts = urlsplit(url or "")
    if parts.scheme == "file":
        return unquote(parts.path)
    modelscope = "modelscope" in (parts.hostname or "") or parts.path.startswith("/models/")
    repo = parts.path.strip("/").removeprefix("models/")
    if parts.scheme in ("http", "https") and repo.count("/") == 1:
        revision = f"@{version.revision}" if version.revision else ""
        return f"{'ms:' if modelscope else 'hf:'}{repo}{revision}"
    raise UsageError(
        f"{version.name} has no weights that can be deployed ({url or 'no weights_url'})",
        hint=f"modelscan registry version add {version.slug} --from DIR",
        code="no_weights",
    )


def request_of(
    name: str, candidate: CandidateModel, current: Deployment | None, timeout_s: float
) -> Request:
    """The request of the candidate: like the current deployment as far as options go."""
    workload = Workload()
    if current is not None and current.request is not None:
        old = current.request.workload
        workload = replace(
            workload, context_tokens=old.context_tokens, parallel=old.parallel,
            kv_cache_k=old.kv_cache_k, kv_cache_v=old.kv_cache_v,
            flash_attention=old.flash_attention, gpus=old.gpus,
            memory_utilization=old.memory_utilization, tensor_parallel=old.tensor_parallel,
        )  # fmt: skip
    if candidate.adapter is not None:
        workload = replace(workload, adapters=(str(candidate.adapter),))
    return Request(
        model=candidate.name or candidate.model, workload=workload, name=name, route=False,
        timeout_s=timeout_s,
    )  # fmt: skip


def adapter_name(candidate: CandidateModel, deployment: Deployment) -> str | None:
    """The name by which requests select the adapter; None: every request uses it (llama.cpp)."""
    from modelscan.engines.registry import engine

    if candidate.adapter is None or engine(deployment.backend).runs_gguf:
        return None
    return Path(read_adapter(candidate.adapter).path).name
