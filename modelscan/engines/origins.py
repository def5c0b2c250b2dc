"""Where each part of an estimate comes from: a file, a formula, measurements, an assumption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from modelscan.core.estimate import Origin, PartOrigin, Parts
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Estimate

_WEIGHTS: dict[str, tuple[Origin, str]] = {
    "exact": ("file", "the sizes of the weight files or of the tensors in their headers"),
    "computed": ("computed", "the parameters of each tensor, from the architecture, x the bits "
                 "per weight of its format"),
    "range": ("assumed", "the number of parameters x the average bits per weight of the format"),
}  # fmt: skip
_CACHE = "layers x key-value heads x head length x bytes per value x tokens"
_STATE = "layers x state size x sequences"
_GRAPH = "the largest buffers of one step, from the engine's source"
_LOGS = "constants fitted to published start-up logs of these versions"


def origins(estimate: Estimate, shape: ModelShape) -> tuple[PartOrigin, ...]:
    """One entry for each part that is not zero, in the order of the parts."""
    return tuple(
        _origin(field.name, estimate, shape)
        for field in fields(Parts)
        if getattr(estimate.parts, field.name)
    )


def _origin(part: str, estimate: Estimate, shape: ModelShape) -> PartOrigin:
    if estimate.basis == "exact":
        return PartOrigin(part, "measured", "the engine's own dry run on this machine")
    if part == "weights_bytes":
        return PartOrigin(part, *_WEIGHTS.get(shape.weights.basis, _WEIGHTS["computed"]))
    origin, detail = dict(_others(estimate, shape)).get(part, ("computed", _GRAPH))
    return PartOrigin(part, origin, detail)


def _others(estimate: Estimate, shape: ModelShape) -> Iterator[tuple[str, tuple[Origin, str]]]:
    known: Origin = "computed" if shape.architecture.known else "assumed"
    guessed = "" if shape.architecture.known else ", of a typical model of this size"
    yield "kv_cache_bytes", (known, _CACHE + guessed)
    yield "recurrent_state_bytes", (known, _STATE + guessed)
    title = engine(estimate.backend).title
    for part in ("non_torch_bytes", "cuda_graph_bytes"):
        yield part, ("measured", f"{title}: {_LOGS}")
