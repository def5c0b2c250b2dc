"""The whole way on the command line, without one packet to another machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.gpustack_namespace import unavailable
from support.patience import COMMAND_S

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytestmark = pytest.mark.timeout(1800)  # some forty commands
SESSION = Path(__file__).parents[1] / "support" / "promotion_session.py"


def test_from_files_to_a_route_and_back(clean_environment: Path) -> None:
    """Checked, deployed, compared, promoted, refused, bundled, rolled back."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, str(SESSION), str(clean_environment)],
        capture_output=True, text=True, timeout=COMMAND_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["checks"] == ["sizes"]
    assert told["versions"] == ["3", "3"]
    assert told["states"] == ["promoted", "promoted", "refused", "rolled_back"]
    assert told["current"] == ["talker@1", "talker@2", "talker@2", "talker@1"]
    assert (told["kept"], told["bundles"]) == (True, True)
    assert len(told["listed"]) == 2  # nothing is left of what was refused
    assert told["attempts"] == 0
