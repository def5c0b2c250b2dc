"""The supervisor of a local engine: starts it, bounds its log, records its end.

    python -m modelscan.supervisor.main FOLDER RUN_ID

It runs in its own session and survives the command that started it (``supervisor.spawn``); the
engine ends with it. It does nothing unless ``FOLDER/spec.json`` contains RUN_ID (``rundir``).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError
from modelscan.supervisor import restarts
from modelscan.supervisor.activity import IdleWatch
from modelscan.supervisor.containers.handle import ContainerHandle
from modelscan.supervisor.environment import engine_environment
from modelscan.supervisor.logfile import RotatingLog, tail
from modelscan.supervisor.processes import die_with_parent, identify, limit
from modelscan.supervisor.rundir import (
    Ended,
    ProcessSpec,
    Restarts,
    RunDir,
    RunningProcesses,
)
from modelscan.supervisor.stragglers import adopt_orphans, descendants, end_descendants

_READ_BYTES = 1 << 16
_PAUSE_STEP_S = 0.05
_SIGNALLED = 128
_LAST_WORDS = 3  # lines
_HANDLED = {signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD}


def main(arguments: list[str]) -> int:
    """Detach, check that the run is still current, supervise it until it ends.

    ``alive.lock`` is already locked: the command that started us passed the lock as a file
    descriptor, so the deployment counts as alive before this process exists.
    """
    folder, run_id = arguments
    if os.fork():
        os._exit(0)  # not a child of the command, which need not wait for us
    os.setsid()
    rundir = RunDir(Path(folder))
    spec = rundir.spec()
    if spec is None or spec.run_id != run_id:
        return 0
    os.chdir("/")
    return Supervisor(rundir, spec).run()


class Supervisor:
    """One deployment's engine from fork to its last log line, including restarts."""

    def __init__(self, rundir: RunDir, spec: ProcessSpec) -> None:
        self._rundir, self._spec = rundir, spec
        self._engine = 0
        self._status: int | None = None
        self._stopping = self._idle = False
        self._restarts = 0

    def run(self) -> int:
        """Runs the engine until it ends and is not to be restarted."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        signal.signal(signal.SIGCHLD, self._reap)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if self._spec.container is None:
            adopt_orphans()
        log = RotatingLog(self._rundir.log_file, self._spec.log_limit_bytes)
        while True:
            log.begin()
            reader = self._launch()
            began = time.monotonic()
            self._pump(reader, log)
            ended = self._ended(self._wait())
            self._clear_container(log)
            if not self._revive(ended, time.monotonic() - began, log):
                break
        self._rundir.write_ended(self._ended(self._wait()))
        log.close()
        return 0

    def _launch(self) -> int:
        """Fork the engine and return the read end of its output pipe.

        Signals stay blocked until there is an engine to forward them to.
        """
        self._write_running(None)
        reader, writer = os.pipe()
        supervisor = os.getpid()
        self._status = None
        self._engine = os.fork()
        if self._engine == 0:
            self._become_engine(supervisor, reader, writer)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        return reader

    def _revive(self, ended: Ended, lived_s: float, log: RotatingLog) -> bool:
        """Wait for the restart delay and return whether to restart; signals are blocked
        afterwards.
        """
        # After it was ready once, later starts may fail for temporary reasons, up to the limit.
        was_ready = self._rundir.is_ready() or self._restarts > 0
        if not restarts.again(self._spec, ended, was_ready=was_ready):
            return False
        if lived_s >= self._spec.healthy_s:
            self._restarts = 0
        if self._restarts >= self._spec.restart_limit:
            return False
        self._restarts += 1
        reason = restarts.how(ended, tail(self._rundir.log_file, _LAST_WORDS))
        delay_s = restarts.delay_s(self._spec, self._restarts)
        which = f"{self._restarts} of {self._spec.restart_limit}"
        log.write(f"modelscan: {reason}; restart {which} in {delay_s:g} s\n".encode())
        self._note_restart(reason, ended.at, waiting=True)
        self._rundir.ready_file.unlink(missing_ok=True)
        self._write_running(None)
        if not self._paused(delay_s):
            return False
        self._note_restart(reason, ended.at, waiting=False)
        return True

    def _paused(self, delay_s: float) -> bool:
        """Wait; False if a stop was requested in the meantime. Signals are blocked afterwards."""
        until = time.monotonic() + delay_s
        while not self._stopping and (remaining := until - time.monotonic()) > 0:
            time.sleep(min(remaining, _PAUSE_STEP_S))
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        return not self._stopping

    def _note_restart(self, reason: str, at: str, *, waiting: bool) -> None:
        limit = self._spec.restart_limit
        note = Restarts(self._spec.run_id, self._restarts, limit, reason, at, waiting)
        self._rundir.write_restarts(note)

    def _become_engine(self, parent: int, reader: int, writer: int) -> None:
        """Runs in the forked child and never returns."""
        code = 1
        try:
            os.setpgid(0, 0)
            # The client of a container passes SIGTERM on; killed, it would leave the container.
            in_container = self._spec.container is not None
            die_with_parent(parent, signal.SIGTERM if in_container else signal.SIGKILL)
            limit(self._spec.memory_limit_bytes, self._spec.nice)
            for number in (*_HANDLED, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            os.close(reader)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            self._write_running(os.getpid(), parent)
            code = self._engine_main()
        except BaseException as error:  # noqa: BLE001 - the reason must reach the log
            with contextlib.suppress(OSError):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def _engine_main(self) -> int:
        if self._spec.container is not None:
            self._become_client(self._spec.container)
        environment = engine_environment(self._spec)
        if not self._spec.embedded:
            program = self._spec.argv[0]
            os.execvpe(program, list(self._spec.argv), environment)  # noqa: S606 - no shell
        os.environ.clear()
        os.environ.update(environment)
        from modelscan.supervisor.embedded.launcher import serve

        return serve(self._spec.argv, self._rundir.ready_file, self._spec.run_id)

    def _become_client(self, container: ContainerHandle) -> NoReturn:
        from modelscan.supervisor.containers import supervised

        variables = engine_environment(self._spec, {}, os.environ)
        client = engine_environment(replace(self._spec, env={}, secrets={}))
        supervised.become_client(container, self._spec, variables, client)

    def _clear_container(self, log: RotatingLog) -> None:
        if self._spec.container is None:
            return
        from modelscan.supervisor.containers import supervised

        try:
            supervised.clear(self._spec.container)
        except ModelscanError as error:  # ``stop`` tries again
            log.write(f"modelscan: {error.message}\n".encode())

    def _write_running(self, engine: int | None, supervisor: int | None = None) -> None:
        me = identify(supervisor or os.getpid())
        assert me is not None
        identity = identify(engine) if engine else None
        self._rundir.write_running(RunningProcesses(self._spec.run_id, me, identity))

    def _pump(self, reader: int, log: RotatingLog) -> None:
        """Copy its output to the log until it ends, and check for idleness."""
        watch = IdleWatch(self._rundir, self._spec, self._key())
        while True:
            wait_s = watch.wait_s()
            if wait_s is None or select.select([reader], [], [], wait_s)[0]:
                data = os.read(reader, _READ_BYTES)
                if not data:
                    break
                log.write(data)
            is_idle = watch.is_idle()
            self._forget_variables()
            if not self._stopping and is_idle:
                self._idle = True
                log.write(f"modelscan: no request for {self._spec.idle_s:g} s\n".encode())
                self._stop(signal.SIGTERM, None)
        os.close(reader)

    def _forget_variables(self) -> None:
        if self._spec.container is not None and self._rundir.is_ready():
            from modelscan.supervisor.containers import supervised

            supervised.forget_variables(self._spec.container)

    def _key(self) -> str | None:
        from modelscan.state.secrets import resolve

        for reference in self._spec.secrets.values():
            with contextlib.suppress(ModelscanError):  # the engine reports a missing key itself
                return resolve(reference)
        return None

    def _wait(self) -> int:
        """The engine's wait status; waits if the engine only closed its output."""
        if self._status is None:
            with contextlib.suppress(
                ChildProcessError
            ):  # the signal handler has already collected it
                self._gone(os.waitpid(self._engine, 0)[1])
        assert self._status is not None
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._status

    def _reap(self, number: int, frame: FrameType | None) -> None:
        """The engine ended: kill its child processes, too, so that the log's pipe closes."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self._engine, os.WNOHANG)
            if pid:
                self._gone(status)

    def _gone(self, status: int) -> None:
        self._status = status
        if self._spec.container is not None:
            return  # the rest of it is not our child
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._engine, signal.SIGKILL)
        end_descendants(os.getpid())  # a start script may have left the group

    def _ended(self, status: int) -> Ended:
        from modelscan.state.clock import now_text

        code = os.waitstatus_to_exitcode(status)
        if self._spec.container is not None and code > _SIGNALLED:
            code = _SIGNALLED - code  # the client says so of a container that a signal ended
        return Ended(
            run_id=self._spec.run_id,
            code=None if code < 0 else code,
            signal=-code if code < 0 else None,
            cause=self._cause(),
            at=now_text(),
            restarts=self._restarts,
        )

    def _cause(self) -> EndCause:
        if self._idle:
            return EndCause.IDLE
        return EndCause.TOLD_TO_STOP if self._stopping else EndCause.CRASHED

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._rundir.note_told_to_stop()
        self._signal_engine(signal.SIGTERM)
        self._signal_engine(signal.SIGCONT)  # a suspended process could not end
        signal.setitimer(signal.ITIMER_REAL, self._spec.stop_grace_s)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        self._signal_engine(signal.SIGKILL)

    def _signal_engine(self, number: signal.Signals) -> None:
        if self._status is not None:
            return
        if self._spec.container is not None:  # its client passes the signal on
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._engine, number)
            return
        below = list(descendants(os.getpid()))  # also those in a session of their own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._engine, number)
        for pid in (self._engine, *below):  # the engine may not lead its group yet
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
