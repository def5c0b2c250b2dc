"""Choose the parser for a tool's output: by the command that printed it, else by its format."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from modelscan.core.gpu import Gpu, Problem
from modelscan.gpu import apple, pci
from modelscan.gpu.amd import amd_smi, rocm_smi
from modelscan.gpu.amd.amd_smi import fill
from modelscan.gpu.ascend import npu_smi
from modelscan.gpu.bundle import split_bundle
from modelscan.gpu.intel import xpu_smi
from modelscan.gpu.nvidia import csv as nvidia_csv
from modelscan.gpu.nvidia import table as nvidia_table
from modelscan.gpu.nvidia import text as nvidia_text
from modelscan.gpu.nvidia import xml as nvidia_xml
from modelscan.gpu.nvidia.tegrastats import parse_tegrastats
from modelscan.gpu.reading import ParseError, Reading, is_help, plain

Parser = Callable[[str], Reading]
# (name, pattern near the beginning of the text, parser); the first match decides.
_SHAPES: tuple[tuple[str, str, Parser], ...] = (
    ("nvidia-smi XML", r"<nvidia_smi_log|nvsmi_device_v\d+\.dtd", nvidia_xml.parse_xml),
    ("nvidia-smi -q", r"^=+NVSMI LOG=+|^[ \t]{1,40}FB Memory Usage[ \t]*$",
     nvidia_text.parse_query),
    ("nvidia-smi topo", r"^[ \t]{0,40}GPU0[ \t]{1,40}(GPU1|CPU Affinity)",
     lambda text: _topology(text)),
    ("nvidia-smi nvlink", r"^GPU \d+: .*\n([ \t]{1,40}Link \d+:|Nvlink queries)",
     nvidia_table.parse_nvlink),
    ("nvidia-smi -L", r"^GPU \d+: .* \(UUID: ", nvidia_csv.parse_list),
    ("npu-smi", r"npu-smi|NPU\s+Name\s+\|", npu_smi.parse_info),
    ("nvidia-smi table", r"\| (NVIDIA-SMI|HL-SMI)", nvidia_table.parse_table),
    ("nvidia-smi complaint", r"NVIDIA-SMI has failed|Failed to initialize NVML|^No devices were "
     r"found|Unable to determine the device handle", nvidia_table.parse_table),
    ("rocm-smi CSV", r"^device,", rocm_smi.parse_csv),
    ("rocm-smi text", r"^GPU\[\d+\][ \t]*:|= Concise Info =|ROCm System Management Interface",
     rocm_smi.parse_text),
    ("rocm-smi JSON", r'"card\d+"\s*:', rocm_smi.parse_json),
    ("amd-smi JSON", r'"gpu_data"|"gpu(_id)?"\s{0,40}:\s{0,40}\d|"mem_usage"|AMDSMI|AmdSmi',
     amd_smi.parse_json),
    ("amd-smi text",
     r"^GPU:[ \t]*\d+|^gpu,|^\$? ?(sudo )?amd-smi"
     r"|^[ \t]*GPU(_ID)?[ \t]+.*(VRAM|VIOL|POWER|MEMORY|_T\b)|^\| AMD-SMI|^[A-Z ]{3,40} TABLE:",
     amd_smi.parse_text),
    ("xpu-smi JSON",
     r'"device_list"|"device_name"|"device_level"|"pci_bdf_address"|"device_util_by_proc_list"',
     xpu_smi.parse_json),
    ("xpu-smi text", r"^\$? ?(sudo )?xpu-smi|^\| Device (ID|Type)|^Timestamp,\s*DeviceId|"
     r"^[ \t]*GPU \d+/\d+|^PID +Command +DeviceID|^\"?Device ID\"?,",
     xpu_smi.parse_text),
    ("nvidia-smi CSV",
     r"^\"?(index|count|timestamp|serial|pid|driver_version|(gpu_)?(name|uuid|bus_id)|compute_"
     r"|(memory|pci|utilization|temperature|power|fan|pstate|clocks|mig)\b)[^\n,]{0,60},"
     r"|^Field \"|^[^,\n]{1,80},[^\n]{0,400}\b\d{1,8} MiB\b", nvidia_csv.parse_csv),
    ("lspci", r"^([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] [^\n]{3,120}: ", pci.parse_lspci),
    ("system_profiler", r"SPDisplaysDataType|Chipset Model:", apple.parse_system_profiler),
    ("tegrastats", r"^(\d\d-\d\d-\d{4} )?.{0,20}RAM \d+/\d+MB", parse_tegrastats),
)  # fmt: skip


def parse_with_fallback(parse: Parser, text: str, command: str) -> Reading:
    """Parse with ``parse``; if that fails, with the parser for the text's format.

    The format differs with older versions and wrapper scripts. Raises ParseError.
    """
    tool = command.split()[0]
    if not text.strip():
        raise ParseError("empty", f"{tool} printed nothing", f"run it by hand: {command}")
    try:
        return parse(text)
    except ParseError as first:
        try:
            return parse_output(text, command)
        except ParseError as second:  # the second error is better if the format is the tool's own
            same_tool = (detect_format(text) or "").startswith(tool)
            raise (second if same_tool else first) from None


def detect_format(text: str) -> str | None:
    """The name of the text's format, or None."""
    return next((name for name, _, _ in _matching(plain(text))), None)


