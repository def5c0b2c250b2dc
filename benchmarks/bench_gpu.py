"""Probes side by side: modelscan, llmfit, whichllm and gpustat on the same stand-in machines.

Each machine is a folder of programs on PATH (and, where a C compiler is there, a stand-in
libnvidia-ml for the tools that only know NVML). An answer is right when the number of usable
devices, each device's memory (within 2 %) and a word of its name are; ``speed`` counts bandwidths
within 5 % (llmfit and gpustat print none). gpustat knows only NVML and is asked only where a
machine is given as a library. ``python -m benchmarks.bench_gpu [--no-peers]``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_fakes import Scenario
from benchmarks.gpu_scenarios import made, recorded

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".cache" / "peers-gpu"
PACKAGES = ("llmfit", "whichllm", "gpustat")
LIMIT_S = 30
_WHICHLLM = (
    "import json\nfrom whichllm.hardware.detector import detect_hardware\n"
    "print(json.dumps([[g.name, g.vram_bytes, g.memory_bandwidth_gbps] "
    "for g in detect_hardware().gpus]))"
)


@dataclass(frozen=True)
class Device:
    name: str
    mib: float | None
    bandwidth: float | None = None


@dataclass(frozen=True)
class Run:
    """What a tool said of a machine, and what it took."""

    devices: list[Device] | None
    wall_s: float
    cpu_s: float


Reader = Callable[[Any], list[Device]]


def ours(document: Any) -> list[Device]:
    """Devices an engine is offered, or that are at least named with their memory."""
    usable = [g for g in document["gpus"] if g["backends"] or g["vendor"] not in ("nvidia", "amd")]
    return [
        Device(
            g["name"],
            g["memory_bytes"] and g["memory_bytes"] / 2**20,
            (g["memory_bandwidth_bytes_per_s"] or 0) / 1e9 or None,
        )
        for g in usable
    ]


def llmfit(document: Any) -> list[Device]:
    found = []
    for gpu in document["system"]["gpus"]:
        size = gpu.get("vram_gb")
        for _ in range(int(gpu.get("count") or 1)):
            found.append(Device(str(gpu.get("name")), size and size * 1024))
    return found


def whichllm(document: Any) -> list[Device]:
    return [Device(name, size / 2**20, speed) for name, size, speed in document]


def gpustat(document: Any) -> list[Device]:
    return [Device(g["name"], g["memory.total"]) for g in document["gpus"]]


def install_peers() -> Path | None:
    """The peers' bin folder, or None where they do not install."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
    return PEERS / "bin" if subprocess.run(pip, check=False).returncode == 0 else None


def tools(peers: Path | None) -> dict[str, tuple[list[str], Reader]]:
    """Command and reader by tool."""
    found: dict[str, tuple[list[str], Reader]] = {
        "modelscan": ([sys.executable, "-m", "modelscan", "gpu", "--json"], ours)
    }
    if peers is not None:
        found["llmfit"] = ([str(peers / "llmfit"), "--json", "system"], llmfit)
        found["whichllm"] = ([str(peers / "python"), "-c", _WHICHLLM], whichllm)
        found["gpustat"] = ([str(peers / "gpustat"), "--json"], gpustat)
    return found


def build_nvml(folder: Path) -> Path | None:
    """The stand-in library, compiled; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "libnvidia-ml.so.1"
    source = ROOT / "tests" / "support" / "fake_nvml.c"
    done = subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)],
                          check=False, capture_output=True)  # fmt: skip
    return folder if done.returncode == 0 else None


def environment(scenario: Scenario, folder: Path, library: Path | None) -> dict[str, str]:
    scenario.install(folder / "bin")
    env = {
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8",
        "MODELSCAN_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    if library is not None and scenario.nvml:
        devices = folder / "devices"
        devices.write_text("\n".join(scenario.nvml) + "\n", encoding="utf-8")
        env |= {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_DEVICES": str(devices)}
    return env


def run(command: list[str], read: Reader, env: dict[str, str]) -> Run:
    """One run, bounded; devices None where the tool failed, hung or gave no JSON."""
    started, before = time.monotonic(), os.times()
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=LIMIT_S, check=False)
        devices: list[Device] | None = read(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        devices = None
    except (ValueError, KeyError, TypeError):
        devices = None
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return Run(devices, time.monotonic() - started, spent)


def right(devices: list[Device] | None, scenario: Scenario) -> bool:
    """Count, memory and names agree with the truth."""
    if devices is None or len(devices) != len(scenario.truth):
        return False
    for device, (word, mib, _) in zip(devices, scenario.truth, strict=True):
        if word.lower() not in device.name.lower():
            return False
        if mib is not None and (device.mib is None or abs(device.mib / mib - 1) > 0.02):
            return False
    return True


def speeds(devices: list[Device] | None, scenario: Scenario) -> tuple[int, int]:
    """(bandwidths within 5 %, bandwidths asked for)."""
    asked = [(i, truth[2]) for i, truth in enumerate(scenario.truth) if truth[2] is not None]
    good = 0
    for i, wanted in asked:
        told = devices[i].bandwidth if devices and i < len(devices) else None
        good += told is not None and wanted is not None and abs(told / wanted - 1) <= 0.05
    return good, len(asked)


def said(result: Run) -> str:
    """A tool's answer in few words."""
    if result.devices is None:
        return "failed" if result.wall_s < LIMIT_S else "hung"
    kinds = dict.fromkeys(f"{d.name} {d.mib:.0f}" if d.mib else d.name for d in result.devices)
    return f"{len(result.devices)}: " + "; ".join(list(kinds)[:3]) if kinds else "0"


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the table; exit 1 when modelscan is wrong anywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args(None if arguments is None else list(arguments))
    table = tools(None if options.no_peers else install_peers())
    score = {name: [0, 0, 0] for name in table}  # right, right speeds, asked speeds
    walls: dict[str, list[float]] = {name: [] for name in table}
    cpus: dict[str, list[float]] = {name: [] for name in table}
    scenarios = made() + recorded()
    for scenario in scenarios:
        print(f"\n{scenario.name}")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "lib").mkdir()
            env = environment(scenario, Path(folder), build_nvml(Path(folder) / "lib"))
            for name, (command, read) in table.items():
                if name == "gpustat" and "FAKE_NVML_DEVICES" not in env:
                    continue  # it knows only NVML, which this machine is not given as
                result = run(command, read, env)
                ok = right(result.devices, scenario)
                good, asked = speeds(result.devices, scenario)
                score[name] = [a + b for a, b in zip(score[name], (ok, good, asked), strict=True)]
                walls[name].append(result.wall_s)
                cpus[name].append(result.cpu_s)
                print(f"  {name:<10} {'right' if ok else 'WRONG':<6} {said(result)[:100]}")
    print(f"\n{'TOOL':<10} {'RIGHT':>9} {'SPEED':>8} {'CPU ms':>8} {'WALL ms':>8}   (medians)")
    for name, (good, fast, asked) in score.items():
        cpu, wall = statistics.median(cpus[name]) * 1e3, statistics.median(walls[name]) * 1e3
        machines, spent = f"{good:>4}/{len(cpus[name]):<4}", f"{cpu:>8.0f} {wall:>8.0f}"
        print(f"{name:<10} {machines} {fast:>3}/{asked:<4} {spent}")
    return 0 if score["modelscan"][0] == len(scenarios) else 1


if __name__ == "__main__":
    sys.exit(main())
