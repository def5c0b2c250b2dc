"""Defaults of an estimate for values the user did not set."""

from __future__ import annotations

from modelscan.core.architecture import Architecture
from modelscan.core.workload import Workload

CONTEXT_TOKENS = 8192


def context_tokens(workload: Workload, architecture: Architecture) -> int:
    """Tokens per request: as requested, else 8192 or the trained context if smaller."""
    if workload.context_tokens:
        return workload.context_tokens
    return min(CONTEXT_TOKENS, architecture.context_tokens or CONTEXT_TOKENS)


def parallel(workload: Workload) -> int:
    """Requests served at once: as requested, else one."""
    return max(1, workload.parallel or 1)
