"""A container's or service's share of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gpu_machine import FakeMachine

from modelscan.core.units import GIB
from modelscan.gpu.host import run_host

GROUP = "/sys/fs/cgroup"


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    fake = FakeMachine(tmp_path)
    fake.memory(32 << 20, 16 << 20)
    return fake


def test_cached_files_do_not_count_as_taken(fake: FakeMachine) -> None:
    fake.write(f"{GROUP}/memory.max", f"{8 * GIB}\n")
    fake.write(f"{GROUP}/memory.current", f"{5 * GIB}\n")
    fake.write(f"{GROUP}/memory.stat", f"anon {GIB}\ninactive_file {3 * GIB}\nactive_file 0\n")
    host = run_host(fake.machine)
    assert (host.memory_bytes, host.free_bytes) == (8 * GIB, 6 * GIB)


def test_version_1_tells_what_is_taken_too(fake: FakeMachine) -> None:
    fake.write("/proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    fake.write(f"{GROUP}/memory/memory.limit_in_bytes", f"{8 * GIB}\n")
    fake.write(f"{GROUP}/memory/memory.usage_in_bytes", f"{3 * GIB}\n")
    fake.write(f"{GROUP}/memory/memory.stat", f"total_inactive_file {GIB}\n")
    fake.write(f"{GROUP}/cpu/cpu.cfs_quota_us", "100000\n")
    fake.write(f"{GROUP}/cpu/cpu.cfs_period_us", "100000\n")
    host = run_host(fake.machine)
    assert (host.memory_bytes, host.free_bytes, host.cpus) == (8 * GIB, 6 * GIB, 1)


def test_the_tightest_group_on_the_way_up_holds(fake: FakeMachine) -> None:
    fake.write("/proc/self/cgroup", "0::/system.slice/engine.service\n")
    fake.write(f"{GROUP}/system.slice/memory.max", f"{20 * GIB}\n")
    fake.write(f"{GROUP}/system.slice/memory.current", f"{18 * GIB}\n")
    fake.write(f"{GROUP}/system.slice/engine.service/memory.max", f"{4 * GIB}\n")
    fake.write(f"{GROUP}/system.slice/engine.service/memory.current", "0\n")
    host = run_host(fake.machine)
    assert (host.memory_bytes, host.free_bytes) == (4 * GIB, 2 * GIB)


@pytest.mark.parametrize("word", ["max\n", "9223372036854771712\n", "", "0\n"])
def test_no_limit_is_none(fake: FakeMachine, word: str) -> None:
    fake.write("/proc/self/cgroup", "0::/../../elsewhere\n")
    fake.write(f"{GROUP}/memory.max", word)
    host = run_host(fake.machine)
    assert (host.memory_bytes, host.free_bytes) == (32 * GIB, 16 * GIB)
