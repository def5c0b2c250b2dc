"""What SGLang's builds run on: compute capability and ROCm targets."""

from __future__ import annotations

from modelscan.engines.sglang import NAME
from modelscan.engines.support_rules import Kernels
from modelscan.gpu.support import SGLANG_TARGETS

KERNELS = Kernels(
    engine=NAME, title="SGLang", minimum=(7, 5), amd_targets=frozenset(SGLANG_TARGETS)
)
