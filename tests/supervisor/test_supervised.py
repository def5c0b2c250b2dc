"""The supervisor and what it promises: no orphan, no double start, no lost reason."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine_processes import eventually, living

from modelscan.core.end_cause import EndCause
from modelscan.core.errors import AuthError, RemoteError
from modelscan.supervisor import rundir as module
from modelscan.supervisor import spawn
from modelscan.supervisor.environment import engine_environment, looks_secret
from modelscan.supervisor.logfile import tail
from modelscan.supervisor.processes import is_alive
from modelscan.supervisor.rundir import Ended, ProcessSpec, RunDir

pytest_plugins = ("support.engine_fixtures",)


@pytest.fixture
def rundir(home: Path) -> Iterator[RunDir]:
    yield RunDir(home / "state" / "deployments" / "one")


def python(code: str, *arguments: str, **changes: object) -> ProcessSpec:
    """A stand-in engine: the supervisor runs any command."""
    values: dict[str, object] = {
        "run_id": spawn.new_run_id(), "name": "one", "embedded": False, "env": {}, "secrets": {},
        "argv": (sys.executable, "-c", code, *arguments),
    }  # fmt: skip
    return ProcessSpec(**{**values, **changes})  # type: ignore[arg-type]


SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True); time.sleep(60)"
)
HEARS_AND_STAYS = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('heard', flush=True)); "
    "print('up', flush=True); time.sleep(600)"
)


def up(rundir: RunDir) -> None:
    eventually(lambda: rundir.log_file.exists() and "up" in rundir.log_file.read_text())


def test_a_started_engine_is_alive_until_stopped(rundir: RunDir, home: Path) -> None:
    assert not rundir.alive()
    spawn.start(rundir, python(SLEEP))
    assert rundir.alive()
    up(rundir)
    running = rundir.running()
    assert running is not None and running.engine is not None
    assert is_alive(running.supervisor) and is_alive(running.engine)
    assert os.getsid(running.engine.pid) == running.supervisor.pid != os.getsid(0)
    assert spawn.stop(rundir)
    assert not rundir.alive() and not is_alive(running.engine)
    ended = rundir.ended()
    assert ended is not None
    assert (ended.signal, ended.on_purpose) == (signal.SIGTERM, True)
    assert not spawn.stop(rundir)
    assert living(home) == []


def test_the_exit_code_and_the_last_words_are_kept(rundir: RunDir) -> None:
    spec = python("import sys; print('why', file=sys.stderr); sys.exit(7)")
    spawn.start(rundir, spec)
    ended = eventually(rundir.ended)
    assert (ended.run_id, ended.code, ended.signal, ended.on_purpose) == (
        spec.run_id,
        7,
        None,
        False,
    )
    eventually(lambda: not rundir.alive())
    assert rundir.log_file.read_text() == "why\n"


def test_a_killed_engine_is_noted_and_takes_its_supervisor_along(rundir: RunDir) -> None:
    spawn.start(rundir, python(SLEEP))
    up(rundir)
    running = rundir.running()
    assert running is not None and running.engine is not None
    os.kill(running.engine.pid, signal.SIGKILL)
    eventually(lambda: not rundir.alive())
    ended = rundir.ended()
    assert ended is not None and ended.signal == signal.SIGKILL and not ended.on_purpose


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG")
def test_an_engine_does_not_outlive_a_killed_supervisor(rundir: RunDir) -> None:
    spawn.start(rundir, python(STUBBORN))
    up(rundir)
    running = rundir.running()
    assert running is not None and running.engine is not None
    os.kill(running.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not is_alive(running.engine))  # type: ignore[arg-type]
    eventually(lambda: not rundir.alive())
    assert rundir.ended() is None


def test_what_the_engine_started_ends_with_it(rundir: RunDir) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('up', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    spawn.start(rundir, python(code))
    up(rundir)
    child = int(rundir.log_file.read_text().split()[1])
    running = rundir.running()
    assert running is not None and running.engine is not None
    os.kill(running.engine.pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))
    eventually(lambda: not rundir.alive())


LEAVES = (  # a start script's server, in a session of its own; it writes its pid
    "import os, sys, time\n"
    "if 'closes' in sys.argv: os.closerange(3, 100)\n"
    "open(sys.argv[1] + '.new', 'w').write(str(os.getpid()))\n"
    "os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
    "time.sleep(600)"
)
SCRIPTS = {
    "waits": "trap 'exit 0' TERM; echo up; setsid {server} & wait",
    "ignores": "trap '' TERM; echo up; setsid {server} & while :; do wait; done",
    "closes": "echo up; setsid {server} closes & wait",
    "forgets": "echo up; env -i setsid {server} & wait",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setsid, /proc")
@pytest.mark.parametrize(
    ("script", "supervised"),
    [("waits", True), ("ignores", True), ("closes", True), ("closes", False), ("forgets", False)],
)
def test_a_script_that_leaves_its_session_is_ended_too(
    rundir: RunDir, tmp_path: Path, script: str, supervised: bool
) -> None:
    """By the supervisor; where that was killed, by ``stop`` itself."""
    note = tmp_path / "pid"
    server = shlex.join([sys.executable, "-c", LEAVES, str(note)])
    line = SCRIPTS[script].format(server=server)
    spawn.start(rundir, python("", argv=("bash", "-c", line), stop_grace_s=1.0))
    up(rundir)
    pid = int(eventually(lambda: note.exists() and note.read_text()))
    if not supervised:
        running = rundir.running()
        assert running is not None
        os.kill(running.supervisor.pid, signal.SIGKILL)
    assert spawn.stop(rundir, grace_s=0.2)
    assert not rundir.alive()
    assert _is_zombie(pid), Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setsid, /proc")
def test_a_script_that_ends_and_leaves_a_server_behind_is_a_failed_engine(
    rundir: RunDir, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    server = shlex.join([sys.executable, "-c", LEAVES, str(note), "closes"])
    line = f"echo up; setsid {server} & until [ -s {note} ]; do sleep 0.01; done"
    spawn.start(rundir, python("", argv=("bash", "-c", line)))
    eventually(lambda: rundir.ended() is not None)
    assert _is_zombie(int(note.read_text()))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_an_engine_that_ignores_sigterm_is_killed_after_its_grace(rundir: RunDir) -> None:
    spawn.start(rundir, python(HEARS_AND_STAYS, stop_grace_s=0.3))
    up(rundir)
    assert spawn.stop(rundir, grace_s=0.3)
    assert "heard" in rundir.log_file.read_text()  # asked first
    ended = rundir.ended()
    assert ended is not None and ended.signal == signal.SIGKILL and ended.on_purpose


def test_a_stopped_supervisor_is_killed_too(rundir: RunDir) -> None:
    """SIGSTOP stands for a supervisor that hangs."""
    spawn.start(rundir, python(SLEEP))
    up(rundir)
    running = rundir.running()
    assert running is not None and running.engine is not None
    os.kill(running.supervisor.pid, signal.SIGSTOP)
    assert spawn.stop(rundir, grace_s=0.1)
    assert not is_alive(running.engine)
    assert not rundir.alive()


def test_a_second_start_is_refused_while_the_first_lives(rundir: RunDir) -> None:
    spawn.start(rundir, python(SLEEP))
    up(rundir)
    first = rundir.running()
    with pytest.raises(RemoteError, match="still runs"):
        spawn.start(rundir, python(SLEEP))
    assert first is not None and first.engine is not None and is_alive(first.engine)


def test_a_supervisor_of_another_run_does_nothing(rundir: RunDir) -> None:
    with rundir.claim(python("print('must not run')")) as lock:
        assert lock is not None
        late = subprocess.run(
            [sys.executable, "-m", spawn.MODULE, str(rundir.folder), "another-run"],
            capture_output=True, timeout=300, check=True, cwd=rundir.folder, pass_fds=[lock],
        )  # fmt: skip
    eventually(lambda: not rundir.alive())
    assert (late.stderr, rundir.running(), rundir.log_file.exists()) == (b"", None, False)


def test_a_start_counts_as_alive_before_its_process_exists(rundir: RunDir) -> None:
    with rundir.claim(python(SLEEP)) as lock:
        assert lock is not None
        assert rundir.alive()
        with rundir.claim(python(SLEEP)) as second:
            assert second is None
    assert not rundir.alive()


def test_an_observer_that_is_slow_keeps_no_run_from_starting(
    rundir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``list`` holds the lock for an instant; on a busy machine that is longer than a try."""
    with rundir.claim(python(SLEEP)):
        pass
    observer = os.open(rundir.lock_file, os.O_RDWR)
    fcntl.flock(observer, fcntl.LOCK_SH)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            os.close(observer)

    monkeypatch.setattr(module, "_OBSERVED_S", 0.0)
    monkeypatch.setattr(module.time, "sleep", pause)
    with rundir.claim(python(SLEEP)) as lock:
        assert lock is not None and len(pauses) == 5


