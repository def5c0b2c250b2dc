"""Stand-ins for vendors' programs that answer whatever options a tool asks with.

A scenario is a machine: NVIDIA boards (dictionaries by nvidia-smi's field names, sizes in MiB),
a rocm-smi document, or a way to fail; and what is true of it.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Runs on its own: the scenario's JSON lies beside it.
_NVIDIA_SMI = r"""
import json, pathlib, sys, time
here = pathlib.Path(__file__).resolve().parent
state = json.loads((here / "nvidia.json").read_text())
args = sys.argv[1:]
fail = state.get("fail")
if fail == "hang":
    time.sleep(600)
if fail == "huge":
    for _ in range(100):
        sys.stdout.write("x" * 1_000_000)
    sys.exit(0)
if fail:
    print(fail)
    sys.exit(9)
boards = state["boards"]
text = state.get("text", {})
query = next((a.split("=", 1)[1] for a in args if a.startswith("--query-gpu=")), None)
style = next((a.split("=", 1)[1] for a in args if a.startswith("--format=")), "csv")
if " ".join(args) in text:
    print(text[" ".join(args)])
elif query:
    names = query.split(",")
    for name in names:
        if boards and name not in boards[0]:
            print(f'Field "{name}" is not a valid field to query.')
            sys.exit(2)
    units = {n: " [MiB]" if n.startswith("memory.") else "" for n in names}
    if "noheader" not in style:
        print(", ".join(n + units[n] for n in names))
    for board in boards:
        cells = []
        for n in names:
            value = board[n]
            unit = " MiB" if n.startswith("memory.") and isinstance(value, int) else ""
            cells.append(str(value) + ("" if "nounits" in style else unit))
        print(", ".join(cells))
elif args[:1] == ["-L"]:
    for i, board in enumerate(boards):
        print(f"GPU {i}: {board['name']} (UUID: {board['uuid']})")
        for j, (profile, uuid) in enumerate(state.get("mig", {}).get(str(i), [])):
            print(f"  MIG {profile}     Device  {j}: (UUID: {uuid})")
else:
    sys.exit(2)
"""
_ROCM_SMI = r"""
import json, pathlib, sys
here = pathlib.Path(__file__).resolve().parent
state = json.loads((here / "rocm.json").read_text())
print(state.get("before", ""), end="")
asked = set(sys.argv[1:])
kinds = [k for k in ("vram", "vis_vram", "gtt") if k in asked]
def wanted(key):
    low = key.lower()
    if "memory (b)" in low:
        return "--showmeminfo" in asked and low.split()[0] in (kinds or ["vram", "vis_vram", "gtt"])
    if low.startswith(("card", "device name", "gfx", "guid", "node id", "subsystem")):
        return "--showproductname" in asked
    if low in ("gpu id", "device id", "device rev"):
        return "--showid" in asked or "-i" in asked
    option = {"pci bus": "--showbus", "gpu use (%)": "--showuse", "unique id": "--showuniqueid",
              "driver version": "--showdriverversion"}.get(low)
    return option in asked if option else "-a" in asked or low.startswith("(topology)")
cards = {name: {k: v for k, v in card.items() if "-a" in asked or wanted(k)}
         for name, card in state["cards"].items()}
cards = {name: card for name, card in cards.items() if card}
if "--json" in sys.argv:
    print(json.dumps(cards))
elif "--csv" in sys.argv:
    keys = list(dict.fromkeys(k for name, c in cards.items() if name != "system" for k in c))
    print(",".join(["device", *keys]))
    for name, card in cards.items():
        if name != "system":
            print(",".join([name, *(str(card.get(k, "")) for k in keys)]))
else:
    print("=" * 30 + " ROCm System Management Interface " + "=" * 30)
    for name, card in cards.items():
        if name != "system":
            for key, value in card.items():
                print(f"GPU[{name[4:]}]\t\t: {key}: {value}")
