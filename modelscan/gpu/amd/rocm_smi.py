"""Parser of ``rocm-smi`` JSON, CSV and text, ROCm 3 to 7: memory keys are stable, names vary."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import Any

from modelscan.core.gpu import Gpu, Link, Problem
from modelscan.gpu.amd.names import is_apu, is_tiny, product_name
from modelscan.gpu.reading import (
    MAX_DEVICES,
    ParseError,
    Reading,
    free_of,
    json_in,
    lines_of,
    number,
    pci_address,
    size_bytes,
    text_of,
)

SOURCE = "rocm-smi"
ARGUMENTS = (
    "--showid", "--showproductname", "--showmeminfo", "vram", "gtt", "--showbus", "--showuse",
    "--showuniqueid", "--showdriverversion", "--json",
)  # fmt: skip
_NUMERIC = re.compile(r"^(0x[0-9a-fA-F]+|\d+)$")
_COMPLAINTS = (
    (r"driver not initialized|amdgpu not found in modules|no such file.*kfd|rsmi_init\(\) failed"
     r"|(rsmi|amdsmi)_status_(not_init|init_error|driver_not_loaded)", "driver_not_running",
     "the amdgpu driver is not loaded", "sudo modprobe amdgpu"),
    (r"permission|not permitted", "no_permission", "no permission to open the AMD devices",
     "sudo usermod -aG render,video $USER, then log in again"),
    (r"no (amd )?gpus? (available|detected|found)|unable to detect any gpu", "no_devices",
     "the tool found no AMD device", "ls /sys/class/drm; rocminfo"),
)  # fmt: skip
Card = dict[str, Any]


def complaint(text: str) -> ParseError | None:
    """The ParseError for an AMD tool's error message, or None."""
    lowered = text[:20_000].lower()
    for pattern, code, message, hint in _COMPLAINTS:
        if re.search(pattern, lowered):
            return ParseError(code, message, hint)
    return None


def with_preamble(reading: Reading, text: str) -> Reading:
    """Add a permission warning printed before the document to the reading's problems."""
    before = re.split(r"^[ \t]*[\[{]", text[:20_000], maxsplit=1, flags=re.MULTILINE)[0]
    warning = complaint(before)
    if warning is None or warning.code != "no_permission":
        return reading
    return replace(reading, problems=(*reading.problems, warning.problem()))


def parse_json(text: str) -> Reading:
    """Parse ``rocm-smi … --json``, with or without warnings before it. Raises ParseError."""
    try:
        document = json_in(text, SOURCE)
    except ParseError as refusal:
        raise complaint(text) or refusal from None
    if not isinstance(document, dict):
        raise ParseError("not_rocm_smi", "the JSON is not from rocm-smi: it has no card0, card1, …")
    cards = {
        int(match.group(1)): _lowered(value)
        for key, value in document.items()
        if (match := re.match(r"^card(\d{1,3})$", key)) and isinstance(value, dict)
    }
    system = _lowered(document.get("system"))
    return with_preamble(_reading(cards, system), text)


def parse_csv(text: str) -> Reading:
    """Parse ``rocm-smi … --csv`` by its header, because the column order varies.

    Raises ParseError.
    """
    header: list[str] = []
    cards: dict[int, Card] = {}
    for line in lines_of(text):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if len(cells) > 1 and cells[0].lower() == "device":
            header = [cell.lower() for cell in cells]
        elif header and (match := re.match(r"^card(\d{1,3})$", cells[0] if cells else "")):
            card = cards.setdefault(int(match.group(1)), {})
            card.update(zip(header[1:], cells[1:], strict=False))
    if not header:
        raise complaint(text) or ParseError("no_header", "the CSV has no header with 'device'")
    return _reading(cards, {})


def parse_text(text: str) -> Reading:
    """Parse ``GPU[0] : VRAM Total Memory (B): …`` lines. Raises ParseError."""
    cards: dict[int, Card] = {}
    for line in lines_of(text):
        match = re.match(r"^GPU\[(\d{1,3})\]\s*:\s*([^:]{1,80}?)\s*:\s*(.{1,200})$", line)
        if match:
            cards.setdefault(int(match.group(1)), {})[match.group(2).lower()] = match.group(3)
    cards = cards or _concise(text)
    if not cards:
        raise complaint(text) or ParseError("no_devices", "rocm-smi lists no device")
    return _reading(cards, {})


