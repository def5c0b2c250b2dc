"""The catalog's memory column: the least memory a model runs in, in bytes, by the estimator.

One request of 4,096 tokens on the smallest published weights of four bits and more. If the model's
shape is unknown or its engine has no formula, the catalog's own lower bound is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.sizing import MinimumMemory, bits_of, lower_bound_memory
from modelscan.core.errors import ModelscanError
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.models.catalog_shape import shape_of
from modelscan.models.from_catalog import ENGINE_FORMATS

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant

CONTEXT_TOKENS = 4096


def minimum_memory(model: Model) -> MinimumMemory | None:
    """Bytes; None if neither bytes nor parameters are known."""
    bound = lower_bound_memory(model)
    variant = smallest(model)
    if variant is None or bound is None or model.architecture is None:
        return bound
    try:
        shape = shape_of(model, variant)
        if shape is None or not shape.architecture.known:
            return bound
        workload = Workload(context_tokens=CONTEXT_TOKENS, parallel=1)
        result = estimate(shape, workload, None, model=model.id)
    except ModelscanError:
        return bound
    return MinimumMemory(result.parts.total_bytes, variant.quantization, "estimate")


def smallest(model: Model) -> Variant | None:
    """The variant with the fewest bits that an engine here loads; the first of equal ones."""
    sized = [
        (bits, place, variant)
        for place, variant in enumerate(model.variants)
        if variant.format in ENGINE_FORMATS and (bits := bits_of(variant)) is not None
    ]
    return min(sized, key=lambda item: item[:2])[2] if sized else None
