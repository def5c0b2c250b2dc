"""The simulated workers: GPUStack's own ``resources`` setting says what they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GIB = 2**30
WORKERS: dict[str, dict[str, Any]] = {
    "h100x2": {"gpu": ("NVIDIA H100 80GB HBM3", 80 * GIB, "9.0", "Hopper"), "count": 2, "at": 0},
    "rtx4090": {"gpu": ("NVIDIA GeForce RTX 4090", 24564 * 2**20, "8.9", "Ada-Lovelace"),
                "count": 1, "at": 1},
}  # fmt: skip


def worker_file(folder: Path, name: str, version: str, server: str, token: str) -> Path:
    """Write the worker's configuration (JSON is YAML) and return its path."""
    modern = version.startswith("2")
    facts = WORKERS[name]
    at = facts["at"]
    ray = {"ray_port_range": f"{41000 + 100 * at}-{41099 + 100 * at}"}
    settings = {
        "server_url": server, "token": token, "worker_ip": "127.0.0.1", "worker_name": name,
        "worker_port": 10150 + at, "data_dir": str(folder / f"data-{name}"),
        "service_port_range": f"{40000 + 100 * at}-{40063 + 100 * at}",
        "resources": resources(facts, modern=modern),
    }  # fmt: skip
    if modern:
        settings |= {"worker_ifname": "lo", "disable_worker_metrics": True, **ray}
    else:
        settings |= {"disable_metrics": True, "ray_worker_port_range": "41200-41999"}
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(settings))
    return file


def resources(facts: dict[str, Any], *, modern: bool) -> dict[str, Any]:
    """A machine with 64 cores, half a TiB and the given cards."""
    title, size, capability, family = facts["gpu"]
    cards: list[dict[str, Any]] = []
    for index in range(facts["count"]):
        card: dict[str, Any] = {"name": title, "index": index, "vendor": "NVIDIA",
                                "memory": {"total": size, "is_unified_memory": False}}  # fmt: skip
        if modern:
            card |= {"vendor": "nvidia", "compute_capability": capability,
                     "arch_family": family, "runtime_version": "12.8"}  # fmt: skip
        cards.append(card)
    return {
        "cpu": {"total": 64}, "memory": {"total": 512 * GIB}, "swap": {"total": 0},
        "filesystem": [{"name": "/", "mount_point": "/", "mount_from": "/dev/sda", "total": 10**12}],
        "os": {"name": "Linux", "version": "1"},
        "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"},
        "uptime": {"uptime": 60, "boot_time": "2026-01-01T00:00:00Z"},
        "gpu_devices": cards,
    }  # fmt: skip
