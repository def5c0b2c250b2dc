"""Hardware: devices, host, and problems with them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that uses device memory. ``memory_bytes`` is None if the driver hides it."""

    pid: int
    name: str | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One schedulable device: a card, a MIG instance, or the GPU part of a unified-memory chip.

    ``memory_bytes`` is the most an engine can use, ``free_bytes`` what is free now, ``used_bytes``
    what processes use, ``reserved_bytes`` what driver and firmware reserve. On a unified-memory
    device all of them describe host memory. Unknown is None.
    """

    index: int
    name: str
    vendor: str  # nvidia | amd | intel | apple | ascend | ...
    memory_bytes: int | None
    free_bytes: int | None
    source: str  # nvml | nvidia-smi | rocm-smi | amd-smi | sysfs | ... | simulated | gpustack
    uuid: str | None = None
    used_bytes: int | None = None
    reserved_bytes: int | None = None
    compute_capability: str | None = None  # "8.9" on NVIDIA
    gfx_target: str | None = None  # "gfx942" on AMD
    driver_version: str | None = None
    memory_bandwidth_bytes_per_s: int | None = None
    unified_memory: bool = False
    mig: str | None = None  # MIG profile, e.g. "1g.10gb"
    integrated: bool = False  # an iGPU in addition to a card
    pci_bus_id: str | None = None
    visible_index: int | None = None  # index after CUDA_/HIP_VISIBLE_DEVICES; None = hidden
    worker: str | None = None  # the cluster worker that owns it; None = this machine
    backends: tuple[str, ...] = ()  # engines that support it; () if none does
    processes: tuple[GpuProcess, ...] = ()
    parent_uuid: str | None = None  # of a MIG instance: its card
    mig_index: int | None = None  # of a MIG instance: its number on the card
    vendor_index: int | None = None  # the vendor tools' number for it
    pci_device_id: str | None = None  # "0x744c"
    dedicated_bytes: int | None = None  # of a unified chip: dedicated memory (VRAM total)
    shared_bytes: int | None = None  # of a unified chip: system memory it may map (GTT total)
    utilization_percent: float | None = None
    memory_clock_mhz: int | None = (
        None  # the highest; distinguishes memory types of cards with the same name
    )
    fp16_tflops: float | None = None  # dense, from the table of facts


@dataclass(frozen=True, slots=True)
class Host:
    """The machine of the GPUs. ``free_bytes`` is MemAvailable and never includes swap."""

    cpus: int | None
    memory_bytes: int | None
    free_bytes: int | None
    cpu_name: str | None = None
    platform: str | None = None
    memory_bandwidth_bytes_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a probe or device, and the command that fixes it."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """How two devices are joined: ``nvlink``, ``pcie``, ``xgmi``, ``system``."""

    first: int
    second: int
    kind: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """A machine's hardware. An empty ``gpus`` is an ordinary value, not an error."""

    gpus: tuple[Gpu, ...]
    host: Host
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
    source: str = "local"  # local | simulated | a target's name
    hidden: tuple[Gpu, ...] = ()  # devices hidden by CUDA_VISIBLE_DEVICES or a similar variable

    @property
    def simulated(self) -> bool:
        """Whether the GPUs were named by the user instead of detected."""
        return self.source == "simulated"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """A row of the GPU table. None is unknown; ``fp8`` etc. are native, weight_only or no."""

    vendor: str
    name: str
    architecture: str | None
    memory_bytes: int | None
    memory_bandwidth_bytes_per_s: int | None
    compute_capability: str | None = None
    gfx_target: str | None = None
    fp16: str | None = None
    bf16: str | None = None
    int8: str | None = None
    fp8: str | None = None
    fp4: str | None = None
    fp16_tflops: float | None = None  # dense, without sparsity
    interconnect: str | None = None
    tdp_watts: int | None = None
    unified_memory: bool = False
    mobile: bool = False
    note: str | None = None
    source: str | None = None
    aliases: tuple[str, ...] = field(default=())
    reported_bytes: int | None = None  # total as the driver's tool shows it
    reserved_bytes: int | None = None  # reserved by driver and firmware on an idle card
