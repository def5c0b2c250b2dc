"""What vLLM divides among tensor-parallel ranks, by version.

Sources: ``intern_vit.py`` (an encoder whose heads do not divide is padded or kept whole),
``fp8_utils.py`` from 0.29 on (FP8 blocks of experts become gcd(block, width) >= 32, with Triton
kernels), ``config/parallel.py`` (expert parallelism).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.option_values import flag
from modelscan.engines.versions import Version, parse_version
from modelscan.memory.split_rules import SplitRules

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload

_REFINED_SINCE: Version = (0, 29, 0)
_PADDED_TOWERS = ("InternVL", "InternS1", "NVLM", "Skywork", "H2OVL")
EXPERT_PARALLEL = "enable-expert-parallel"


def split_rules(architecture: Architecture, workload: Workload, version: str) -> SplitRules:
    """The parts that this version keeps whole for these options."""
    classes = architecture.checkpoint.classes
    return SplitRules(
        whole_vision=workload.parameter("mm-encoder-tp-mode") == "data"
        or any(name.startswith(_PADDED_TOWERS) for name in classes),
        whole_experts=flag(workload, EXPERT_PARALLEL),
        refined_blocks=parse_version(version) >= _REFINED_SINCE,
    )
