"""The builds that llama.cpp's project publishes: read from their names, chosen for a machine. Pure.

Names as in the releases of 2025 and 2026 (``llama-b11101-bin-ubuntu-cuda-12.8-x64.tar.gz``). A CUDA
build comes with a second archive (``cudart-…``) of the CUDA libraries that it loads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from modelscan.engines.cuda_toolkit import Version, numbers, toolkit_refusal

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu

System = Literal["linux", "macos", "windows"]
Accelerator = Literal["cuda", "rocm", "vulkan", "sycl", "metal", "cpu"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)

_NAME = re.compile(
    r"(?P<runtime>cudart-)?llama-(?:[\w.]+-)?bin-(?P<os>ubuntu|macos|win)-(?:(?P<kind>.+)-)?"
    r"(?P<arch>x64|arm64|s390x)\.(?:zip|tar\.gz|tgz)"
)
_SYSTEMS: Mapping[str, System] = {"ubuntu": "linux", "macos": "macos", "win": "windows"}
_KIND = re.compile(r"(?P<name>cuda|rocm|hip|vulkan|sycl|cpu)(?:-(?P<detail>[\w.]+))?")
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEM_NAMES: Mapping[str, System] = {
    "linux": "linux", "darwin": "macos", "windows": "windows",
}  # fmt: skip
# The accelerators of a vendor's GPUs, the best first. SYCL needs Intel's oneAPI, so it is only
# taken when it is named; ROCm needs AMD's libraries, which its own tools come with.
_BY_VENDOR: Mapping[str, tuple[Accelerator, ...]] = {
    "nvidia": ("cuda", "vulkan"), "intel": ("vulkan",), "apple": ("metal",),
    "generic": ("vulkan",), "unknown": ("vulkan",),
}  # fmt: skip
_ROCM_TOOLS = ("rocm-smi", "amd-smi")
# Archives of release b11146 in bytes, CUDA's libraries included; a release states its own.
RELEASE_BYTES: Mapping[Accelerator, int] = {
    "cuda": 763_000_000, "rocm": 235_000_000, "vulkan": 32_000_000, "cpu": 18_000_000,
}  # fmt: skip
CONTAINER = "ghcr.io/ggml-org/llama.cpp:server"  # with -cuda, -rocm, -vulkan, -intel
_CONTAINER_TAGS = {"nvidia": "-cuda", "amd": "-rocm", "intel": "-intel"}
_SOURCE_FLAGS = {
    "nvidia": "-DGGML_CUDA=ON", "amd": "-DGGML_HIP=ON", "intel": "-DGGML_SYCL=ON",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuildTarget:
    """The machine that a build must run on; () for ``gpus`` is a machine without one."""

    system: System
    architecture: str  # x64 | arm64 | s390x
    gpus: tuple[Gpu, ...] = ()

    @property
    def vendor(self) -> str | None:
        """The vendor of the first GPU; None without one."""
        return self.gpus[0].vendor if self.gpus else None


@dataclass(frozen=True, slots=True)
class ReleaseBuild:
    """One published archive. ``toolkit``: of CUDA or ROCm, () for none. ``runtime``: the archive
    of CUDA's libraries instead of llama.cpp itself."""

    asset: str
    system: System
    architecture: str
    accelerator: Accelerator
    toolkit: Version = ()
    runtime: bool = False

    @property
    def label(self) -> str:
        """``cuda-12.8``, ``vulkan``."""
        return "-".join((self.accelerator, *filter(None, [".".join(map(str, self.toolkit))])))


@dataclass(frozen=True, slots=True)
class BuildChoice:
    """The chosen build with its further archives, or none; ``reasons``: why not a better one."""

    build: ReleaseBuild | None
    parts: tuple[ReleaseBuild, ...] = ()
    reasons: tuple[str, ...] = ()