def _concise(text: str) -> dict[int, Card]:
    """Parse the table without options: indices, and in newer versions PCI ids; no memory."""
    cards: dict[int, Card] = {}
    in_table = False
    for line in lines_of(text):
        in_table = in_table or bool(re.match(r"^(GPU|Device)\s+(Temp|Node|\[Model)", line))
        row = re.match(r"^(\d{1,3})\s+\S", line) if in_table else None
        if row and len(cards) < MAX_DEVICES:
            device = re.search(r"\b(0x[0-9a-f]{4}),", line)
            usage = re.search(r"(\d{1,3})%\s*$", line)
            cards[int(row.group(1))] = {
                "device id": device.group(1) if device else None,
                "gpu use (%)": usage.group(1) if usage else None,
            }
    return cards


def _lowered(value: Any) -> Card:
    if not isinstance(value, dict):
        return {}
    return {str(key).strip().rstrip(":").lower(): item for key, item in value.items()}


def _reading(cards: dict[int, Card], system: Card) -> Reading:
    if not cards:
        raise ParseError("no_devices", "rocm-smi lists no card")
    driver = text_of(system.get("driver version"))
    gpus = tuple(_gpu(index, cards[index], driver) for index in sorted(cards)[:MAX_DEVICES])
    problems: tuple[Problem, ...] = ()
    if all(gpu.memory_bytes is None for gpu in gpus):
        message = "this rocm-smi output does not contain the memory size"
        problems = (Problem("no_memory", message, "rocm-smi --showmeminfo vram --json"),)
    return Reading(SOURCE, gpus, problems, _links(system, set(cards)), driver)


def _gpu(index: int, card: Card, driver: str | None) -> Gpu:
    device = _hex(card, "device id", "gpu id", "card model")
    gfx = text_of(card.get("gfx version"))
    name = _name(card, device)
    total = size_bytes(card.get("vram total memory (b)"))
    used = size_bytes(card.get("vram total used memory (b)"))
    gtt = size_bytes(card.get("gtt total memory (b)"))
    apu = is_apu(gfx, device, name)
    return Gpu(
        index=index, name=name, vendor="amd", memory_bytes=total, free_bytes=free_of(total, used),
        source=SOURCE, uuid=rocr_uuid(text_of(card.get("unique id"))), used_bytes=used,
        gfx_target=gfx if gfx and gfx.startswith("gfx") else None, driver_version=driver,
        unified_memory=apu, integrated=is_tiny(gfx, device),
        pci_bus_id=pci_address(card.get("pci bus")),
        vendor_index=index, pci_device_id=device, dedicated_bytes=total if apu else None,
        shared_bytes=gtt if apu else None, utilization_percent=number(card.get("gpu use (%)")),
    )  # fmt: skip


def rocr_uuid(unique_id: str | None) -> str | None:
    """The unique id in the form of ROCR_VISIBLE_DEVICES: ``GPU-`` and 16 hexadecimal digits."""
    match = re.match(r"^(?:0x)?([0-9a-f]{1,16})$", (unique_id or "").lower())
    return f"GPU-{int(match.group(1), 16):016x}" if match and int(match.group(1), 16) else None


def _hex(card: Card, *keys: str) -> str | None:
    for key in keys:
        word = str(card.get(key) or "").strip().lower()
        if re.match(r"^0x[0-9a-f]{4}$", word) and word != "0x1002":
            return word
    return None


def _name(card: Card, device: str | None) -> str:
    """The product name from the keys of any ROCm version, unless it is a number; else by PCI id."""
    for key in ("device name", "card series", "product name", "card model"):
        word = text_of(card.get(key))
        if word and not _NUMERIC.match(word):
            return product_name(word, device) or word
    return product_name(None, device) or f"AMD GPU {device or ''}".strip()


def _links(system: Card, indices: set[int]) -> tuple[Link, ...]:
    links = []
    for key, value in system.items():
        match = re.match(
            r"^\(topology\) link type between drm devices (\d{1,3}) and (\d{1,3})$", key
        )
        if match:
            first, second = sorted((int(match.group(1)), int(match.group(2))))
            if {first, second} <= indices:
                links.append(Link(first, second, "xgmi" if value == "XGMI" else "pcie"))
    return tuple(links[: MAX_DEVICES * 8])
