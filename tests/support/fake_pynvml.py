"""A stand-in for the ``pynvml`` module: devices from a JSON file, errors as the real ones.

Used in two ways: ``build(...)`` for tests in this process; copied as ``pynvml.py`` into a folder on
PYTHONPATH for whole runs (then FAKE_NVML names the JSON file).
"""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class NVMLError_GpuIsLost(NVMLError):
    pass


class NVMLError_NoPermission(NVMLError):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


class NVMLError_LibRmVersionMismatch(NVMLError):
    pass


class NVMLError_NotFound(NVMLError):
    pass


_ERRORS = {
    "NotSupported": NVMLError_NotSupported,
    "GpuIsLost": NVMLError_GpuIsLost,
    "NoPermission": NVMLError_NoPermission,
    "LibraryNotFound": NVMLError_LibraryNotFound,
    "LibRmVersionMismatch": NVMLError_LibRmVersionMismatch,
}
_MESSAGES = {  # as nvidia-ml-py words them
    "NotSupported": "Not Supported",
    "GpuIsLost": "GPU is lost",
    "NoPermission": "Insufficient Permissions",
    "LibraryNotFound": "NVML Shared Library Not Found",
    "LibRmVersionMismatch": "RM has detected an NVML/RM version mismatch.",
}
NVML_CLOCK_MEM = 2
NVML_P2P_CAPS_INDEX_NVLINK = 2
NVML_TOPOLOGY_NODE = 40
nvmlMemory_v2 = 33554472
_state: dict[str, Any] = {}


def _load() -> dict[str, Any]:
    if "FAKE_NVML" in os.environ and not _state:
        with open(os.environ["FAKE_NVML"], encoding="utf-8") as handle:
            _state.update(json.load(handle))
    return _state


def build(**state: Any) -> Any:
    """This module with that state; ``devices`` is a list of dictionaries."""
    import sys

    _state.clear()
    _state.update(state)
    return sys.modules[__name__]


def _raise(name: str | None) -> None:
    if name:
        raise _ERRORS[name](_MESSAGES[name])


def nvmlInit() -> None:
    state = _load()
    time.sleep(state.get("init_seconds", 0))
    _raise(state.get("init_error"))


def nvmlShutdown() -> None:
    return None


def nvmlSystemGetDriverVersion() -> str:
    return str(_state.get("driver", "575.51"))


def nvmlDeviceGetCount() -> int:
    return len(_state["devices"])


def nvmlDeviceGetHandleByIndex(index: int) -> dict[str, Any]:
    device: dict[str, Any] = _state["devices"][index]
    _raise(device.get("error"))
    return device


def _field(handle: dict[str, Any], name: str) -> Any:
    if name not in handle:
        raise NVMLError_NotSupported("Not Supported")
    return handle[name]


def nvmlDeviceGetName(handle: dict[str, Any]) -> Any:
    return _field(handle, "name")


def nvmlDeviceGetUUID(handle: dict[str, Any]) -> Any:
    return _field(handle, "uuid")


def nvmlDeviceGetMemoryInfo(handle: dict[str, Any], version: int | None = None) -> Any:
    memory = _field(handle, "memory")
    if isinstance(memory, str):
        _raise(memory)
    if version is not None:
        if handle.get("v1_only"):
            raise NVMLError_NotSupported("Not Supported")
        return SimpleNamespace(**memory)
    used = memory["used"] + memory.get("reserved", 0)
    return SimpleNamespace(total=memory["total"], used=used, free=memory["free"])


def nvmlDeviceGetCudaComputeCapability(handle: dict[str, Any]) -> Any:
    return tuple(_field(handle, "capability"))


def nvmlDeviceGetPciInfo(handle: dict[str, Any]) -> Any:
    return SimpleNamespace(busId=_field(handle, "bus"), pciDeviceId=handle.get("pci", 0))


def nvmlDeviceGetUtilizationRates(handle: dict[str, Any]) -> Any:
    return SimpleNamespace(gpu=_field(handle, "utilization"))


def nvmlDeviceGetMaxClockInfo(handle: dict[str, Any], kind: int) -> Any:
    return _field(handle, "memory_clock")


def nvmlDeviceGetMemoryBusWidth(handle: dict[str, Any]) -> Any:
    return _field(handle, "bus_width")


def nvmlDeviceGetComputeRunningProcesses(handle: dict[str, Any]) -> Any:
    return [SimpleNamespace(**process) for process in handle.get("processes", [])]


def nvmlDeviceGetGraphicsRunningProcesses(handle: dict[str, Any]) -> Any:
    return [SimpleNamespace(**process) for process in handle.get("graphics", [])]


def nvmlSystemGetProcessName(pid: int) -> str:
    names = _state.get("process_names", {})
    if str(pid) not in names:
        raise NVMLError_NotFound("Not Found")
    return str(names[str(pid)])


def nvmlDeviceGetMigMode(handle: dict[str, Any]) -> Any:
    return _field(handle, "mig_mode")


def nvmlDeviceGetMaxMigDeviceCount(handle: dict[str, Any]) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: dict[str, Any], index: int) -> Any:
    parts = handle.get("mig", [])
    if index >= len(parts):
        raise NVMLError_NotFound("Not Found")
    return parts[index]


def nvmlDeviceGetGpuInstanceId(handle: dict[str, Any]) -> Any:
    return _field(handle, "gi")


def nvmlDeviceGetComputeInstanceId(handle: dict[str, Any]) -> Any:
    return _field(handle, "ci")


def nvmlDeviceGetAttributes(handle: dict[str, Any]) -> Any:
    return SimpleNamespace(multiprocessorCount=_field(handle, "sms"))


def nvmlDeviceGetP2PStatus(one: dict[str, Any], other: dict[str, Any], caps: int) -> int:
    return 0 if other["uuid"] in one.get("nvlink", []) else 5


def nvmlDeviceGetTopologyCommonAncestor(one: dict[str, Any], other: dict[str, Any]) -> int:
    return 50 if one.get("numa", 0) != other.get("numa", 0) else 30
