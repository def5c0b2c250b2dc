"""Which engine processes of a home live, and waiting for something to become true."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest


def living(home: Path) -> list[int]:
    """Processes (supervisors and engines) that belong to a home, by what the system says."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = any(word.startswith(str(home)) for word in words)
            if ours and "modelscan.supervisor.main" in words and process.pid != os.getpid():
                found += [process.pid] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:
            continue
    return found


def eventually(check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true value of ``check``; fails the test after the time limit."""
    deadline = time.monotonic() + timeout_s
    while not (value := check()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s")
        time.sleep(0.02)
    return value
