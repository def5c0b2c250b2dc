"""The engine's process: llama.cpp's own HTTP server inside this interpreter.

    python -m modelscan.supervisor.embedded.launcher --model FILE --port N [llama-server's options]

What was observed with xllamacpp 2026.10 and is relied on here:

* The constructor of ``Server`` loads the model and holds the interpreter lock meanwhile, so no
  Python signal handler can run: SIGTERM keeps its default action, which ends the process at
  once, during the load and after it.
* libgomp reads ``OMP_WAIT_POLICY`` when it is loaded, and its default (spinning) makes requests
  hundreds of times slower on busy cores: the variable is set before the import.
* A failed start is only ``RuntimeError("Failed to init server")``; the reason is in the log,
  which a thread writes: on busy cores an exit at once loses it (1 of 30 starts).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from modelscan.engines.llamacpp.command import KEY_VARIABLE
from modelscan.engines.llamacpp.option_words import parse
from modelscan.supervisor.embedded.params import apply

MODULE = "modelscan.supervisor.embedded.launcher"
_LOG_STEP_S = 0.02
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}


def serve(argv: Sequence[str], ready_file: Path | None, run_id: str = "") -> int:
    """Serve until the process is killed; returns 1 if the server could not start.

    ``argv`` is the whole command line as ``launch_argv`` made it. Once requests are answered, the
    address and the seconds of import and load are written to ``ready_file``.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    parent = os.getppid()
    begun = time.monotonic()
    import xllamacpp

    imported = time.monotonic()
    params = xllamacpp.CommonParams()
    apply(params, xllamacpp, parse(own_arguments(argv)))
    key = os.environ.get(KEY_VARIABLE)
    if key:
        params.api_keys = [key]
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        _wait_for_log()
        sys.stderr.write(f"{error}\n")
        return 1
    if ready_file is not None:
        _report(ready_file, run_id, server.listening_address, begun, imported)
    _wait(parent)
    return 0


def own_arguments(argv: Sequence[str]) -> Sequence[str]:
    """The options of ``python -m modelscan.supervisor.embedded.launcher OPTIONS``."""
    return argv[3:] if list(argv[1:3]) == ["-m", MODULE] else argv


def _report(file: Path, run_id: str, address: str, begun: float, imported: float) -> None:
    import json

    import xllamacpp

    from modelscan.state.files import write_atomic

    value = {
        "run_id": run_id,
        "address": address,
        "import_s": round(imported - begun, 4),
        "load_s": round(time.monotonic() - imported, 4),
        "engine_version": str(xllamacpp.__version__),
    }
    write_atomic(file, json.dumps(value))


def _wait_for_log(longest_s: float = 2.0) -> None:
    """Wait until the engine's log thread has written everything: then all threads sleep."""
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        time.sleep(_LOG_STEP_S)
        if not _others_run():
            return


def _others_run() -> bool:
    """Whether another thread of this process runs; True if unknown."""
    me, tasks = threading.get_native_id(), Path("/proc/self/task")
    try:
        stats = [(task / "stat").read_text() for task in tasks.iterdir() if task.name != str(me)]
    except OSError:
        return True
    return any(stat.rpartition(")")[2].split()[0] not in "SZX" for stat in stats)


def _wait(parent: int) -> None:
    """Wait until killed. If the kernel does not end the process with the supervisor, end it
    here.
    """
    watch = not sys.platform.startswith("linux")
    while not watch or os.getppid() == parent:
        if watch:
            time.sleep(1.0)
        else:
            signal.pause()


if __name__ == "__main__":
    try:
        sys.exit(serve(sys.argv[1:], None))
    except KeyboardInterrupt:
        sys.exit(130)