def target_of(system: str, machine: str, gpus: Sequence[Gpu]) -> BuildTarget | None:
    """``platform.system()`` and ``platform.machine()`` as a target; None for another system."""
    name = _SYSTEM_NAMES.get(system.lower())
    if name is None:
        return None
    architecture = _ARCHITECTURES.get(machine.lower(), machine.lower())
    return BuildTarget(name, architecture, tuple(gpus))


def read_name(asset: str) -> ReleaseBuild | None:
    """The build of an archive; None for what is no build of the server for these systems."""
    match = _NAME.fullmatch(asset)
    if match is None:
        return None
    kind = _KIND.fullmatch(match["kind"] or "cpu")
    if kind is None:
        return None
    name = "rocm" if kind["name"] == "hip" else kind["name"]
    system, architecture = _SYSTEMS[match["os"]], match["arch"]
    if name == "cpu" and (system, architecture) == ("macos", "arm64"):
        name = "metal"
    accelerator = next(one for one in ACCELERATORS if one == name)
    toolkit = numbers(kind["detail"]) if name in ("cuda", "rocm") else ()
    return ReleaseBuild(asset, system, architecture, accelerator, toolkit, bool(match["runtime"]))


def accelerators(target: BuildTarget) -> tuple[Accelerator, ...]:
    """What its GPUs can use, the best first; ``cpu`` without a GPU."""
    if not target.gpus:
        return ("metal", "cpu") if target.system == "macos" else ("cpu",)
    if target.vendor == "amd":
        has_rocm = target.gpus[0].source in _ROCM_TOOLS or target.system == "windows"
        return ("rocm", "vulkan") if has_rocm else ("vulkan",)
    return _BY_VENDOR.get(target.vendor or "", ())


def choose(
    assets: Sequence[str], target: BuildTarget, requested: Accelerator | None = None
) -> BuildChoice:
    """The best build for the machine among a release's archives; ``requested``: only of that kind.

    Without a build for the GPU none is chosen, although a CPU build would start.
    """
    here = [
        build
        for build in map(read_name, assets)
        if build and (build.system, build.architecture) == (target.system, target.architecture)
    ]
    kinds = (requested,) if requested else accelerators(target)
    reasons = [] if kinds else [f"the project publishes no builds for {target.vendor} devices"]
    for accelerator in kinds:
        builds = [one for one in here if one.accelerator == accelerator and not one.runtime]
        if not builds:
            where = f"{target.system} on {target.architecture}"
            reasons.append(f"the release has no {accelerator} build for {where}")
        for build in sorted(builds, key=lambda one: one.toolkit, reverse=True):
            refusal = _refusal(build, target)
            if refusal is None:
                return BuildChoice(build, tuple(_parts(build, here)), tuple(reasons))
            reasons.append(refusal)
    return BuildChoice(None, reasons=tuple(reasons))


def _refusal(build: ReleaseBuild, target: BuildTarget) -> str | None:
    if build.accelerator != "cuda":
        return None
    if target.vendor != "nvidia":
        return "a CUDA build needs an NVIDIA GPU"
    return next(filter(None, (toolkit_refusal(build.toolkit, gpu) for gpu in target.gpus)), None)


def _parts(build: ReleaseBuild, here: Sequence[ReleaseBuild]) -> Iterator[ReleaseBuild]:
    """The archive of CUDA libraries that belongs to a build."""
    same = (one for one in here if one.runtime and one.label == build.label)
    yield from list(same)[:1]


def container(target: BuildTarget) -> str:
    """The official image for the machine's GPU."""
    return CONTAINER + _CONTAINER_TAGS.get(target.vendor or "", "-vulkan" if target.gpus else "")


def source_build(target: BuildTarget) -> str:
    """The commands that build the server from its source for this GPU."""
    flag = _SOURCE_FLAGS.get(target.vendor or "", "-DGGML_VULKAN=ON" if target.gpus else "")
    return (
        "git clone https://github.com/ggml-org/llama.cpp && cd llama.cpp && "
        f"cmake -B build {flag} && cmake --build build --config Release -j --target llama-server "
        "&& modelscan config set llama_server $PWD/build/bin/llama-server"
    ).replace("  ", " ")
