"""Reads NVIDIA devices with NVML (nvidia-ml-py). Any call may fail, any device may be broken.

``nvml`` is the ``pynvml`` module, passed as an argument so that tests can replace it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelscan.core.gpu import Gpu, GpuProcess, Link, Problem
from modelscan.gpu.nvidia.build import CardReport, Slice, build
from modelscan.gpu.nvidia.table import complaint
from modelscan.gpu.reading import MAX_DEVICES, ParseError, Reading, text_of

SOURCE = "nvml"
_ABSURD = 1 << 43  # 8 TiB: Jetson's library reports success and garbage


def run_nvml() -> Reading:
    """All NVIDIA devices known to NVML.

    Raises ParseError if the library or the driver is missing.
    """
    try:
        import pynvml
    except ImportError as error:
        raise ParseError("nvml_missing", f"nvidia-ml-py cannot be imported: {error}") from None
    return read_nvml(pynvml)


def read_nvml(nvml: Any) -> Reading:
    """Like ``run_nvml``, with a given library."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise _refusal(nvml, error) from None
    try:
        return _read(nvml)
    except nvml.NVMLError as error:
        raise _refusal(nvml, error) from None
    finally:
        _call(nvml, nvml.nvmlShutdown)


def _refusal(nvml: Any, error: Exception) -> ParseError:
    parsed = complaint(f"Failed to initialize NVML: {error}")
    name = type(error).__name__
    if name.endswith(("LibraryNotFound", "DriverNotLoaded")):
        return ParseError(
            "driver_not_running", f"NVML: {error}", "load or install the NVIDIA driver"
        )
    if name.endswith("LibRmVersionMismatch") or "mismatch" in str(error).lower():
        parsed = complaint("Driver/library version mismatch")
    if name.endswith("NoPermission"):
        parsed = complaint("insufficient permissions")
    return parsed or ParseError("nvml_failed", f"NVML: {error}")


def _read(nvml: Any) -> Reading:
    driver = text_of(_text(_call(nvml, nvml.nvmlSystemGetDriverVersion)))
    count = min(int(nvml.nvmlDeviceGetCount()), MAX_DEVICES)
    cards, handles, problems = [], {}, []
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            problems.append(_unreachable(index, error))
            continue
        handles[index] = handle
        cards.append(_card(nvml, handle, index, driver))
    gpus, more = build(cards, SOURCE)
    gpus = tuple(_with_bandwidth(nvml, handles, gpu) for gpu in gpus)
    return Reading(SOURCE, gpus, (*problems, *more), _links(nvml, handles, gpus), driver)


def _unreachable(index: int, error: Exception) -> Problem:
    name = type(error).__name__
    if name.endswith("NoPermission"):
        return Problem(
            "no_permission",
            f"GPU {index} cannot be opened: no permission",
            "ls -l /dev/nvidia*",
        )
    return Problem(
        "broken_gpu",
        f"GPU {index} does not respond ({error}); it is excluded",
        "reset it with nvidia-smi -r, or reboot; then check: dmesg | grep -i xid",
    )