def parse_output(text: str, command: str = "") -> Reading:
    """The devices in any tool's output. Raises ParseError.

    ``command`` (or a file name) identifies the tool, if known.
    """
    text = plain(text)
    parts = split_bundle(text)
    if parts:
        return _bundle([(part.command, part.output) for part in parts])
    refusal: ParseError | None = None
    text = nvidia_csv.with_header(text, command)
    for _, _, parser in _matching(text, command):
        try:
            return parser(text)
        except ParseError as error:
            refusal = refusal or error
    reason = _unreadable(text, command)
    if refusal is not None and (refusal.code not in _VAGUE or reason.code == "unknown_output"):
        raise refusal
    raise reason


_VAGUE = ("no_devices", "not_json")  # the error message in the text itself is more specific
# Functions that recognize a tool's error message, by tool; the first match decides.
_COMPLAINTS: dict[str, Callable[[str], ParseError | None]] = {
    "nvidia-smi": nvidia_table.complaint, "rocm-smi": rocm_smi.complaint,
    "amd-smi": rocm_smi.complaint, "xpu-smi": xpu_smi.complaint, "npu-smi": npu_smi.complaint,
}  # fmt: skip


def _unreadable(text: str, hint: str) -> ParseError:
    """The error for a text that does not list devices."""
    tool = _tool_in(hint)
    complaints = [complaint for name, complaint in _COMPLAINTS.items() if tool in (None, name)]
    for complaint in (*complaints, _crash):
        refusal = complaint(text)
        if refusal is not None:
            return refusal
    return ParseError("unknown_output", "the text is not the output of a supported tool")


def _crash(text: str) -> ParseError | None:
    """The error for a missing or crashed program, or for a tool whose devices no engine
    supports.
    """
    head = text[:20_000]
    if not head.strip():
        return ParseError("empty", "the program printed nothing")
    if is_help(text):
        return ParseError("help_text", "this is a program's help text, not a list of devices")
    if head.strip() in ("{}", "[]"):
        return ParseError("no_devices", "the program lists no device")
    if re.search(r"command not found|No such file or directory|not recognized as an", head):
        return ParseError("not_installed", "the program is not installed on that machine")
    if re.search(r"^Traceback \(most recent call last\)|segmentation fault|core dumped", head,
                 re.IGNORECASE | re.MULTILINE):  # fmt: skip
        return ParseError("tool_failed", "the program crashed")
    other = re.search(_OTHER_TOOLS, head)
    if other:
        message = f"{other.group(0).lower()}: no backend supports its GPUs"
        return ParseError("unsupported_device", message)
    return None


# Tools of Cambricon, Moore Threads, MetaX, Iluvatar, Hygon, Enflame and T-Head.
_OTHER_TOOLS = r"(?i)\b(cnmon|mthreads-gmi|mx-smi|ixsmi|ix-ml|hy-smi|efsmi|ppu-smi)\b"


def _matching(text: str, hint: str = "") -> list[tuple[str, str, Parser]]:
    head = text[:60_000]
    shapes = [shape for shape in _SHAPES if re.search(shape[1], head, re.MULTILINE)]
    tool = _tool_in(hint)
    if tool and any(shape[0].startswith(tool) for shape in shapes):
        shapes.sort(key=lambda shape: not shape[0].startswith(tool))
    return shapes


def _tool_in(hint: str) -> str | None:
    match = re.search(r"(nvidia-smi|rocm-smi|amd-smi|xpu-smi|npu-smi|lspci)", hint)
    return match.group(1) if match else None


def _topology(text: str) -> Reading:
    links = nvidia_table.parse_topology(text)
    numbers = {n for link in links for n in (link.first, link.second)}
    if re.search(r"^[ \t]{0,40}GPU0\b", text, re.MULTILINE):
        numbers.add(0)
    if not numbers:
        raise ParseError("no_devices", "the topology lists no device")
    gpus = tuple(Gpu(n, "NVIDIA GPU", "nvidia", None, None, "nvidia-smi") for n in sorted(numbers))
    problem = Problem("no_memory", "a topology does not contain memory sizes")
    return Reading("nvidia-smi", gpus, (problem,), links)


def _bundle(parts: list[tuple[str, str]]) -> Reading:
    """Merge the readings of a capture's commands, the most detailed first: ``-q``, CSV, table,
    list.
    """
    readings: list[Reading] = []
    refusal: ParseError | None = None
    for pattern in (r"\S+ -q -x$", r"\S+ -q$", r"--query-gpu=", r"^\S+$", r" -L$"):
        for command, output in parts:
            if re.search(pattern, command) and " --help" not in command:
                try:
                    readings.append(parse_output(output, command))
                except ParseError as error:
                    refusal = refusal or error
                break
    if not readings:
        raise refusal or ParseError("no_devices", "no command of the capture lists a device")
    return _merged(readings)


def _merged(readings: list[Reading]) -> Reading:
    """The first reading, with its missing fields from other readings of the same devices."""
    first = readings[0]
    gpus = list(first.gpus)
    for reading in readings[1:]:
        others = {(g.vendor_index, g.mig_index): g for g in reading.gpus}
        for position, gpu in enumerate(gpus):
            other = others.get((gpu.vendor_index, gpu.mig_index))
            if other is not None:
                gpus[position] = replace(fill(gpu, other), free_bytes=gpu.free_bytes)
    return replace(first, gpus=tuple(gpus))