"""


Truth = tuple[str, int | None, float | None]


@dataclass
class Scenario:
    """``truth``: (word of the name, MiB, GB/s or None) per device that can be used."""

    name: str
    truth: list[Truth]
    nvidia: dict[str, Any] | None = None
    rocm: dict[str, Any] | None = None
    npu: str | None = None
    nvml: list[str] = field(default_factory=list)  # lines of the stand-in library

    def install(self, folder: Path) -> None:
        """Write the programs of this machine into ``folder``."""
        folder.mkdir(parents=True)
        if self.nvidia is not None:
            _program(folder, "nvidia-smi", _NVIDIA_SMI, "nvidia.json", self.nvidia)
        if self.rocm is not None:
            _program(folder, "rocm-smi", _ROCM_SMI, "rocm.json", self.rocm)
        if self.npu is not None:
            script = f"import pathlib\nprint(pathlib.Path({str(folder / 'npu.txt')!r}).read_text())"
            _program(folder, "npu-smi", script, "npu.json", {})
            (folder / "npu.txt").write_text(self.npu)


def _program(folder: Path, name: str, script: str, data: str, state: dict[str, Any]) -> None:
    (folder / data).write_text(json.dumps(state), encoding="utf-8")
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    path.chmod(0o755)


def board(name: str, total: int | str, **more: Any) -> dict[str, Any]:
    """Fields of one card as --query-gpu knows them."""
    number = isinstance(total, int)
    fields = {
        "index": 0, "name": name, "uuid": "GPU-00000000-1111-2222-3333-444444444444",
        "pci.bus_id": "00000000:01:00.0", "driver_version": "575.64.03", "count": 1,
        "memory.total": total, "memory.used": 600 if number else total,
        "memory.reserved": 400 if number else total,
        "memory.free": int(total) - 1000 if number else total, "compute_cap": "8.9",
        "utilization.gpu": "3 %", "mig.mode.current": "[N/A]", "clocks.max.memory": "10501 MHz",
        "addressing_mode": "HMM", "utilization.memory": "1 %", "temperature.gpu": "40",
    }  # fmt: skip
    return {**fields, **more}


def xml(boards: list[dict[str, Any]], mig: dict[int, str] | None = None) -> str:
    """nvidia-smi -q -x of the boards."""
    parts = []
    for i, card in enumerate(boards):
        unit = " MiB" if isinstance(card["memory.total"], int) else ""
        sizes = "".join(
            f"<{tag}>{card['memory.' + tag]}{unit}</{tag}>"
            for tag in ("total", "reserved", "used", "free")
        )
        mode = "Enabled" if mig and i in mig else "Disabled"
        parts.append(
            f'<gpu id="{card["pci.bus_id"]}"><product_name>{card["name"]}</product_name>'
            f"<uuid>{card['uuid']}</uuid><mig_mode><current_mig>{mode}</current_mig></mig_mode>"
            f"<mig_devices>{(mig or {}).get(i, 'None')}</mig_devices>"
            f"<fb_memory_usage>{sizes}</fb_memory_usage><max_clocks><mem_clock>"
            f"{card['clocks.max.memory']}</mem_clock></max_clocks><processes></processes></gpu>"
        )
    return (
        '<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">'
        f"<nvidia_smi_log><driver_version>575.64.03</driver_version>{''.join(parts)}"
        "</nvidia_smi_log>"
    )


def nvidia(boards: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The state of a stand-in nvidia-smi."""
    numbered = [{**card, "index": i, "count": len(boards)} for i, card in enumerate(boards)]
    return {"boards": numbered, "text": {"-q -x": xml(numbered)}, **more}


def from_xml(text: str) -> list[dict[str, Any]]:
    """The fields of a recorded XML, read by plain patterns (not by modelscan's parser)."""
    boards = []
    for part in re.findall(r"<gpu id=.*?</gpu>", text, re.DOTALL):
        outer = re.sub(r"<mig_devices>.*?</mig_devices>", "", part, flags=re.DOTALL)

        def value(tag: str, where: str = outer) -> str:
            match = re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", where, re.DOTALL)
            return match.group(1) if match else "[N/A]"

        usage = re.search(r"<fb_memory_usage>.*?</fb_memory_usage>", outer, re.DOTALL)
        memory = usage.group(0) if usage else ""
        sizes: dict[str, int | str] = {}
        for tag in ("total", "reserved", "used", "free"):
            words = value(tag, memory).split()
            sizes[f"memory.{tag}"] = int(words[0]) if words[0].isdigit() else "[N/A]"
        clock = re.search(r"<max_clocks>.*?<mem_clock>(\d+ MHz)", outer, re.DOTALL)
        boards.append(
            board(value("product_name"), 0) | sizes
            | {"uuid": value("uuid"), "clocks.max.memory": clock.group(1) if clock else "[N/A]"}
        )  # fmt: skip
    return boards
