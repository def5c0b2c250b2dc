"""What SGLang divides among tensor-parallel ranks.

Sources: ``srt/models/internvl.py`` (padded encoder), ``srt/server_args.py`` (expert parallelism).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.option_values import flag, whole
from modelscan.memory.split_rules import SplitRules

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload

EXPERT_PARALLEL = "ep-size"
_PADDED_TOWERS = ("InternVL", "InternS1")


def split_rules(architecture: Architecture, workload: Workload, degree: int) -> SplitRules:
    """The parts that stay whole for these options; ``degree``: the number of ranks."""
    experts = whole(workload, EXPERT_PARALLEL, "ep", "expert-parallel-size") or 1
    return SplitRules(
        whole_vision=flag(workload, "mm-enable-dp-encoder")
        or any(name.startswith(_PADDED_TOWERS) for name in architecture.checkpoint.classes),
        whole_experts=experts >= degree > 1 or flag(workload, "enable-ep-moe"),
    )
