"""The formats that a version of a Python engine runs on one GPU: build, method, capability."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from modelscan.engines.methods import Method, MethodNames, load
from modelscan.engines.support_rules import (
    NATIVE,
    NVIDIA_KERNELS,
    SIXTEEN_BIT,
    WEIGHT_ONLY,
    Capability,
    KernelRule,
    Support,
    absent,
    amd_fp8,
    capability,
    dot,
    gfx_targets,
    has_fp4,
    sixteen_bit,
)
from modelscan.engines.version_tables import facts_of
from modelscan.formats.quantization import canonical, is_weight_only_four_bit

if TYPE_CHECKING:
    from modelscan.core.checkpoint import StoredQuantization
    from modelscan.core.gpu import Gpu
    from modelscan.engines.version_tables import VersionFacts

_FP8 = ("FP8", "FP8-BLOCK")
_PLATFORMS = {"nvidia": None, "amd": "rocm", "intel": "xpu"}  # vendor -> list of methods
_XPU_FORMATS = ("FP8", "FP8-BLOCK", "MXFP4", "MXFP8", "GPTQ-INT8", "W8A16")


class Asked(NamedTuple):
    """The arguments of ``Kernels.on``: a format, one GPU, and what is known of both."""

    gpu: Gpu
    quantization: str | None
    original: bool
    version: str | None
    stored: StoredQuantization | None
    deprecated: bool


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """The formats that an engine's builds have kernels for; one object per engine.

    ``minimum``: the lowest NVIDIA compute capability where the version's build list is not known;
    ``amd_targets``: gfx targets of its ROCm build; ``xpu``: whether there is a build for Intel
    GPUs; ``default_version``: assumed where none is named.
    """

    engine: str
    title: str
    minimum: Capability
    amd_targets: frozenset[str]
    methods: MethodNames
    default_version: str
    xpu: bool = False
    nvidia: Mapping[str, KernelRule] = field(default_factory=lambda: NVIDIA_KERNELS)

    def facts(self, version: str | None) -> VersionFacts:
        """The facts of this version; None: of the default one."""
        return facts_of(self.engine, version or self.default_version)

    def on(
        self,
        gpu: Gpu,
        quantization: str | None,
        *,
        original: bool,
        version: str | None = None,
        stored: StoredQuantization | None = None,
        deprecated: bool = False,
    ) -> Support:
        """The format on one GPU. ``original``: the model was published in this format; ``stored``:
        how the checkpoint says that it was quantized; ``deprecated``: methods that the version
        refuses by default are allowed.
        """
        return _answer(self, Asked(gpu, quantization, original, version, stored, deprecated))

    def search(self, asked: Asked) -> Support:
        """The answer of ``on``; a refusal names the versions that would run it."""
        support = self._judge(asked)
        if support or asked.gpu.vendor not in _PLATFORMS:
            return support
        table = self.facts(asked.version).table
        others = [asked._replace(version=version) for version in table.versions]
        spans = [
            (i, i) for i, other in enumerate(others) if self._judge(other) and self._certain(other)
        ]
        words = table.words(spans)
        known = f"; {self.title} runs it there {words}" if words else ""
        return absent(support.reason + known)

    def _certain(self, asked: Asked) -> bool:
        """Whether the version's own tables, not the general rules, state the capability."""
        facts = self.facts(asked.version)
        method = load(self.methods, facts, asked.quantization, asked.stored)
        return method is None or (isinstance(method, Method) and method.minimum is not None)

    def _judge(self, asked: Asked) -> Support:
        gpu, name = asked.gpu, canonical(asked.quantization)
        if name == "MXFP4" and not asked.original and not has_fp4(gpu):
            return absent(
                "MXFP4 made from other weights needs FP4 arithmetic (compute capability 10.0, "
                "gfx950)"
            )
        facts = self.facts(asked.version)
        if gpu.vendor not in _PLATFORMS:
            return absent(f"{self.engine} does not run on {gpu.vendor} devices here")
        built = self._built(gpu, facts)
        if built is not None:
            return built
        method = load(
            self.methods,
            facts,
            asked.quantization,
            asked.stored,
            deprecated=asked.deprecated,
            platform=_PLATFORMS[gpu.vendor],
        )
        if isinstance(method, Support):
            return method
        if gpu.vendor == "nvidia":
            return self._nvidia(name, gpu, method)
        if gpu.vendor == "amd":
            return self._amd(name, gpu, method, facts)
        return self._intel(name, method, facts)

    def _built(self, gpu: Gpu, facts: VersionFacts) -> Support | None:
        """A refusal if the published build has no code for this GPU."""
        if gpu.vendor == "intel":
            return None if self.xpu else absent(f"{self.engine} does not run on Intel GPUs")
        if gpu.vendor == "amd":
            targets = gfx_targets(gpu.gfx_target)
            if targets and not targets & self.amd_targets:
                return absent(f"{self.engine} for ROCm does not support {gpu.gfx_target}")
            return None
        current = capability(gpu.compute_capability)
        built = built_for(facts) or {self.minimum}
        if current is None or _runs(current, built):
            return None
        if current < min(built):
            lowest = dot(min(built))
            return absent(
                f"{self.title} {facts.version} needs compute capability {lowest}, this GPU has "
                f"{gpu.compute_capability}"
            )
        return absent(
            f"the published build of {self.title} {facts.version} (CUDA "
            f"{next(iter(facts.rows('cuda')), '?')}) has no code for compute capability "
            f"{gpu.compute_capability}"
        )

    def _nvidia(self, name: str | None, gpu: Gpu, method: Method | None) -> Support:
        current = capability(gpu.compute_capability)
        if current is None:  # --gpu 24GiB: only the memory is known
            note = "the GPU's compute capability is unknown: format support not checked"
            return Support(NATIVE, "compute capability unknown", (note,))
        if name in SIXTEEN_BIT and method is None:
            return sixteen_bit(name, current)
        rule = self.nvidia.get(str(name))
        if rule is None and is_weight_only_four_bit(name):
            rule = self.nvidia["INT4"]
        if rule is None and method is None:
            return absent(f"{name} is not a format that {self.engine} is known to load")
        return _versioned(rule or KernelRule(None), method).judge(str(name), current)

    def _amd(
        self, name: str | None, gpu: Gpu, method: Method | None, facts: VersionFacts
    ) -> Support:
        targets, where = gfx_targets(gpu.gfx_target), gpu.gfx_target or "AMD"
        if name in SIXTEEN_BIT and method is None:
            return Support(NATIVE, f"{name or '16-bit'} is native on {where}")
        if name in _FP8:
            return amd_fp8(targets, gpu)
        if method is None:
            return absent(f"{name} has no ROCm kernel")
        if name == "MXFP4":
            return _amd_mxfp4(targets, gpu, emulates=facts.has("method", "gpt_oss_mxfp4"))
        if is_weight_only_four_bit(name) or name == "GPTQ-INT8":
            text = f"{name} runs on ROCm without Marlin: slower than on NVIDIA"
            return Support(WEIGHT_ONLY, text)
        if name == "INT8":
            return Support(NATIVE, f"INT8 runs on {where} (Triton kernels)")
        if facts.platform_methods("rocm") is None:
            return absent(f"{name} has no ROCm kernel")
        text = f"{name} is emulated on {where}: converted to 16 bits at every step, slow"
        return Support(WEIGHT_ONLY, text, emulated=True)

    def _intel(self, name: str | None, method: Method | None, facts: VersionFacts) -> Support:
        build = f"{self.title}'s XPU build"
        listed = facts.platform_methods("xpu") is not None
        plain = name in (None, "BF16", "FP16") or is_weight_only_four_bit(name)
        if plain or (listed and method is not None and name in _XPU_FORMATS):
            return Support(NATIVE, build, (f"needs {self.title} built for Intel XPU",))
        return absent(f"{name} has no kernel in {build}")


