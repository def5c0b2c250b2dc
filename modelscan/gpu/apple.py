"""Apple silicon: one GPU that uses the machine's memory, up to Metal's working-set limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, Host
from modelscan.core.units import MIB
from modelscan.gpu.probe_result import ProbeResult
from modelscan.gpu.reading import ParseError, Reading, as_dict, dicts, json_in, size_bytes, text_of
from modelscan.gpu.unified import apple_working_set

if TYPE_CHECKING:
    from modelscan.gpu.probe_host import ProbeHost

SOURCE = "system_profiler"


def run_apple(machine: ProbeHost, host: Host) -> ProbeResult:
    """The GPU of an Apple chip, from sysctl alone, because system_profiler needs seconds."""
    if machine.system != "darwin" or not (host.cpu_name or "").startswith("Apple"):
        return ProbeResult()
    argv = ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"]
    set_mib = machine.run(argv, timeout_s=machine.timeout_s).stdout.strip()
    limit = int(set_mib) * MIB if set_mib.isdecimal() and int(set_mib) > 0 else None
    gpu = apple_gpu(host.cpu_name or "Apple GPU", host.memory_bytes, host.free_bytes, limit)
    return ProbeResult((gpu,))


def apple_gpu(
    name: str, memory_bytes: int | None, free_bytes: int | None = None, limit: int | None = None
) -> Gpu:
    """The GPU of an Apple chip.

    ``limit``: the value of ``iogpu.wired_limit_mb`` in bytes; None: Metal's default limit.
    """
    usable = limit
    if usable is None and memory_bytes is not None:
        usable = apple_working_set(memory_bytes)
    free = None if usable is None or free_bytes is None else min(usable, free_bytes)
    return Gpu(
        index=0, name=name, vendor="apple", memory_bytes=usable, free_bytes=free, source="sysctl",
        unified_memory=True, vendor_index=0, shared_bytes=memory_bytes,
    )  # fmt: skip


def parse_system_profiler(text: str) -> Reading:
    """Parse ``system_profiler`` for displays and hardware, in JSON or text. Raises ParseError."""
    if text.lstrip()[:1] in ("{", "["):
        names, memory = _from_json(text)
    else:
        names = re.findall(r"^\s{0,12}Chipset Model: (.{1,80})$", text[:200_000], re.MULTILINE)
        match = re.search(r"^\s{0,12}Memory: (\d{1,4} GB)$", text[:200_000], re.MULTILINE)
        memory = size_bytes(match.group(1)) if match else None
    apple = [name for name in names if name.startswith("Apple")]
    if not names:
        raise ParseError("no_devices", "system_profiler lists no display device")
    if not apple:
        raise ParseError(
            "unsupported_gpu", f"{names[0]}: no engine supports the GPU of an Intel Mac"
        )
    gpu = apple_gpu(apple[0].strip(), memory)
    return Reading(SOURCE, (gpu,))


def _from_json(text: str) -> tuple[list[str], int | None]:
    document = as_dict(json_in(text, SOURCE))
    displays = dicts(document.get("SPDisplaysDataType") or [])
    names = [n for d in displays if (n := text_of(d.get("sppci_model") or d.get("_name")))]
    hardware = next(dicts(document.get("SPHardwareDataType") or []), {})
    return names, size_bytes(hardware.get("physical_memory"))
