"""A pid alone proves nothing: identities, ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.supervisor import ports
from modelscan.supervisor.processes import Identity, identify, is_alive, memory_bytes, send


def test_this_process_is_itself() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert is_alive(me)
    assert me.started_at == pytest.approx(psutil.Process().create_time(), abs=2)
    assert not is_alive(Identity(me.pid, "another boot:1"))


def test_a_reused_pid_is_never_signalled() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    who = identify(child.pid)
    assert who is not None
    stranger = Identity(who.pid, who.started + "0")
    assert not send(stranger, signal.SIGKILL)
    assert child.poll() is None
    assert send(who, signal.SIGKILL)
    child.wait(120)
    assert not is_alive(who)
    assert not send(who, signal.SIGKILL)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    who = None
    deadline = time.monotonic() + 10
    while identify(child.pid) is not None and time.monotonic() < deadline:
        who = identify(child.pid) or who
        time.sleep(0.01)
    assert identify(child.pid) is None  # ended, not waited for yet
    child.wait()


def test_memory_of_a_process() -> None:
    resident, own = memory_bytes(os.getpid())
    assert resident is not None and own is not None
    assert 1 << 20 < own <= resident
    assert memory_bytes(2**22 + 1) == (None, None)


def test_a_busy_port_is_not_free_and_a_reserved_one_not_chosen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        with pytest.raises(ModelscanError, match="no port"):
            ports.choose("127.0.0.1", (port, port), set())
    assert ports.is_free("127.0.0.1", port)
    assert ports.choose("127.0.0.1", (port, port), set()) == port
    with pytest.raises(ModelscanError, match="1 are reserved"):
        ports.choose("127.0.0.1", (port, port), {port})


def test_every_port_of_a_range_is_tried() -> None:
    low = 47110
    taken = {low + number for number in range(20)} - {low + 13}
    assert ports.choose("127.0.0.1", (low, low + 19), taken) == low + 13


@pytest.mark.parametrize("text", ["41000", "2-1", "80-90", "1024-70000", "x-y", ""])
def test_a_broken_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a range"):
        ports.parse_range(text)


def test_a_range() -> None:
    assert ports.parse_range(" 41000-41999 ") == (41000, 41999)