def _call(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result, or None if the driver or device does not support it."""
    try:
        return function(*arguments)
    except (nvml.NVMLError, AttributeError, TypeError, ValueError, UnicodeDecodeError):
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _card(nvml: Any, handle: Any, index: int, driver: str | None) -> CardReport:
    memory, memory_text = _memory(nvml, handle)
    capability = _call(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    pci = _call(nvml, nvml.nvmlDeviceGetPciInfo, handle)
    clock = _call(nvml, nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_MEM)
    usage = _call(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    mode = _call(nvml, nvml.nvmlDeviceGetMigMode, handle)
    device = getattr(pci, "pciDeviceId", 0) or 0
    card = CardReport(
        index=index,
        name=text_of(_text(_call(nvml, nvml.nvmlDeviceGetName, handle))),
        uuid=text_of(_text(_call(nvml, nvml.nvmlDeviceGetUUID, handle))),
        bus=text_of(_text(getattr(pci, "busId", None))),
        memory_text=memory_text,
        driver=driver,
        capability=f"{capability[0]}.{capability[1]}" if capability else None,
        utilization=getattr(usage, "gpu", None),
        pci_device_id=f"0x{device >> 16:04x}" if device else None,
        memory_clock=clock,
        mig_enabled=bool(mode and mode[0] == 1),
        processes=[(process, None) for process in _processes(nvml, handle)],
    )
    if memory is not None:
        card.total, card.used, card.free, card.reserved = memory
    if card.mig_enabled:
        card.slices = _slices(nvml, handle)
    return card


def _memory(nvml: Any, handle: Any) -> tuple[tuple[int, int, int, int | None] | None, str]:
    """((total, used, free, reserved), "") in bytes, or (None, the driver's error message).

    Version 2 reports driver-reserved memory separately; version 1 includes it in used memory.
    """
    message = "N/A"
    for arguments in ((getattr(nvml, "nvmlMemory_v2", None),), ()):
        if arguments == (None,):
            continue
        try:
            info = nvml.nvmlDeviceGetMemoryInfo(handle, *arguments)
        except nvml.NVMLError as error:
            message = "N/A" if type(error).__name__.endswith("NotSupported") else str(error)
            continue
        except (AttributeError, TypeError, ValueError):
            continue
        total, used, free = int(info.total), int(info.used), int(info.free)
        if 0 < total < _ABSURD and used <= total and free <= total:
            return (total, used, free, getattr(info, "reserved", None)), ""
    return None, message


def _processes(nvml: Any, handle: Any) -> list[GpuProcess]:
    by_pid: dict[int, GpuProcess] = {}
    for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for process in _call(nvml, getattr(nvml, name, lambda _: None), handle) or ():
            used = process.usedGpuMemory
            used_bytes = int(used) if isinstance(used, int) and 0 <= used < _ABSURD else None
            pid = int(process.pid)
            by_pid.setdefault(pid, GpuProcess(pid, _process_name(nvml, pid), used_bytes))
    return list(by_pid.values())


def _process_name(nvml: Any, pid: int) -> str | None:
    return text_of(_text(_call(nvml, nvml.nvmlSystemGetProcessName, pid)))


def _slices(nvml: Any, handle: Any) -> list[Slice]:
    slices = []
    for position in range(_call(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _call(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, position)
        if part is None:
            continue
        memory, _ = _memory(nvml, part)
        total, used, free, _reserved = memory or (None, None, None, None)
        name = _text(_call(nvml, nvml.nvmlDeviceGetName, part)) or ""
        attributes = _call(nvml, nvml.nvmlDeviceGetAttributes, part)
        slices.append(
            Slice(
                gpu_instance=_call(nvml, nvml.nvmlDeviceGetGpuInstanceId, part),
                compute_instance=_call(nvml, nvml.nvmlDeviceGetComputeInstanceId, part),
                total=total, used=used, free=free,
                multiprocessors=getattr(attributes, "multiprocessorCount", None),
                profile=name.rpartition(" MIG ")[2] if " MIG " in name else None,
                uuid=text_of(_text(_call(nvml, nvml.nvmlDeviceGetUUID, part))),
            )
        )  # fmt: skip
    return slices


def _with_bandwidth(nvml: Any, handles: dict[int, Any], gpu: Gpu) -> Gpu:
    """Bandwidth = memory clock x 2 x bus width, from the driver, whatever the card's name."""
    from dataclasses import replace

    handle = handles.get(gpu.vendor_index if gpu.vendor_index is not None else -1)
    if handle is None or gpu.mig or gpu.unified_memory:
        return gpu
    clock = gpu.memory_clock_mhz
    bus = _call(nvml, nvml.nvmlDeviceGetMemoryBusWidth, handle)
    if not clock or not bus or not 32 <= bus <= 16384:
        return gpu
    return replace(gpu, memory_bandwidth_bytes_per_s=int(clock) * 2 * 10**6 * int(bus) // 8)


def _links(nvml: Any, handles: dict[int, Any], gpus: tuple[Gpu, ...]) -> tuple[Link, ...]:
    """NVLink or PCIe between each pair of whole cards (at most 32 cards)."""
    whole = [gpu for gpu in gpus if not gpu.mig][:32]
    links = []
    for position, one in enumerate(whole):
        for other in whole[position + 1 :]:
            pair = (handles[one.vendor_index or 0], handles[other.vendor_index or 0])
            links.append(Link(one.index, other.index, _link(nvml, *pair)))
    return tuple(links)


def _link(nvml: Any, one: Any, other: Any) -> str:
    caps = getattr(nvml, "NVML_P2P_CAPS_INDEX_NVLINK", 2)
    status = _call(nvml, nvml.nvmlDeviceGetP2PStatus, one, other, caps)
    if status == 0:  # NVML_P2P_STATUS_OK
        return "nvlink"
    level = _call(nvml, nvml.nvmlDeviceGetTopologyCommonAncestor, one, other)
    node = getattr(nvml, "NVML_TOPOLOGY_NODE", 40)
    return "system" if isinstance(level, int) and level >= node else "pcie"
