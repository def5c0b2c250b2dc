"""Probes NVIDIA GPUs: NVML first, else nvidia-smi, else the device tree of a Jetson."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, Host, Problem
from modelscan.gpu.detect_format import parse_with_fallback
from modelscan.gpu.nvidia.csv import APPS, OLD_QUERY, QUERY, parse_apps, parse_csv, parse_list
from modelscan.gpu.nvidia.table import complaint, parse_table, parse_topology
from modelscan.gpu.nvidia.xml import parse_xml
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError, Reading
from modelscan.gpu.tools import HOPELESS, tool_failure
from modelscan.gpu.unified import with_host_memory

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

_LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_DIRS = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
    "/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib", "/usr/lib/nvidia",
)  # fmt: skip
_SLOW_S = 3.0  # without persistence mode the driver is loaded for each program
_SIGNS = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia/version",
    "/dev/dxg",
    "/dev/nvmap",
    "/dev/nvhost-gpu",
)


def run_nvidia(machine: ProbeHost, host: Host, *, on_pci: bool = False) -> ProbeResult:
    """Devices and problems; returns at once without any sign of an NVIDIA GPU."""
    if machine.system == "darwin":
        return ProbeResult()
    signs = [sign for sign in _SIGNS if machine.exists(sign)]
    library, tool = _library(machine), machine.tool("nvidia-smi")
    if not (signs or library or tool or on_pci):
        return ProbeResult()
    problems: list[Problem] = []
    in_process = library or (bool(signs) and str(machine.root) == "/")
    reading = _reading(machine, tool, problems, nvml=in_process)
    if reading is None:
        jetson = _jetson(machine, host)
        if jetson is not None:
            return ProbeResult((jetson,))
        return ProbeResult((), tuple(_explain(machine, problems, signs, on_pci)))
    gpus = tuple(_with_board(gpu, machine, host) for gpu in reading.gpus)
    return ProbeResult(gpus, (*_relevant(problems), *reading.problems), reading.links)


def _reading(
    machine: ProbeHost, tool: str | None, problems: list[Problem], *, nvml: bool
) -> Reading | None:
    """NVML's reading, else nvidia-smi's; a driver that hangs is not called again."""
    reading = _try_nvml(machine, problems) if nvml else None
    if reading is not None or tool is None or any(p.code == "nvml_hangs" for p in problems):
        return reading
    return _try_tool(machine, tool, problems)


def _library(machine: ProbeHost) -> bool:
    library_dirs = [d for d in machine.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if d]
    if any(os.path.exists(f"{d}/{_LIBRARY}") for d in library_dirs):  # noqa: PTH110  start-up is measured
        return True
    return str(machine.root) == "/" and any(
        machine.exists(f"{folder}/{_LIBRARY}") for folder in _LIBRARY_DIRS
    )


def _try_nvml(machine: ProbeHost, problems: list[Problem]) -> Reading | None:
    """Call NVML in a thread, so that a hanging driver does not block modelscan."""
    import threading
    import time

    from modelscan.gpu.nvidia.nvml import run_nvml

    result: list[Reading | ParseError] = []

    def attempt() -> None:
        try:
            result.append(run_nvml())
        except ParseError as refusal:
            result.append(refusal)

    started = time.monotonic()
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(machine.timeout_s)
    seconds = time.monotonic() - started
    if not result:
        message = f"the NVIDIA driver did not respond within {machine.timeout_s:g} s"
        problems.append(Problem("nvml_hangs", message, "check: dmesg | grep -i -e nvrm -e xid"))
        return None
    if isinstance(result[0], ParseError):
        problems.append(result[0].problem())
        return None
    if seconds > _SLOW_S:
        message = f"the NVIDIA driver needed {seconds:.1f} s to respond"
        problems.append(Problem("slow_driver", message, "keep it loaded: sudo nvidia-smi -pm 1"))
    return result[0]


def _try_tool(machine: ProbeHost, tool: str, problems: list[Problem]) -> Reading | None:
    """Run nvidia-smi for XML, then CSV, then the table, until one can be parsed."""
    refusals: list[ParseError] = []
    for arguments, parse in (
        (("-q", "-x"), parse_xml),
        ((f"--query-gpu={QUERY}", "--format=csv"), parse_csv),
        ((f"--query-gpu={OLD_QUERY}", "--format=csv"), parse_csv),
        ((), parse_table),
    ):
        output = machine.run([tool, *arguments], timeout_s=machine.timeout_s)
        failure = tool_failure("nvidia-smi", output, machine.timeout_s)
        try:
            if failure is not None and not output.stdout.strip():
                raise failure
            reading = parse_with_fallback(
                parse, output.stdout, " ".join(["nvidia-smi", *arguments])
            )
            return _finish(machine, tool, reading, refusals)
        except ParseError as refusal:
            parsed_failure = complaint(output.stdout + output.stderr)
            refusals.append(parsed_failure or failure or refusal)
            if failure is not None and failure.code in HOPELESS:
                break
            if parsed_failure is not None and parsed_failure.code != "broken_gpu":
                break
    problems += [refusals[0].problem()]
    return None


def _finish(machine: ProbeHost, tool: str, reading: Reading, refusals: list[ParseError]) -> Reading:
    """Add processes, UUIDs of MIG instances, links, and problems of earlier attempts."""
    broken = tuple(r.problem() for r in refusals if r.code == "broken_gpu")[:1]
    reading = replace(reading, problems=(*reading.problems, *broken))
    if refusals and not any(gpu.processes for gpu in reading.gpus):  # no XML, which has them
        output = machine.run([tool, *APPS], timeout_s=machine.timeout_s)
        processes = parse_apps(output.stdout)
        gpus = (replace(gpu, processes=processes.get(gpu.uuid or "", ())) for gpu in reading.gpus)
        reading = replace(reading, gpus=tuple(gpus))
    if any(gpu.mig and not gpu.uuid for gpu in reading.gpus):
        output = machine.run([tool, "-L"], timeout_s=machine.timeout_s)
        reading = replace(reading, gpus=with_mig_uuids(reading.gpus, output.stdout))
    if len(reading.gpus) > 1 and not any(gpu.mig for gpu in reading.gpus):
        output = machine.run([tool, "topo", "-m"], timeout_s=machine.timeout_s)
        reading = replace(reading, links=parse_topology(output.stdout))
    return reading


def with_mig_uuids(gpus: tuple[Gpu, ...], listing: str) -> tuple[Gpu, ...]:
    """Add UUIDs and profiles from ``nvidia-smi -L`` to MIG instances, matched by card and
    number.
    """
    try:
        listed = parse_list(listing).gpus
    except ParseError:
        return gpus
    instances = {(g.vendor_index, g.mig_index): g for g in listed if g.mig}
    merged = []
    for gpu in gpus:
        instance = instances.get((gpu.vendor_index, gpu.mig_index)) if gpu.mig else None
        if instance is not None:
            gpu = replace(gpu, uuid=gpu.uuid or instance.uuid, mig=instance.mig, name=instance.name)
        merged.append(gpu)
    return tuple(merged)


def _with_board(gpu: Gpu, machine: ProbeHost, host: Host) -> Gpu:
    """Set a unified chip's memory to the host's, and a Jetson's name to its board's."""
    from modelscan.gpu.facts import lookup

    facts = lookup(gpu.name)
    if gpu.unified_memory or (facts is not None and facts.unified_memory and not gpu.mig):
        board = _board(machine)
        board_gpu = replace(gpu, name=board) if board and "jetson" in board.lower() else gpu
        return with_host_memory(board_gpu, host)
    return gpu


def _board(machine: ProbeHost) -> str | None:
    text = (machine.read("/proc/device-tree/model", 256) or "").replace("\0", "").strip()
    return text or None


def _jetson(machine: ProbeHost, host: Host) -> Gpu | None:
    board = _board(machine)
    if not board or "jetson" not in board.lower():
        return None
    gpu = Gpu(0, board, "nvidia", None, None, "device-tree", vendor_index=0)
    return with_host_memory(gpu, host)


def _relevant(problems: list[Problem]) -> list[Problem]:
    """NVML's failures that matter although nvidia-smi has succeeded."""
    return [p for p in problems if p.code in ("driver_mismatch", "nvml_hangs", "slow_driver")]


