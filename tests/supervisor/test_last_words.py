"""What an engine says last must reach the log, also where the cores are busy."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.engine_processes import eventually

from modelscan.engines.llamacpp.log import measured
from modelscan.supervisor.embedded.launcher import MODULE, _others_run

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/task")
LOG = (
    "0.00.001 I load_tensors: CPU_Mapped model buffer size =     1.90 MiB\n"
    "0.00.002 I llama_kv_cache:        CPU KV buffer size =     1.00 MiB\n"
    "0.00.003 I sched_reserve:        CPU compute buffer size =     5.89 MiB\n"
)


@LINUX
def test_threads_that_still_work_are_seen() -> None:
    data = bytes(64 << 20)
    working = threading.Event()

    def work() -> None:
        working.set()
        for _ in range(4):
            hashlib.sha256(data).digest()  # outside the interpreter lock

    thread = threading.Thread(target=work)
    thread.start()
    working.wait()
    assert eventually(_others_run, 5)
    thread.join()
    eventually(lambda: not _others_run(), 5)


@LINUX
def test_a_failed_start_names_its_reason_each_time(tmp_path: Path) -> None:
    """Four at once on the cores that there are."""
    command = [sys.executable, "-m", MODULE, "--model", str(tmp_path / "none.gguf"), "--port", "0"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(4)
    ]
    for process in running:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 1
        assert "No such file" in out


def test_a_log_that_is_not_whole_yet_measures_nothing() -> None:
    whole = measured(LOG)
    assert whole is not None and whole["parts"]["compute_bytes"] > 0
    for lines in range(3):
        assert measured("".join(LOG.splitlines(keepends=True)[:lines])) is None
