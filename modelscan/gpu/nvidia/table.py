"""Parser of nvidia-smi's default table, ``nvlink -s`` and ``topo -m``, and of its error
messages.
"""

from __future__ import annotations

import re

from modelscan.core.gpu import GpuProcess, Link
from modelscan.gpu.nvidia.build import CardReport, Slice, build, is_broken, mib
from modelscan.gpu.nvidia.csv import parse_list
from modelscan.gpu.reading import MAX_DEVICES, ParseError, Reading, lines_of, number, text_of

SOURCE = "nvidia-smi"
_FIRST = re.compile(
    r"^\|\s{1,6}(\d{1,3})\s{1,4}(\S.{0,80}?)\s+(?:(?:On|Off|N/A|WDDM|TCC|MCDM|ERR!)\s*)?"
    r"\|\s*([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d|N/A)\s"
)
_MEMORY = re.compile(r"\|\s{0,40}(\d{1,9})\s?Mi?B\s*/\s*(\d{1,9})\s?Mi?B\s*\|")
_MIG_MODE = re.compile(r"\|\s{1,40}Enabled\*?\s*\|\s*$")
_MIG = re.compile(
    r"^\|\s{1,6}(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s*\|\s*(\d{1,9})\s?MiB\s*/\s*(\d{1,9})"
    r"\s?MiB\s*\|\s*(\d{1,4})"
)
_PROCESS = re.compile(
    r"^\|\s{1,6}(\d{1,3})\s+(?:(\d{1,3}|N/A)\s+(\d{1,3}|N/A)\s+)?(\d{1,10})\s+([CGM+]{1,4})\s+"
    r"(\S.{0,200}?)\s+(?:(\d{1,9})Mi?B|\[?N/A\]?)\s*\|"
)
_DRIVER = re.compile(r"Driver Version:\s*([0-9][0-9.]{1,20})")

# nvidia-smi's error messages: (pattern, code, message, hint).
COMPLAINTS = (
    (r"driver/library version mismatch", "driver_mismatch",
     "the NVIDIA kernel module and the driver's libraries have different versions",
     "reboot, or unload and load the nvidia modules: an update replaced the libraries"),
    (r"couldn't communicate with the nvidia driver", "driver_not_running",
     "nvidia-smi is installed but the NVIDIA driver is not loaded",
     "sudo modprobe nvidia; after a kernel update: sudo dkms autoinstall"),
    (r"insufficient permissions|permission denied", "no_permission",
     "no permission to open the NVIDIA devices",
     "ls -l /dev/nvidia*; add the user to their group, or start the container with the devices"),
    (r"gpu access blocked by the operating system", "wsl_blocked",
     "Windows blocks the GPU for WSL", "wsl --update, then update the Windows driver"),
    (r"unable to determine the device handle|gpu is lost", "broken_gpu",
     "a GPU does not respond to its driver", "reboot; then check: dmesg | grep -i xid"),
    (r"no devices were found", "no_devices", "the NVIDIA driver is loaded but has no device",
     "lspci | grep -i nvidia"),
    (r"failed to initialize nvml: unknown error", "container_lost_device",
     "NVML cannot open the devices: a container that lost access to them has this error",
     "restart the container; see the systemd cgroup notes of the NVIDIA container toolkit"),
    (r"failed to initialize nvml|couldn't find libnvidia-ml", "nvml_failed",
     "the NVIDIA management library could not be started", "reinstall the NVIDIA driver"),
)  # fmt: skip


def complaint(text: str) -> ParseError | None:
    """The ParseError for an error message of nvidia-smi, or None."""
    lowered = text[:20_000].lower()
    for pattern, code, message, hint in COMPLAINTS:
        if re.search(pattern, lowered):
            return ParseError(code, message, hint)
    return None


def parse_gaudi(text: str) -> Reading:
    """Parse hl-smi's table (Intel Gaudi), which has nvidia-smi's format. Raises ParseError."""
    return _parse(text, "intel", "hl-smi")


def parse_table(text: str) -> Reading:
    """Parse the default table of nvidia-smi or hl-smi. Raises ParseError."""
    return parse_gaudi(text) if "HL-SMI" in text[:4000] else _parse(text, "nvidia", SOURCE)