def _explain(
    machine: ProbeHost, problems: list[Problem], signs: list[str], on_pci: bool
) -> list[Problem]:
    """The most specific problem."""
    loaded = "/proc/driver/nvidia/version" in signs
    control = machine.path("/dev/nvidiactl")
    specific = [p for p in problems if p.code not in ("nvml_failed", "driver_not_running",
                                                     "nvml_missing", "no_devices")]  # fmt: skip
    if specific:
        return specific[:1]
    if loaded and "/dev/nvidiactl" not in signs:
        return [
            Problem(
                "container_without_device",
                "the NVIDIA driver is loaded, but this container has no access to its devices",
                "docker run --gpus all …, or request nvidia.com/gpu in the pod",
            )
        ]
    if "/dev/nvidiactl" in signs and not os.access(control, os.R_OK | os.W_OK):
        refusal = complaint("insufficient permissions")
        return [refusal.problem()] if refusal else []
    if on_pci and not loaded:
        return [
            Problem(
                "driver_missing",
                "an NVIDIA GPU is on the PCI bus but no NVIDIA driver is loaded",
                "install the NVIDIA driver (nouveau cannot compute), then reboot",
            )
        ]
    return problems[:1] if (signs and "/dev/dxg" not in signs) or machine.tool("nvidia-smi") else []
