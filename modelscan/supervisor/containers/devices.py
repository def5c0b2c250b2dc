"""Which devices of this machine a container needs for a plan's GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelscan.core.container import ContainerRuntime
from modelscan.core.gpu import Gpu

_DEVICE_FILES = {"amd": ("/dev/kfd", "/dev/dri"), "intel": ("/dev/dri",)}
KEEP_GROUPS = "keep-groups"  # rootless podman: the user's own groups


def device_names(gpus: Sequence[Gpu], runtime: ContainerRuntime) -> tuple[str, ...]:
    """The values for the runtime: for NVIDIA the devices by the toolkit's names, for the others
    their files, all of them (the plan's variables select among them). () for no GPU or a vendor
    whose devices are not known.
    """
    if not gpus:
        return ()
    if gpus[0].vendor == "nvidia":
        return tuple(_nvidia_name(gpu, runtime) for gpu in gpus)
    return _DEVICE_FILES.get(gpus[0].vendor, ())


def _nvidia_name(gpu: Gpu, runtime: ContainerRuntime) -> str:
    """docker takes a UUID, also of a MIG instance; the names that nvidia-ctk writes for podman are
    the driver's numbers, GPU:INSTANCE for MIG.
    """
    if runtime == "docker" and gpu.uuid:
        return gpu.uuid
    number = gpu.index if gpu.vendor_index is None else gpu.vendor_index
    return str(number) if gpu.mig_index is None else f"{number}:{gpu.mig_index}"


def device_groups(vendor: str | None, root: Path, *, keep: bool) -> tuple[str, ...]:
    """The numeric groups that own the device files below ``root``: a group's name may be missing
    in the image. ``keep``: the runtime cannot map them, so that the user's own groups are kept.
    """
    if vendor not in _DEVICE_FILES:
        return ()
    if keep:
        return (KEEP_GROUPS,)
    nodes = [root / "dev/kfd"] if vendor == "amd" else []
    owners = {_group(node) for node in (*nodes, *sorted((root / "dev/dri").glob("renderD*")))}
    return tuple(str(group) for group in sorted(filter(None, owners)))


def _group(node: Path) -> int | None:
    try:
        return node.stat().st_gid
    except OSError:
        return None
