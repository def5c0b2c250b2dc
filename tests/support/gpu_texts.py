"""Outputs of GPU tools in the shape the real ones print, made from a few numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass
class Board:
    """An NVIDIA card to print; sizes in MiB. ``slices``: (profile, multiprocessors, total, used)."""

    name: str = "NVIDIA RTX A6000"
    uuid: str = "GPU-11111111-2222-3333-4444-555555555555"
    bus: str = "00000000:41:00.0"
    total: int | str = 49140
    reserved: int | None = 611
    used: int | str = 1024
    capability: str = "8.6"
    slices: list[tuple[str, int, int, int]] = field(default_factory=list)
    processes: list[tuple[int, str, str]] = field(default_factory=list)  # pid, name, "512 MiB"

    @property
    def free(self) -> str:
        if isinstance(self.total, str) or isinstance(self.used, str):
            return "N/A"
        return f"{self.total - self.used - (self.reserved or 0)} MiB"


def mib(value: int | str | None) -> str:
    return f"{value} MiB" if isinstance(value, int) else str(value)


def nvidia_xml(boards: list[Board], driver: str = "570.10.01", dtd: str = "v12") -> str:
    """``nvidia-smi -q -x``."""
    gpus = "".join(_xml_gpu(board) for board in boards)
    return (
        f'<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_{dtd}.dtd">\n'
        f"<nvidia_smi_log>\n<driver_version>{driver}</driver_version>\n"
        f"<attached_gpus>{len(boards)}</attached_gpus>\n{gpus}</nvidia_smi_log>\n"
    )


def _xml_gpu(board: Board) -> str:
    reserved = "" if board.reserved is None else f"<reserved>{board.reserved} MiB</reserved>"
    slices = "".join(
        f"<mig_device><index>{i}</index><gpu_instance_id>{i + 3}</gpu_instance_id>"
        f"<compute_instance_id>0</compute_instance_id><device_attributes><shared>"
        f"<multiprocessor_count>{sms}</multiprocessor_count></shared></device_attributes>"
        f"<fb_memory_usage><total>{total} MiB</total><used>{used} MiB</used>"
        f"<free>{total - used} MiB</free></fb_memory_usage></mig_device>"
        for i, (_, sms, total, used) in enumerate(board.slices)
    )
    mode = "Enabled" if board.slices else "Disabled"
    processes = "".join(
        f"<process_info><gpu_instance_id>{3 if board.slices else 'N/A'}</gpu_instance_id>"
        f"<pid>{pid}</pid><type>C</type><process_name>{name}</process_name>"
        f"<used_memory>{used}</used_memory></process_info>"
        for pid, name, used in board.processes
    )
    return (
        f'<gpu id="{board.bus}"><product_name>{board.name}</product_name>'
        f"<mig_mode><current_mig>{mode}</current_mig></mig_mode>"
        f"<mig_devices>{slices or 'None'}</mig_devices><uuid>{board.uuid}</uuid>"
        f"<pci><pci_device_id>223010DE</pci_device_id><pci_bus_id>{board.bus}</pci_bus_id></pci>"
        f"<fb_memory_usage><total>{mib(board.total)}</total>{reserved}"
        f"<used>{mib(board.used)}</used><free>{board.free}</free></fb_memory_usage>"
        f"<utilization><gpu_util>7 %</gpu_util></utilization>"
        f"<processes>{processes}</processes></gpu>\n"
    )


def nvidia_csv(boards: list[Board], driver: str = "570.10.01") -> str:
    """``--query-gpu=… --format=csv`` with the fields modelscan asks for."""
    header = (
        "index, name, uuid, pci.bus_id, driver_version, memory.total [MiB], memory.reserved [MiB], "
        "memory.used [MiB], memory.free [MiB], compute_cap, utilization.gpu [%], mig.mode.current"
    )
    rows = [
        f"{i}, {b.name}, {b.uuid}, {b.bus}, {driver}, {mib(b.total)}, {mib(b.reserved)}, "
        f"{mib(b.used)}, {b.free}, {b.capability}, 7 %, {'Enabled' if b.slices else 'Disabled'}"
        for i, b in enumerate(boards)
    ]
    return "\n".join([header, *rows]) + "\n"


def nvidia_list(boards: list[Board]) -> str:
    """``nvidia-smi -L``."""
    lines = []
    for i, board in enumerate(boards):
        lines.append(f"GPU {i}: {board.name} (UUID: {board.uuid})")
        lines += [
            f"  MIG {profile}     Device  {j}: (UUID: MIG-{j}aaaaaaa-0000-1111-2222-333333333333)"
            for j, (profile, *_) in enumerate(board.slices)
        ]
    return "\n".join(lines) + "\n"


def nvidia_query(board: Board, driver: str = "570.10.01") -> str:
    """``nvidia-smi -q`` of one card, shortened to what matters and some of what does not."""
    slices = "".join(
        "    MIG Device\n"
        f"        Index                              : {i}\n"
        f"        GPU Instance ID                    : {i + 3}\n"
        "        Device Attributes\n            Shared\n"
        f"                Multiprocessor count       : {sms}\n"
        "        Shared FB Memory Usage\n"
        f"            Total                          : {total} MiB\n"
        f"            Used                           : {used} MiB\n"
        f"            Free                           : {total - used} MiB\n"
        for i, (_, sms, total, used) in enumerate(board.slices)
    )
    processes = "".join(
        f"        GPU instance ID                    : {3 if board.slices else 'N/A'}\n"
        f"        Process ID                         : {pid}\n"
        f"            Type                           : C\n"
        f"            Name                           : {name}\n"
        f"            Used GPU Memory                : {used}\n"
        for pid, name, used in board.processes
    )
    return (
        "\n==============NVSMI LOG==============\n\n"
        f"Driver Version                             : {driver}\nAttached GPUs : 1\n"
        f"GPU {board.bus}\n"
        f"    Product Name                           : {board.name}\n"
        "    MIG Mode\n"
        f"        Current                            : {'Enabled' if slices else 'Disabled'}\n"
        f"{slices}"
        f"    GPU UUID                               : {board.uuid}\n"
        "    PCI\n        Device Id                          : 0x223010DE\n"
        "    FB Memory Usage\n"
        f"        Total                              : {mib(board.total)}\n"
        f"        Reserved                           : {mib(board.reserved)}\n"
        f"        Used                               : {mib(board.used)}\n"
        f"        Free                               : {board.free}\n"
        "    BAR1 Memory Usage\n        Total                              : 256 MiB\n"
        "    Utilization\n        GPU                                : 7 %\n"
        f"    Processes{'' if processes else '                              : None'}\n{processes}"
    )


def nvidia_table(boards: list[Board], driver: str = "570.10.01") -> str:
    """The table without options."""
    lines = [
        "+" + "-" * 89 + "+",
        f"| NVIDIA-SMI {driver}             Driver Version: {driver}      CUDA Version: 12.8     |",
        "|-----------------------------------------+------------------------+------------------|",
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile ECC     |",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util         |",
        "|=========================================+========================+==================|",
    ]
    for i, b in enumerate(boards):
        memory = f"{b.used}MiB / {b.total}MiB" if isinstance(b.total, int) else "Not Supported"
        lines += [
            f"|   {i}  {b.name[:24]:<24}      Off |   {b.bus} Off |                  Off |",
            f"| 30%   41C    P8             21W / 300W | {memory:>22} |      7%      Default |",
            "+-----------------------------------------+------------------------+--------------+",
        ]
    lines += [
        "| Processes:                                                                        |",
        "|  GPU   GI   CI        PID   Type   Process name                        GPU Memory |",
        "|===================================================================================|",
    ]
    for i, b in enumerate(boards):
        for pid, name, used in b.processes:
            held = used.replace(" ", "")
            lines.append(f"|    {i}   N/A  N/A      {pid:>7}      C   {name:<40} {held:>10} |")
    return "\n".join(lines) + "\n"


def rocm_json(cards: list[dict[str, str]], **system: str) -> str:
    """``rocm-smi --json`` from dictionaries of keys."""
    document: dict[str, dict[str, str]] = {f"card{i}": card for i, card in enumerate(cards)}
    if system:
        document["system"] = system
    return json.dumps(document)


def amd_list(devices: list[dict[str, object]], *, wrapped: bool) -> str:
    """``amd-smi … --json``: a list up to 6.3, ``gpu_data`` from 6.4 on."""
    return json.dumps({"gpu_data": devices} if wrapped else devices)
