"""What vLLM's builds run on: compute capability, ROCm targets, Intel's XPU."""

from __future__ import annotations

from modelscan.engines.kernels import Kernels
from modelscan.engines.vllm import NAME
from modelscan.engines.vllm.methods import METHODS
from modelscan.engines.vllm.versions import DEFAULT_VERSION
from modelscan.gpu.support import VLLM_TARGETS

KERNELS = Kernels(
    engine=NAME,
    title="vLLM",
    minimum=(7, 0),
    amd_targets=frozenset(VLLM_TARGETS),
    methods=METHODS,
    default_version=DEFAULT_VERSION,
    xpu=True,
)
