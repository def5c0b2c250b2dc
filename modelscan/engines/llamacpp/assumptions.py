"""What an estimate of llama.cpp takes for granted, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.llamacpp.given import option, switched
from modelscan.engines.llamacpp.versions import lookup

if TYPE_CHECKING:
    from modelscan.engines.llamacpp.case import Case


def assumptions(case: Case, drafts: tuple[Case, ...]) -> tuple[str, ...]:
    """The lines of one estimate, with its contexts for drafting."""
    model, settings = case.model, case.settings
    placement, workload = case.placement, case.workload
    notes = []
    if not workload.context_tokens and workload.parameter("ctx-size") is None:
        notes.append(f"a context of {settings.sequence_tokens:,} tokens (the default)")
    if settings.flash_attention and (workload.flash_attention or "auto") == "auto":
        notes.append("flash attention on (auto)")
    notes += [f"the drafting context of {_drafter(draft)} is included" for draft in drafts]
    if not switched(workload, "repack") and option(workload, "cache-ram") in (None, "0"):
        notes.append("repacked CPU weights and the server's prompt cache are switched off")
    if placement.gpus:
        context = lookup(None).cuda_context_bytes >> 20
        notes.append(f"{context} MiB per GPU for the driver's context and workspaces")
        if model.shape.architecture.tied_embeddings:
            notes.append("tied embeddings exist twice: on the host and on the GPU")
    return tuple(notes)


def _drafter(draft: Case) -> str:
    layers = len(draft.placement.layers)
    return draft.model.shape.path or f"{layers} multi-token-prediction block(s)"
