"""Which variant and engine an ``estimate`` is about when the user did not say."""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.plan import Candidate, ResolvedModel
from modelscan.core.workload import Workload
from modelscan.engines.support import engine_formats
from modelscan.formats.quantization import bits_per_weight, means
from modelscan.planner import refuse


def size(subject: ResolvedModel, workload: Workload, inventory: Inventory | None) -> Estimate:
    """The estimate of the variant asked for, else of the best-quality one.

    Raises NotDeployableError for closed weights or a variant that does not exist.
    """
    from modelscan.engines.estimate import estimate

    refuse.closed(subject)
    candidate = choose(subject, workload)
    return estimate(candidate.shape, workload, inventory, model=subject.id)


def choose(subject: ResolvedModel, workload: Workload) -> Candidate:
    """The candidate that the workload's quantization and backend mean."""
    found = list(subject.candidates)
    if workload.quantization:
        asked = workload.quantization
        found = [c for c in found if means(asked, c.variant.quantization, c.variant.format)]
        _require(found, subject, f"no {asked} weights of {subject.id} are known")
    if workload.backend:
        formats = engine_formats(workload.backend, unsafe=workload.allow_unsafe)
        found = [c for c in found if c.variant.format in formats]
        files = " or ".join(formats)
        _require(found, subject, f"{workload.backend} loads {files} files; {subject.id} has none")
    _require(found, subject, f"no downloadable weights of {subject.id} are known")
    return min(found, key=_order)


def _order(candidate: Candidate) -> tuple[bool, float, float, str]:
    """Runnable formats first, then quality, then fewer bytes."""
    known = candidate.variant.format in ("gguf", "safetensors")
    loss = candidate.quality.loss if candidate.quality else 0.0
    bits = bits_per_weight(candidate.variant.quantization) or 16.0
    return (not known, loss, bits, candidate.variant.repo)


def _require(found: Sequence[Candidate], subject: ResolvedModel, message: str) -> None:
    if found:
        return
    there = list(
        dict.fromkeys(
            f"{c.variant.quantization or '?'} ({c.variant.format})" for c in subject.candidates
        )
    )
    listed = f"; there are: {', '.join(there)}" if there else ""
    raise NotDeployableError(
        message + listed,
        hint=f"modelscan plan {subject.id} --all"
        if there
        else f"modelscan catalog info {subject.id}",
        code="no_such_variant",
        details={"variants": there},
    )
