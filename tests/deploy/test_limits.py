"""``--memory-limit`` and ``--nice``: what a deployment's engine may take of the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import Ran

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


def test_limits_hold_for_every_start(run_in_process: Run, model_file: Path) -> None:
    """Asked again with other limits it is another request."""
    options = ("deploy", str(model_file), "--name", "m", "--json")
    done = run_in_process(*options, "--memory-limit", "2GiB", "--nice", "3")
    assert done.code == 0, done.out
    assert limits(run_in_process) == (2 << 30, psutil.Process().nice() + 3)
    assert run_in_process("restart", "m").code == 0
    assert limits(run_in_process) == (2 << 30, psutil.Process().nice() + 3)
    assert run_in_process(*options, "--memory-limit", "3GiB", "--nice", "3").code == 2
    assert run_in_process("remove", "m", "--yes").code == 0


def limits(run: Run) -> tuple[int, int]:
    process = psutil.Process(run("show", "m", "--json").json["deployment"]["pid"])
    return process.rlimit(psutil.RLIMIT_DATA)[0], process.nice()


def test_a_limit_that_is_too_small_is_named(run_in_process: Run, model_file: Path) -> None:
    ran = run_in_process("deploy", str(model_file), "--memory-limit", "30MB", "--json")
    assert ran.code == 5, ran.out
    assert "memory limit is 28.6 MiB" in ran.json["error"]["hint"]


@pytest.mark.parametrize("words", [("--memory-limit", "much"), ("--nice", "20")])
def test_what_is_no_limit(run_in_process: Run, model_file: Path, words: tuple[str, str]) -> None:
    assert run_in_process("deploy", str(model_file), *words).code == 2


def test_limits_are_for_this_machine(run_in_process: Run, model_file: Path) -> None:
    ran = run_in_process("deploy", str(model_file), "--target", "ollama", "--nice", "3", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "local_only")