def _parse(text: str, vendor: str, source: str) -> Reading:
    cards: dict[int, CardReport] = {}
    driver = None
    current: CardReport | None = None
    for line in lines_of(text):
        match = _DRIVER.search(line)
        driver = driver or (match.group(1) if match else None)
        if _add_slice(line, cards) or _add_process(line, cards):
            continue
        first = _FIRST.match(line)
        if first and len(cards) < MAX_DEVICES:
            current = CardReport(int(first.group(1)), text_of(first.group(2)), driver=driver)
            current.bus = text_of(first.group(3))
            cards[current.index] = current
        elif line.startswith(("+", "|--", "|==")):
            current = None
        elif current is not None:
            _add_memory(line, current)
            current.mig_enabled = current.mig_enabled or bool(_MIG_MODE.search(line))
    if not cards:
        raise complaint(text) or ParseError("no_devices", f"the table of {source} lists no device")
    gpus, problems = build(list(cards.values()), source, vendor)
    return Reading(source, gpus, problems, driver_version=driver)


def _add_memory(line: str, card: CardReport) -> None:
    """Set used and total memory from the row below a card's name, or the text in their place."""
    if card.total is not None or card.memory_text:
        return
    match = _MEMORY.search(line)
    if match:
        card.used, card.total = mib(match.group(1)), mib(match.group(2))
        # The table does not list driver-reserved memory, so free memory is too high by that amount.
        usage = re.search(r"\|\s*(\d{1,3})%", line[match.end() - 1 :])
        card.utilization = float(usage.group(1)) if usage else None
        return
    cells = [cell.strip() for cell in line.split("|")]
    if len(cells) > 3 and (cells[2] in ("N/A", "Not Supported") or is_broken(cells[2])):
        card.memory_text = cells[2]


def _add_slice(line: str, cards: dict[int, CardReport]) -> bool:
    match = _MIG.match(line)
    if not match or int(match.group(1)) not in cards:
        return False
    _, instance, compute, _, used, total, units = match.groups()
    cards[int(match.group(1))].slices.append(
        Slice(int(instance), int(compute), mib(total), mib(used), None, int(units))
    )
    return True


def _add_process(line: str, cards: dict[int, CardReport]) -> bool:
    match = _PROCESS.match(line)
    if not match or int(match.group(1)) not in cards:
        return False
    _, instance, _, pid, _, name, used = match.groups()
    used_bytes = mib(used)
    own = int(instance) if instance and instance.isdecimal() else None
    cards[int(match.group(1))].processes.append(
        (GpuProcess(int(pid), text_of(name), used_bytes), own)
    )
    return True


def parse_nvlink(text: str) -> Reading:
    """Parse ``nvidia-smi nvlink -s``: the sum of each GPU's active links in one direction."""
    speeds: dict[int, int] = {}
    index = -1
    listed = parse_list(text)
    for line in lines_of(text):
        gpu = re.match(r"^GPU (\d{1,3}):", line)
        link = re.match(r"^\s+Link \d{1,3}: (\d{1,4}(?:\.\d{1,4})?) GB/s", line)
        if gpu:
            index = int(gpu.group(1))
        elif link:
            speeds[index] = speeds.get(index, 0) + round((number(link.group(1)) or 0) * 1e9)
    return Reading(SOURCE, listed.gpus, listed.problems, fabric_bytes_per_s=speeds)


def parse_topology(text: str) -> tuple[Link, ...]:
    """The links in matrices of GPU rows: ``nvidia-smi topo -m``, ``rocm-smi --showtopotype``."""
    links: list[Link] = []
    header: list[str] = []
    for line in lines_of(text):
        cells = line.split()
        if not header and cells and cells[0] == "GPU0":
            header = [cell for cell in cells if re.match(r"^GPU\d{1,3}$", cell)]
            if len(cells) > 1 and cells[1] == "X":
                header = []
            continue
        match = re.match(r"^GPU(\d{1,3})$", cells[0]) if cells else None
        if match and header:
            first = int(match.group(1))
            for column, cell in zip(header, cells[1:], strict=False):
                second = int(column[3:])
                if first < second and len(links) < MAX_DEVICES * 8:
                    links.append(Link(first, second, link_kind(cell)))
    return tuple(links)


def link_kind(cell: str) -> str:
    """``NV12`` -> nvlink, ``PIX PXB PHB`` -> pcie, ``NODE SYS`` -> system, ``XGMI`` -> xgmi."""
    if cell.startswith("NV"):
        return "nvlink"
    if cell.startswith(("XGMI", "XL")):
        return "xgmi" if cell.startswith("XGMI") else "xelink"
    return "pcie" if cell in ("PIX", "PXB", "PHB", "PCIE") else "system"
