"""A session with local models only: no packet leaves the machine, and the traces say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.gpustack_namespace import unavailable
from support.patience import COMMAND_S

SESSION = Path(__file__).parents[1] / "support" / "local_session.py"


def test_a_local_session_opens_no_connection_to_another_machine(clean_environment: Path) -> None:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, str(SESSION), str(clean_environment)],
        capture_output=True, text=True, timeout=COMMAND_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    session = json.loads(done.stdout.splitlines()[-1])
    assert [span["left_machine"] for span in session["spans"]] == [None, None]
    assert {span["tier"] for span in session["spans"]} == {"local"}
    assert session["attempts"] == 0
    assert session["counted"] >= 1  # an attempt would have been seen
