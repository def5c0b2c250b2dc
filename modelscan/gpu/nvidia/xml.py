"""Parser of ``nvidia-smi -q -x``: by tag name, every tag optional (DTD version 10 and later)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.gpu import GpuProcess
from modelscan.gpu.nvidia.build import CardReport, Slice, build
from modelscan.gpu.reading import MAX_TEXT, ParseError, Reading, number, size_bytes, text_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE = "nvidia-smi"
_HINT = "run it by hand: nvidia-smi -q -x"


def parse_xml(text: str) -> Reading:
    """Parse ``nvidia-smi -q -x``. Raises ParseError."""
    root = _root(text)
    driver = text_of(root.findtext("driver_version"))
    cards = [_card(element, i, driver) for i, element in enumerate(root.findall("gpu"))]
    if not cards:
        raise ParseError("no_devices", "nvidia-smi found no device")
    gpus, problems = build(cards, SOURCE)
    return Reading(SOURCE, gpus, problems, driver_version=driver)


def _root(text: str) -> Element:
    import xml.etree.ElementTree as ElementTree

    start = re.search(r"<\?xml|<!DOCTYPE|<nvidia_smi_log", text[:MAX_TEXT])
    if start is None:
        raise ParseError("not_xml", "the output of nvidia-smi has no XML", _HINT)
    # Warnings ("infoROM is corrupted") may follow, with -l also the next document.
    inside, end, _ = text[start.start() : MAX_TEXT].partition("</nvidia_smi_log>")
    document = inside + end
    if "<!ENTITY" in document:
        raise ParseError("garbled", "the XML declares entities, which nvidia-smi never does")
    try:
        # The source is the driver's own program; entities are refused and the size limited above.
        root = ElementTree.fromstring(document.strip())  # noqa: S314
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        message = f"the XML of nvidia-smi is cut off or broken: {error}"
        raise ParseError("garbled", message, _HINT) from None
    if root.tag != "nvidia_smi_log":
        raise ParseError(
            "not_nvidia_smi", f"the XML is a <{str(root.tag)[:40]}>, not from nvidia-smi"
        )
    return root


def _card(gpu: Element, position: int, driver: str | None) -> CardReport:
    memory = gpu.find("fb_memory_usage")
    device = text_of(gpu.findtext("pci/pci_device_id"))
    return CardReport(
        index=position,
        name=text_of(gpu.findtext("product_name")),
        uuid=text_of(gpu.findtext("uuid")),
        bus=text_of(gpu.findtext("pci/pci_bus_id")) or text_of(gpu.get("id")),
        total=_memory(memory, "total"),
        used=_memory(memory, "used"),
        free=_memory(memory, "free"),
        reserved=_memory(memory, "reserved"),
        memory_text=(memory.findtext("total") if memory is not None else None) or "",
        driver=driver,
        utilization=number(gpu.findtext("utilization/gpu_util")),
        pci_device_id=_device_id(device),
        memory_clock=number(gpu.findtext("max_clocks/mem_clock")),
        mig_enabled=(gpu.findtext("mig_mode/current_mig") or "").strip() == "Enabled",
        coherent=(gpu.findtext("addressing_mode") or "").strip().upper() == "ATS",
        slices=[_slice(m) for m in gpu.findall("mig_devices/mig_device")],
        processes=[p for e in gpu.findall("processes/process_info") if (p := _process(e))],
    )


def _device_id(text: str | None) -> str | None:
    """The device id from ``20B210DE`` (device, vendor): ``0x20b2``."""
    match = re.match(r"^(?:0x)?([0-9A-Fa-f]{4})10DE$", text or "")
    return f"0x{match.group(1).lower()}" if match else None


def _memory(element: Element | None, tag: str) -> int | None:
    return None if element is None else size_bytes(element.findtext(tag), "MiB")


def _slice(element: Element) -> Slice:
    memory = element.find("fb_memory_usage")
    return Slice(
        gpu_instance=_int(element.findtext("gpu_instance_id")),
        compute_instance=_int(element.findtext("compute_instance_id")),
        total=_memory(memory, "total"),
        used=_memory(memory, "used"),
        free=_memory(memory, "free"),
        multiprocessors=_int(element.findtext("device_attributes/shared/multiprocessor_count")),
        uuid=text_of(element.findtext("uuid")),
    )


def _process(element: Element) -> tuple[GpuProcess, int | None] | None:
    pid = _int(element.findtext("pid"))
    if pid is None:
        return None
    process = GpuProcess(
        pid,
        text_of(element.findtext("process_name")),
        size_bytes(element.findtext("used_memory"), "MiB"),
    )
    return process, _int(element.findtext("gpu_instance_id"))


def _int(text: str | None) -> int | None:
    amount = number(text)
    return None if amount is None else int(amount)
