"""What the supervisor does when an engine ends by itself: again, later, or never; idle unload."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine_processes import eventually, living

from modelscan.core.end_cause import EndCause
from modelscan.supervisor import restarts, spawn
from modelscan.supervisor.activity import parse_activity
from modelscan.supervisor.processes import is_alive
from modelscan.supervisor.rundir import Ended, ProcessSpec, RunDir

pytest_plugins = ("support.engine_fixtures",)

# A stand-in engine that says it is ready, lives a little, and ends as it is told to.
READY = (
    "import os, pathlib, sys, time\n"
    "count = pathlib.Path(sys.argv[1])\n"
    "count.write_text(str(int(count.read_text() if count.exists() else 0) + 1))\n"
    "pathlib.Path(sys.argv[2]).write_text('{}')\n"
    "print('up', flush=True)\n"
)
SLEEPS = READY + "time.sleep(60)"
CRASHES = READY + "print('no more memory', flush=True); sys.exit(7)"
NEVER_READY = CRASHES.replace("pathlib.Path(sys.argv[2]).write_text('{}')\n", "")


@pytest.fixture
def rundir(home: Path) -> Iterator[RunDir]:
    yield RunDir(home / "state" / "deployments" / "one")


def begin(rundir: RunDir, tmp_path: Path, code: str, **changes: object) -> ProcessSpec:
    values: dict[str, object] = {
        "run_id": spawn.new_run_id(), "name": "one", "embedded": False, "env": {}, "secrets": {},
        "argv": (sys.executable, "-c", code, str(tmp_path / "count"), str(rundir.ready_file)),
        "restart": "on-failure", "restart_delay_s": 0.01,
    }  # fmt: skip
    spec = ProcessSpec(**{**values, **changes})  # type: ignore[arg-type]
    spawn.start(rundir, spec)
    return spec


def starts(tmp_path: Path) -> int:
    file = tmp_path / "count"
    return int(file.read_text() or 0) if file.exists() else 0


def engine_pid(rundir: RunDir) -> int | None:
    running = rundir.running()
    return running.engine.pid if running and running.engine and rundir.is_ready() else None


def test_a_killed_engine_is_started_again_while_no_command_runs(
    rundir: RunDir, tmp_path: Path, home: Path
) -> None:
    spec = begin(rundir, tmp_path, SLEEPS)
    first = eventually(lambda: engine_pid(rundir))
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: (pid := engine_pid(rundir)) != first and pid)
    assert starts(tmp_path) == 2
    note = eventually(lambda: (r := rundir.restarts()) and not r.waiting and r)
    assert (note.run_id, note.count, note.limit) == (spec.run_id, 1, 5)
    assert note.reason == "the engine was killed by signal 9 (SIGKILL)"
    assert "restart 1 of 5" in rundir.log_file.read_text()
    assert len(living(home)) == 1  # the supervisor; the engine is a stand-in
    assert spawn.stop(rundir)
    assert not Path(f"/proc/{second}/cmdline").exists()
    ended = rundir.ended()
    assert ended is not None and ended.on_purpose and ended.restarts == 1


def test_after_the_limit_it_stays_down_and_says_why(rundir: RunDir, tmp_path: Path) -> None:
    begin(rundir, tmp_path, CRASHES, restart_limit=3)
    eventually(lambda: not rundir.alive())
    assert starts(tmp_path) == 4
    ended = rundir.ended()
    assert ended is not None
    assert (ended.code, ended.restarts, ended.on_purpose) == (7, 3, False)
    note = rundir.restarts()
    assert note is not None and "no more memory" in note.reason


def test_a_healthy_while_counts_anew(rundir: RunDir, tmp_path: Path) -> None:
    """With every life long enough, more starts happen than the limit allows in a row."""
    begin(rundir, tmp_path, CRASHES, restart_limit=1, healthy_s=0.0)
    eventually(lambda: starts(tmp_path) >= 4)
    spawn.stop(rundir)


def test_an_engine_that_was_never_ready_is_not_started_again(
    rundir: RunDir, tmp_path: Path
) -> None:
    begin(rundir, tmp_path, NEVER_READY, restart="always")
    eventually(lambda: not rundir.alive())
    assert starts(tmp_path) == 1
    assert rundir.restarts() is None


@pytest.mark.parametrize(
    ("policy", "ending", "expected"),
    [("no", "sys.exit(3)", 1), ("on-failure", "sys.exit(0)", 1), ("always", "sys.exit(0)", 2),
     ("on-failure", "os.kill(os.getpid(), 15); time.sleep(9)", 1)],
)  # fmt: skip
def test_policies(rundir: RunDir, tmp_path: Path, policy: str, ending: str, expected: int) -> None:
    begin(rundir, tmp_path, READY + ending, restart=policy, restart_limit=1)
    eventually(lambda: not rundir.alive())
    assert starts(tmp_path) == expected


def test_a_stop_during_the_pause_before_a_restart(rundir: RunDir, tmp_path: Path) -> None:
    begin(rundir, tmp_path, CRASHES, restart_delay_s=3600.0)
    eventually(lambda: (note := rundir.restarts()) and note.waiting)
    assert spawn.stop(rundir)
    assert starts(tmp_path) == 1
    ended = rundir.ended()
    assert ended is not None and ended.on_purpose


def test_a_killed_supervisor_takes_the_restarted_engine_along(
    rundir: RunDir, tmp_path: Path
) -> None:
    begin(rundir, tmp_path, SLEEPS)
    first = eventually(lambda: engine_pid(rundir))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: engine_pid(rundir) not in (None, first))
    running = rundir.running()
    assert running is not None and running.engine is not None
    os.kill(running.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not rundir.alive() and not is_alive(running.engine))  # type: ignore[arg-type]


def test_the_pause_doubles_up_to_a_minute() -> None:
    spec = ProcessSpec("r", "n", (), False, {}, {})
    pauses = [restarts.delay_s(spec, count) for count in range(1, 12)]
    assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == restarts.LONGEST_DELAY_S


def test_the_last_words_are_told_where_they_can_explain_the_end() -> None:
    def ended(code: int | None, number: int | None) -> Ended:
        return Ended("r", code, number, EndCause.CRASHED, "now")

    assert restarts.how(ended(1, None), ["a", "b"]) == "the engine ended with code 1: a; b"
    assert restarts.how(ended(None, 9), ["a"]) == "the engine was killed by signal 9 (SIGKILL)"
    assert restarts.how(ended(None, 6), ["bad"]).endswith("(SIGABRT): bad")
    assert "signal 40" in restarts.how(ended(None, 40), [])


METRICS = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
llamacpp:prompt_tokens_total 9
llamacpp:n_decode_total 1
llamacpp:requests_processing 2
vllm:request_success_total{finished_reason="stop",model_name="m"} 3.0
vllm:request_success_total{finished_reason="length",model_name="m"} 4.0
"""


def test_activity_is_read_from_the_engines_own_counters() -> None:
    found = parse_activity(METRICS)
    assert found is not None
    busy, counters = found
    assert busy == 2
    assert counters["vllm:request_success_total"] == 7
    assert parse_activity("# nothing here\nprocess_cpu_seconds_total 1\n") is None