def test_a_supervisor_that_cannot_start_leaves_its_last_words(
    rundir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawn, "MODULE", "modelscan.engines.nothing_of_that_name")
    spawn.start(rundir, python(SLEEP))
    eventually(lambda: not rundir.alive())
    assert "nothing_of_that_name" in (spawn.last_error(rundir) or "")


def test_the_log_stays_bounded(rundir: RunDir) -> None:
    noisy = "for n in range(20000): print(n, 'x' * 80)"
    spawn.start(rundir, python(noisy, log_limit_bytes=100_000))
    eventually(lambda: not rundir.alive())
    sizes = [file.stat().st_size for file in rundir.folder.glob("engine.log*")]
    assert len(sizes) == 3 and max(sizes) < 200_000  # and the mark of the start
    assert tail(rundir.log_file, 1)[0].startswith("19999 ")


def test_a_command_that_is_not_there_is_named(rundir: RunDir, tmp_path: Path) -> None:
    spawn.start(rundir, python("", argv=(str(tmp_path / "llama-server"), "--x")))
    ended = eventually(rundir.ended)
    assert ended.code == 1
    eventually(lambda: not rundir.alive())
    assert "No such file" in rundir.log_file.read_text()


def test_the_engine_gets_its_key_but_no_other_credential(
    rundir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-of-mine")
    monkeypatch.setenv("HF_TOKEN", "hf_not_for_engines")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code = "import os; print(sorted(os.environ.items()), flush=True)"
    spec = python(code, secrets={"ENGINE_KEY": "env:MY_KEY"}, env={"PLAN": "1"})
    spawn.start(rundir, spec)
    eventually(rundir.ended)
    eventually(lambda: not rundir.alive())
    seen = dict(eval(rundir.log_file.read_text()))
    assert (seen["ENGINE_KEY"], seen["PLAN"], seen["PYTHONPATH"]) == (
        "s3cret-of-mine", "1", "/somewhere",
    )  # fmt: skip
    assert not {"HF_TOKEN", "MY_KEY"} & set(seen)
    kept = "".join(file.read_text() for file in rundir.folder.glob("*.json"))
    assert "s3cret" not in kept


def test_a_missing_key_is_an_authentication_error() -> None:
    with pytest.raises(AuthError, match="NOT_SET"):
        engine_environment(python("", secrets={"K": "env:NOT_SET"}), {})


@pytest.mark.parametrize(
    ("name", "secret"),
    [("HF_TOKEN", True), ("AWS_SECRET_ACCESS_KEY", True), ("MONKEY", False), ("KEYBOARD", False),
     ("PATH", False), ("DB_PASSWORD", True), ("OMP_NUM_THREADS", False)],
)  # fmt: skip
def test_credentials_are_known_by_name(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_a_foreign_module_in_the_current_folder_is_not_imported(
    rundir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    spawn.start(rundir, python(SLEEP))
    up(rundir)


def test_ended_is_read_back(rundir: RunDir) -> None:
    rundir.folder.mkdir(parents=True)
    ended = Ended("r", None, 9, EndCause.CRASHED, "2026-01-01T00:00:00.000Z")
    rundir.write_ended(ended)
    assert rundir.ended() == ended


LIMITS = (
    "import os, resource; "
    "print('data', *resource.getrlimit(resource.RLIMIT_DATA), 'core', "
    "*resource.getrlimit(resource.RLIMIT_CORE), 'nice', os.nice(0), flush=True); "
    "bytearray(400 << 20)"
)


def test_an_engine_keeps_to_its_limits(rundir: RunDir) -> None:
    """What it allocates beyond its memory fails; others go first; it leaves no core file."""
    limit = 300 << 20
    spawn.start(rundir, python(LIMITS, memory_limit_bytes=limit, nice=5))
    eventually(lambda: rundir.ended() is not None)
    text = rundir.log_file.read_text()
    assert f"data {limit} {limit} core 0 0 nice {os.nice(0) + 5}" in text
    assert "MemoryError" in text
    ended = rundir.ended()
    assert ended is not None and ended.code == 1
