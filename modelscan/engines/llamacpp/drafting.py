"""Speculative decoding in llama.cpp: the contexts that draft, and what they need of the model.

Observed with the engine's own dry runs (b11549): ``draft-mtp`` loads the prediction blocks and
makes a second context for them, with the same cells and slots, an f16 cache unless
``--spec-draft-type-k/-v`` set another, and one compute buffer; recurrent states get a copy per
drafted token. A draft file is loaded as a model of its own with the same context; n-gram drafters
have no context.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp.given import canonical, option
from modelscan.engines.llamacpp.options import drafters
from modelscan.engines.llamacpp.settings import cache_type, whole_number

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.engines.llamacpp.graph import Graph
    from modelscan.engines.llamacpp.settings import Settings

_MTP = "COMMON_SPECULATIVE_TYPE_DRAFT_MTP"
_DRAFT_TOKENS = 3  # common_params_speculative_draft.n_max


@dataclass(frozen=True, slots=True)
class Drafting:
    """``mtp``: the model's own prediction blocks draft; ``file``: a draft model is named;
    ``tokens``: the most that are drafted at once.
    """

    mtp: bool = False
    file: str | None = None
    tokens: int = _DRAFT_TOKENS


def drafting(workload: Workload) -> Drafting:
    """What the options set. Raises UsageError for a drafter that llama.cpp does not have."""
    kinds = _kinds(option(workload, "spec-type"))
    tokens = option(workload, "spec-draft-n-max")
    return Drafting(
        mtp=_MTP in kinds,
        file=option(workload, "spec-draft-model"),
        tokens=_DRAFT_TOKENS if tokens is None else whole_number("spec-draft-n-max", tokens),
    )


def _kinds(text: str | None) -> list[str]:
    if text is None:
        return []
    try:
        return drafters(text)
    except KeyError:
        raise UsageError(
            f"llama.cpp has no drafter '{text[:40]}'", hint="--param spec-type=draft-mtp"
        ) from None


def state_copies(drafted: Drafting, architecture: Architecture) -> int:
    """Copies of a recurrent state per slot: its own, and one to go back to per drafted token."""
    return 1 + drafted.tokens if drafted.mtp and architecture.mtp_layers else 1


def state_inputs_bytes(architecture: Architecture, settings: Settings) -> int:
    """What the copies add to the compute buffer: the largest layer's states, of every slot."""
    states = [layer.state for layer, _ in architecture.layer_counts if layer.state]
    largest = max((state.inner * state.state for state in states), default=0)
    return 4 * largest * settings.parallel * (settings.state_copies - 1)


def draft_settings(workload: Workload, settings: Settings) -> Settings:
    """The settings of the drafting context: the model's own but for the cache types."""
    keys, values = (
        cache_type(option(workload, f"spec-draft-type-{part}") or "f16") for part in "kv"
    )
    return replace(settings, type_k=keys, type_v=values, state_copies=1, embedding=False)


def draft_graph(graph: Graph, settings: Settings) -> Graph:
    """One block without a residual stream before it: two hidden-wide tensors live during the
    widest operation, three with quantised keys (dry runs of b11549).
    """
    return replace(graph, residual=2 + (settings.type_k.block > 1), waiting_queries=False)


def draft_workload(workload: Workload) -> Workload:
    """The placement options of a draft model: all of its layers on the GPUs unless set."""
    layers = option(workload, "spec-draft-ngl")
    return Workload(parameters=(("n-gpu-layers", layers),) if layers else (), gpus=workload.gpus)


def without_drafting(workload: Workload) -> Workload:
    """The workload without any drafter."""
    kept = [pair for pair in workload.parameters if not canonical(pair[0]).startswith("spec-")]
    return replace(workload, parameters=tuple(kept))


def notes(drafted: Drafting, shape: ModelShape) -> tuple[str, ...]:
    """Warnings on drafters whose memory the estimate does not contain.

    Raises NotDeployableError where llama.cpp refuses the drafter: no block of the file predicts.
    """
    if drafted.file and shape.draft is None:
        return (f"the draft model's own memory is not counted: {drafted.file} is not a GGUF file",)
    if not drafted.mtp or drafted.file:
        return ()
    if not shape.architecture.mtp_layers:
        raise NotDeployableError(
            "llama.cpp refuses draft-mtp: the file has no multi-token-prediction blocks",
            hint="--param spec-type=none",
        )
    return ()
