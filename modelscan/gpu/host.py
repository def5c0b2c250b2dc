"""The machine's processors and memory, without swap."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from modelscan.core.gpu import Host
from modelscan.gpu.cgroup import run_cgroup

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost


def run_host(machine: ProbeHost) -> Host:
    """The host from /proc on Linux, sysctl on macOS, psutil elsewhere."""
    if machine.system == "linux":
        return _linux(machine)
    if machine.system == "darwin":
        return _darwin(machine)
    return _portable()


def parse_meminfo(text: str) -> tuple[int | None, int | None]:
    """(MemTotal, MemAvailable) in bytes; swap is never counted."""
    sizes = {
        key: int(value) * 1024
        for key, value in re.findall(r"^(\w+):\s+(\d{1,15}) kB", text, re.MULTILINE)
    }
    available = sizes.get("MemAvailable")
    if available is None and "MemFree" in sizes:
        available = sum(sizes.get(key, 0) for key in ("MemFree", "Buffers", "Cached"))
    return sizes.get("MemTotal"), available


def parse_cpu_name(text: str) -> str | None:
    """The processor's name in /proc/cpuinfo, or None."""
    match = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip()[:120] if match else None


def parse_vm_stat(text: str) -> int | None:
    """Free, inactive, speculative and purgeable memory on macOS, in bytes; None if not listed."""
    page = re.search(r"page size of (\d+) bytes", text)
    size = int(page.group(1)) if page else 4096
    kinds = "free|inactive|speculative|purgeable"
    pages = re.findall(rf"^Pages (?:{kinds}):\s+(\d{{1,15}})\.", text, re.MULTILINE)
    return sum(map(int, pages)) * size if pages else None


def _linux(machine: ProbeHost) -> Host:
    total, available = parse_meminfo(machine.read("/proc/meminfo", 8192) or "")
    limits = run_cgroup(machine)
    if limits.memory_bytes is not None and total is not None and limits.memory_bytes < total:
        total = limits.memory_bytes
    if limits.memory_left_bytes is not None and available is not None:
        available = min(available, limits.memory_left_bytes)
    name = parse_cpu_name(machine.read("/proc/cpuinfo", 4096) or "")
    return Host(_cpus(limits.cpus), total, available, name, f"linux-{os.uname().machine}")


def _cpus(quota: float | None) -> int | None:
    """The number of processors this process may use, limited by a container's quota."""
    try:
        count: int | None = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count()
    return min(count, max(1, round(quota))) if count and quota is not None else count


def _darwin(machine: ProbeHost) -> Host:
    argv = ["/usr/sbin/sysctl", "-n", "hw.memsize", "machdep.cpu.brand_string"]
    lines = machine.run(argv, timeout_s=machine.timeout_s).stdout.splitlines()
    total = int(lines[0]) if lines and lines[0].isdecimal() else None
    name = lines[1].strip() if len(lines) > 1 else None
    free = parse_vm_stat(machine.run(["/usr/bin/vm_stat"], timeout_s=machine.timeout_s).stdout)
    return Host(os.cpu_count(), total, free, name, f"darwin-{os.uname().machine}")


def _portable() -> Host:
    import platform

    import psutil

    memory = psutil.virtual_memory()
    where = f"{platform.system().lower()}-{platform.machine().lower()}"
    return Host(os.cpu_count(), memory.total, memory.available, platform.processor() or None, where)
