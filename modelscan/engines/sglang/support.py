"""What SGLang's builds run on: compute capability, ROCm targets."""

from __future__ import annotations

from modelscan.engines.kernels import Kernels
from modelscan.engines.sglang import NAME
from modelscan.engines.sglang.methods import METHODS
from modelscan.engines.sglang.versions import DEFAULT_VERSION
from modelscan.gpu.support import SGLANG_TARGETS

KERNELS = Kernels(
    engine=NAME,
    title="SGLang",
    minimum=(7, 5),
    amd_targets=frozenset(SGLANG_TARGETS),
    methods=METHODS,
    default_version=DEFAULT_VERSION,
)
