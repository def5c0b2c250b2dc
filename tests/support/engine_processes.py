"""Which engine processes of a home live, and waiting for something to become true."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def living(home: Path) -> list[int]:
    """Processes (supervisors and engines) that belong to a home, by what the kernel says."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        ours = str(home).encode()
        is_engine = any(w.startswith(b"modelscan.engines.supervisor") for w in words)
        if is_engine and any(w.startswith(ours) for w in words) and state not in ("Z", "X"):
            found.append(int(entry.name))
    return found


def eventually(check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true value of ``check``; fails the test after the time limit."""
    deadline = time.monotonic() + timeout_s
    while not (value := check()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s")
        time.sleep(0.02)
    return value
