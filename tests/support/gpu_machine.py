"""Machines to probe: a folder with /proc and /sys, programs that say what a test wants."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelscan.gpu.probe_host import ProbeHost
from modelscan.gpu.tools import ToolOutput

MEMINFO = "MemTotal:       {total} kB\nMemFree:        1000 kB\nMemAvailable:   {free} kB\n"
MEMINFO += "SwapTotal:      16000000 kB\nSwapFree:       16000000 kB\n"


@dataclass
class FakeMachine:
    """Write files below ``root``; ``said`` maps ``tool argument…`` to what it prints."""

    root: Path
    said: dict[str, ToolOutput] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def memory(self, total_kb: int, free_kb: int) -> None:
        self.write("/proc/meminfo", MEMINFO.format(total=total_kb, free=free_kb))

    def pci(self, bus: str, vendor: int, device: int, kind: int = 0x030000) -> None:
        folder = f"/sys/bus/pci/devices/{bus}"
        self.write(f"{folder}/vendor", f"0x{vendor:04x}\n")
        self.write(f"{folder}/device", f"0x{device:04x}\n")
        self.write(f"{folder}/class", f"0x{kind:06x}\n")

    def amd_card(
        self, number: int, bus: str, device: int, *, vram: int, used: int = 0, gtt: int = 0,
        revision: int = 0, product: str | None = None,
    ) -> None:  # fmt: skip
        self.pci(bus, 0x1002, device)
        folder = f"/sys/class/drm/card{number}/device"
        files = {
            "vendor": "0x1002", "device": f"0x{device:04x}", "revision": f"0x{revision:02x}",
            "uevent": f"DRIVER=amdgpu\nPCI_SLOT_NAME={bus}\n", "mem_info_vram_total": str(vram),
            "mem_info_vram_used": str(used), "mem_info_gtt_total": str(gtt),
            "gpu_busy_percent": "3",
        }  # fmt: skip
        if product:
            files["product_name"] = product
        for name, text in files.items():
            self.write(f"{folder}/{name}", text + "\n")

    def kfd_node(
        self, number: int, gpu_id: int, version: int, location: int, peers: Sequence[int] = ()
    ) -> None:
        folder = f"/sys/class/kfd/kfd/topology/nodes/{number}"
        simd = 80 if version else 0
        self.write(
            f"{folder}/properties",
            f"cpu_cores_count 0\nsimd_count {simd}\ngfx_target_version {version}\n"
            f"location_id {location}\ndomain 0\n",
        )
        self.write(f"{folder}/gpu_id", f"{gpu_id}\n")
        for position, peer in enumerate(peers):
            text = f"type 11\nnode_from {number}\nnode_to {peer}\n"
            self.write(f"{folder}/io_links/{position}/properties", text)

    def tool(self, command: str, output: str | ToolOutput) -> None:
        """``command``: ``nvidia-smi -q -x``. The program is then on PATH."""
        name = command.split()[0]
        path = self.root / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\nexit 3\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.said[command] = output if isinstance(output, ToolOutput) else ToolOutput(output)

    def _run(self, argv: Sequence[str], *, timeout_s: float) -> ToolOutput:
        command = " ".join([Path(argv[0]).name, *argv[1:]])
        self.asked.append(command)
        return self.said.get(command, ToolOutput("", "unknown option", 2))

    @property
    def machine(self) -> ProbeHost:
        environ = {"PATH": str(self.root / "bin"), "MODELSCAN_HOST_ROOT": "x", **self.environ}
        return ProbeHost(root=self.root, environ=environ, system="linux", run=self._run)


def fake_program(folder: Path, name: str, script: str) -> None:
    """A shell script on PATH that stands for a vendor's program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
