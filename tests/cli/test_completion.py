"""Completion in the real shells: names, files, and values with blanks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.shells import typed

_SETUP = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(modelscan completion bash)"'),
    "zsh": (["-f", "-i"], 'eval "$(modelscan completion zsh)"'),  # before compinit
    "fish": (["--no-config", "-i"], "modelscan completion fish | source"),
}
_LINES = [
    ("modelscan deploy mymo", "modelscan deploy mymodel.gguf"),
    ("modelscan deploy -f depl", "modelscan deploy -f deployment.yaml"),
    ("modelscan engine install vl", "modelscan engine install vllm"),
    ("modelscan config set llama_", "modelscan config set llama_server"),
    ("modelscan completion fi", "modelscan completion fish"),
]


@pytest.mark.parametrize(("line", "completed"), _LINES)
@pytest.mark.parametrize("name", sorted(_SETUP))
def test_a_tab_completes(name: str, line: str, completed: str, tmp_path: Path) -> None:
    """Files for a model and for ``-f``, settings and shells by name."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    flags, setup = _SETUP[name]
    for file in ("mymodel.gguf", "deployment.yaml"):
        (tmp_path / file).touch()
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "TERM": "dumb" if name == "bash" else "xterm",
    }
    assert typed(program, flags, setup, line, env, tmp_path) == completed
