"""What an estimate takes when the user did not say."""

from __future__ import annotations

from modelscan.core.architecture import Architecture
from modelscan.core.workload import Workload

CONTEXT_TOKENS = 8192


def context_tokens(workload: Workload, architecture: Architecture) -> int:
    """Context of one request: asked for, else 8192 or what the model was trained for if less."""
    if workload.context_tokens:
        return workload.context_tokens
    return min(CONTEXT_TOKENS, architecture.context_tokens or CONTEXT_TOKENS)


def parallel(workload: Workload) -> int:
    """Requests served at once: asked for, else one."""
    return max(1, workload.parallel or 1)
