"""Memory and CPU limits of this process's control groups (a container's, a systemd service's)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

_ROOT = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """The tightest limit of each kind over all parent groups; None if there is none.

    ``memory_left_bytes`` is the amount that may still be allocated under every limit. Page cache
    that the kernel can reclaim does not count as used.
    """

    memory_bytes: int | None = None
    memory_left_bytes: int | None = None
    cpus: float | None = None


def run_cgroup(machine: ProbeHost) -> CgroupLimits:
    """The limits from cgroup version 2 (one tree) and version 1 (one tree per controller)."""
    groups = machine.read("/proc/self/cgroup", 8192) or ""
    memory = [
        *_memory(
            machine, _folders(groups, "", ""), "memory.max", "memory.current", "inactive_file",
        ),
        *_memory(
            machine, _folders(groups, "memory", "/memory"), "memory.limit_in_bytes",
            "memory.usage_in_bytes", "total_inactive_file",
        ),
    ]  # fmt: skip
    cpus = [
        *(_ratio(machine.read(f"{f}/cpu.max", 64)) for f in _folders(groups, "", "")),
        *(_ratio(_quota(machine, folder)) for folder in _folders(groups, "cpu", "/cpu")),
    ]
    return CgroupLimits(
        min((limit for limit, _ in memory), default=None),
        min((left for _, left in memory), default=None),
        min((share for share in cpus if share is not None), default=None),
    )


def parse_cgroup_limit(text: str | None) -> int | None:
    """A group's memory limit in bytes; None if there is none."""
    word = (text or "").strip()
    if not word.isdecimal():
        return None
    limit = int(word)
    return limit if 0 < limit < 1 << 50 else None  # v1 writes a huge number for "no limit"


def _folders(groups: str, controller: str, tree: str) -> list[str]:
    """The process's group and its parents, up to the root of the tree.

    In a container with a cgroup namespace, the group is the root.
    """
    pattern = rf"^\d+:(?:[^:\n]*,)?{controller}(?:,[^:\n]*)?:(/\S*)$"
    match = re.search(pattern, groups, re.MULTILINE)
    parts = [part for part in (match.group(1) if match else "/").split("/") if part]
    if ".." in parts:  # a group outside this process's namespace
        parts = []
    paths = ["/".join(["", *parts[:depth]]) for depth in range(len(parts), -1, -1)]
    return [_ROOT + tree + path for path in paths[:64]]


def _memory(
    machine: ProbeHost, folders: list[str], limit_file: str, used_file: str, cache_key: str
) -> list[tuple[int, int]]:
    """(limit, remaining) in bytes of each group with a limit."""
    limits = []
    for folder in folders:
        limit = parse_cgroup_limit(machine.read(f"{folder}/{limit_file}", 64))
        if limit is None:
            continue
        statistics = machine.read(f"{folder}/memory.stat", 16384) or ""
        cached = re.search(rf"^{cache_key} (\d{{1,18}})$", statistics, re.MULTILINE)
        used = machine.read_int(f"{folder}/{used_file}") or 0
        allocated = max(0, used - (int(cached.group(1)) if cached else 0))
        limits.append((limit, max(0, limit - allocated)))
    return limits


def _quota(machine: ProbeHost, folder: str) -> str:
    quota = machine.read(f"{folder}/cpu.cfs_quota_us", 64) or ""
    return f"{quota.strip()} {(machine.read(f'{folder}/cpu.cfs_period_us', 64) or '').strip()}"


def _ratio(text: str | None) -> float | None:
    """``50000 100000`` is half a processor; ``max`` and -1 mean no limit."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])