@functools.lru_cache(maxsize=4096)  # a plan asks the same of every file, and of every version
def _answer(kernels: Kernels, asked: Asked) -> Support:
    return kernels.search(asked)


def built_for(facts: VersionFacts) -> set[Capability]:
    """The compute capabilities of the published build; empty where that is not known.

    CMake's list names what a build may contain: CUDA before 12.8 compiles none above 9.0.
    """
    listed = {one for text in facts.rows("cuda_build") if (one := capability(text))}
    toolkit = capability(next(iter(facts.rows("cuda")), None)) or (0, 0)
    return {one for one in listed if one < (10, 0) or toolkit >= (12, 8)}


def _runs(current: Capability, built: set[Capability]) -> bool:
    """Code for x.y runs on x.z with z >= y."""
    if len(built) == 1:  # only the lowest is known
        return current >= min(built)
    return any(one[0] == current[0] and one <= current for one in built)


def _versioned(rule: KernelRule, method: Method | None) -> KernelRule:
    """The rule with this version's minimum."""
    if method is None or method.minimum is None:
        return rule
    native = rule.native
    if native is not None and native < method.minimum:
        native = method.minimum
    return rule._replace(native=native, weight_only=method.minimum)


def _amd_mxfp4(targets: frozenset[str], gpu: Gpu, *, emulates: bool) -> Support:
    if "gfx950" in targets:
        return Support(NATIVE, "MXFP4 is native on gfx950")
    if "gfx942" in targets:
        return Support(WEIGHT_ONLY, "MXFP4 is weight-only on gfx942")
    if emulates:
        text = f"MXFP4 is emulated on {gpu.gfx_target}: slow"
        return Support(WEIGHT_ONLY, text, emulated=True)
    return absent(f"MXFP4 needs gfx942 or gfx950, this GPU is {gpu.gfx_target}")
