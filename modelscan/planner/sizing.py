"""The variant and engine of an ``estimate`` where the user named neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.engines.origins import origins
from modelscan.engines.support import engine_formats
from modelscan.formats.quantization import bits_per_weight, means
from modelscan.planner import refuse

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.core.plan import Candidate, ResolvedModel
    from modelscan.core.workload import Workload


def size(model: ResolvedModel, workload: Workload, inventory: Inventory | None) -> Estimate:
    """The estimate of the requested variant, else of the one with the best quality.

    Raises NotDeployableError for closed weights or a variant that does not exist.
    """
    from modelscan.engines.estimate import estimate

    refuse.closed(model)
    candidate = choose(model, workload)
    result = estimate(candidate.shape, workload, inventory, model=model.id)
    return replace(result, origins=origins(result, candidate.shape))


def choose(model: ResolvedModel, workload: Workload) -> Candidate:
    """The candidate that matches the workload's quantization and backend. Raises NotDeployableError
    if none does.
    """
    candidates = list(model.candidates)
    if workload.quantization:
        quantization = workload.quantization
        candidates = [
            c for c in candidates if means(quantization, c.variant.quantization, c.variant.format)
        ]
        _require(candidates, model, f"no {quantization} weights of {model.id} are known")
    if workload.backend:
        formats = engine_formats(workload.backend, unsafe=workload.allow_unsafe)
        candidates = [c for c in candidates if c.variant.format in formats]
        files = " or ".join(formats)
        _require(candidates, model, f"{workload.backend} loads {files} files; {model.id} has none")
    _require(candidates, model, f"no downloadable weights of {model.id} are known")
    return min(candidates, key=_order)


def _order(candidate: Candidate) -> tuple[bool, float, float, str]:
    """Runnable formats first, then quality, then fewer bytes."""
    runnable = candidate.variant.format in ("gguf", "safetensors")
    loss = candidate.quality.loss if candidate.quality else 0.0
    bits = bits_per_weight(candidate.variant.quantization) or 16.0
    return (not runnable, loss, bits, candidate.variant.repo)


def _require(candidates: Sequence[Candidate], model: ResolvedModel, message: str) -> None:
    if candidates:
        return
    names = list(
        dict.fromkeys(
            f"{c.variant.quantization or '?'} ({c.variant.format})" for c in model.candidates
        )
    )
    listed = f"; available: {', '.join(names)}" if names else ""
    raise NotDeployableError(
        message + listed,
        hint=f"modelscan plan {model.id} --all" if names else f"modelscan catalog info {model.id}",
        code="no_such_variant",
        details={"variants": names},
    )
