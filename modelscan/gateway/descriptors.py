"""How many connections a process may have open."""

from __future__ import annotations

import resource


def raise_descriptor_limit() -> None:
    """As many open connections as the system allows this user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
