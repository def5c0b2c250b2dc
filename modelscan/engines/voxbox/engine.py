"""VoxBox's implementation of the engine interface: recipes of GPUStack's catalog, on one GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from modelscan.core.units import MIB
from modelscan.engines.engine import Engine, SmallCache
from modelscan.engines.log_fields import LogFigures
from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair
from modelscan.engines.residuals import Residuals
from modelscan.engines.support_rules import NATIVE, SIXTEEN_BIT, SPEECH, Support, absent
from modelscan.engines.voxbox import CLAIM, NAME, memory

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Workload


class VoxBox(Engine):
    """See ``engines.engine.Engine``."""

    name = NAME
    title = "VoxBox"
    formats = ("safetensors",)
    option_names = OptionNames()
    preference = 0.05
    default_port = 80
    small_cache = SmallCache("", 0.0, "it has no KV cache that an option sizes")
    pickles = True
    own_server = True
    needs_recipe = True
    recipe_tasks = (SPEECH, "text_to_speech")

    def task_support(self, task: str) -> Support:
        if task in self.recipe_tasks:
            return Support(NATIVE, f"VoxBox serves {task.replace('_', ' ')} models")
        return absent("VoxBox serves speech models only")

    def gpu_support(
        self, quantization: str | None, gpu: Gpu, *, original: bool, version: str | None = None
    ) -> Support:
        if gpu.vendor != "nvidia":
            return absent("GPUStack places VoxBox on NVIDIA GPUs")
        if quantization not in SIXTEEN_BIT:
            return absent(f"VoxBox has no {quantization}")
        return Support(NATIVE, f"{quantization or 'the published format'} runs on VoxBox")

    def reservation(self, environment: Mapping[str, str]) -> int | None:
        stated = environment.get(CLAIM, "")
        return int(stated) if stated.isdecimal() else None

    def host_support(self, file_format: str, *, forced: bool) -> Support:
        return absent("VoxBox is planned on GPUs only")

    def options(self, launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
        """None: the recipe has them."""
        return ()

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate:
        return memory.estimate(shape, workload, inventory)

    def start_line(self, plan: Plan) -> str:
        return f"vox-box start --huggingface-repo-id {plan.repo}"

    def residuals(self, version: str | None, gpus: int) -> Residuals:
        """The reservation already has its margin."""
        return Residuals(compute=0.0, weights=0.0, kv=0.0, floor_bytes=MIB)

    def parse_log(self, text: str) -> LogFigures:
        """Its log states no memory."""
        return LogFigures()

    def measured(self, log: str) -> Mapping[str, Any] | None:
        return None
