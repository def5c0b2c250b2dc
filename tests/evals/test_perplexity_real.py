"""llama.cpp's own llama-perplexity on a real model (``make test-perplexity``)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from modelscan.evals.quantization.measure import TEXT
from modelscan.evals.quantization.perplexity import run_perplexity

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def fetched(script: str) -> str:
    """What a script of the repository prints: a path."""
    done = subprocess.run(
        ["sh", ROOT / "scripts" / script], capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of the program, which is on the PATH."""
    folder = fetched("fetch_llama_perplexity.sh")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.timeout(3600)
def test_a_real_program_measures_a_real_model(program: str) -> None:
    """Of English prose, a model of 135 million parameters has a perplexity of about 20."""
    value = run_perplexity((str(ROOT / fetched("fetch_smollm2.sh")),), TEXT)
    assert value is not None
    assert 10 < value < 40


def test_a_file_that_it_cannot_read_has_no_value(program: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(100))
    assert run_perplexity((str(damaged),), TEXT) is None
