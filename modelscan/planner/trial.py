"""The estimates of one option at different settings: context, memory share, number of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.units import format_bytes, format_tokens
from modelscan.engines.flags import LaunchSettings, estimate_workload, options
from modelscan.engines.registry import engine
from modelscan.planner.feasibility import (
    MINIMUM_CONTEXT_TOKENS,
    DoesNotFit,
    FittingOption,
    beside_share,
    devices,
    fits,
    missing,
)
from modelscan.planner.long_context import scaling_beyond_training
from modelscan.planner.notes import FEW_REQUESTS, noted

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.estimate import Estimate
    from modelscan.core.workload import Workload
    from modelscan.engines.online import OnlineMethod
    from modelscan.planner.context import Option, PlanningContext

THROUGHPUT_SLOTS = 4  # llama.cpp's own server default
_STEP_TOKENS = 1_024


class Trial:
    """The estimates of one option. ``small_cache``: ``wishes`` hold a KV cache that the planner
    put into fewer bits.
    """

    def __init__(
        self,
        option: Option,
        case: PlanningContext,
        target: int,
        wishes: Workload | None = None,
        *,
        small_cache: bool = False,
    ) -> None:
        self.option, self.case, self.target = option, case, target
        self.wishes = wishes or case.wishes_on(option.engine)
        self.small_cache = small_cache
        self.architecture = option.candidate.shape.architecture
        self.inventory = replace(case.inventory, gpus=option.gpus)
        self.last: Estimate | None = None
        self._positions = scaling_beyond_training(option, case, target)
        self._whole: FittingOption | None = None  # everything on the devices, at the target

    def attempt(self, context: int, **changes: object) -> FittingOption:
        """One estimate with ``context`` tokens and these settings."""
        launch = self._launch(context)
        if changes:
            launch = replace(launch, **changes)  # type: ignore[arg-type]
        return self.launched(launch)

    def launched(self, launch: LaunchSettings) -> FittingOption:
        """One estimate of a launch."""
        chosen = options(launch, self.wishes, self.option.recipe.options)
        workload = estimate_workload(
            self.wishes,
            backend=self.option.backend,
            backend_version=self.wishes.backend_version,
            chosen=chosen,
            context_tokens=launch.context_tokens,
            parallel=self.slots(),
            gpus=tuple(gpu.index for gpu in self.option.gpus),
            tensor_parallel=launch.tensor_parallel,
            pipeline_parallel=launch.pipeline_parallel,
        )
        estimate = self.case.estimate(self.option.candidate.shape, workload, self.inventory)
        self.last = estimate
        return FittingOption(
            self.option, launch, chosen, estimate, self.target, self.wishes, self.small_cache
        )

    def at_target(self) -> FittingOption | None:
        """Everything on the chosen devices with the whole context; None if that does not fit."""
        fitting = self.attempt(self.target)
        lower = self._lower_utilization(fitting.estimate)
        if lower is not None:
            fitting = self.attempt(self.target, memory_utilization=lower)
        if not fits(fitting) and self._serves_fewer(fitting.estimate):
            fitting = self.launched(replace(fitting.launch, parallel=FEW_REQUESTS))
        self._whole = fitting
        return self._noted(fitting) if fits(fitting) else None

    def reduced(self) -> FittingOption | None:
        """Everything on the chosen devices, with less context unless the user set it, or within
        the estimate's margin.
        """
        whole = self._whole
        assert whole is not None
        smaller = None if self.wishes.context_tokens else self._smaller_context(whole)
        if smaller is None and whole.within_margin:
            return self._noted(whole)
        return smaller

    def hopeless(self) -> bool:
        """Whether the devices would not even hold the model without its cache."""
        whole = self._whole
        assert whole is not None
        estimate = whole.estimate
        if engine(self.option.backend).reserves_pool:
            return min((d.kv_pool_bytes or 0 for d in estimate.per_gpu), default=1) <= 0
        short = sum(max(0, missing(device)) for device in devices(estimate))
        parts = estimate.parts
        return short > parts.kv_cache_bytes + parts.recurrent_state_bytes + parts.compute_bytes

    def at_minimum(self) -> FittingOption | None:
        """Everything on the chosen devices with the smallest context, or None."""
        whole, least = self._whole, self.minimum()
        assert whole is not None
        if least >= whole.launch.context_tokens:
            return None
        fitting = self.launched(replace(whole.launch, context_tokens=least))
        return self._noted(fitting) if fits(fitting) else None

    def _serves_fewer(self, estimate: Estimate) -> bool:
        """Whether to try fewer than vLLM's default of 256 or 1024 requests to free memory for
        context.
        """
        wishes, one = self.wishes, engine(self.option.backend)
        names = one.option_names.max_requests
        fixed = wishes.parallel or wishes.mode == "throughput" or any(map(wishes.parameter, names))
        if not one.profiles_all_slots or self.case.task != "chat" or fixed:
            return False
        return all(d.parts.weights_bytes < (d.budget_bytes or 0) for d in estimate.per_gpu)

    def _smaller_context(self, fitting: FittingOption) -> FittingOption | None:
        least = self.minimum()
        context = self.guess(fitting.estimate)
        close: FittingOption | None = None
        for _ in range(4):
            context = max(least, context // _STEP_TOKENS * _STEP_TOKENS)
            if context >= fitting.estimate.context_tokens:
                context = max(least, fitting.estimate.context_tokens // 2)
            fitting = self.launched(replace(fitting.launch, context_tokens=context))
            if fits(fitting):
                return self._noted(fitting)
            close = fitting if fitting.within_margin else close
            if context <= least:
                break
            context = min(self.guess(fitting.estimate), context * 3 // 4)
        return self._noted(close) if close else None

    def guess(self, estimate: Estimate) -> int:
        """A context in tokens that should fit, from the bytes per token and the shortage."""
        slots = self.slots()
        if estimate.kv_capacity_tokens is not None:
            pool = min((d.kv_pool_bytes or 0 for d in estimate.per_gpu), default=0)
            margin = estimate.margin_bytes / max(1, len(estimate.per_gpu))
            share = max(0.0, 1 - margin / pool) if pool else 0.0
            return int(estimate.kv_capacity_tokens * share / slots)
        short = max((missing(d) for d in devices(estimate)), default=0)
        per_token = max(1, estimate.kv_bytes_per_token) * slots
        room = estimate.context_tokens - (short + estimate.margin_bytes) // per_token
        return int(room)

    def minimum(self) -> int:
        """The smallest acceptable context in tokens; a requested context is never reduced."""
        if self.wishes.context_tokens:
            return self.wishes.context_tokens
        return min(self.architecture.context_tokens or MINIMUM_CONTEXT_TOKENS,
                   MINIMUM_CONTEXT_TOKENS, self.target)  # fmt: skip

    def miss(self, least: int, available: int) -> DoesNotFit:
        """The shortage in the last (smallest) estimate."""
        estimate, label = self.last, self.option.label
        if estimate is None:
            why = "the weights alone leave no room for the context"
            text = f"{label}: {why} ({format_bytes(least)} > {format_bytes(available)})"
            return DoesNotFit(self.option, least, available, text)
        context = format_tokens(estimate.context_tokens)
        needed = max(estimate.total_bytes, least)
        uncertain = estimate.basis == "range" and (estimate.low_bytes or needed) <= available
        if engine(self.option.backend).reserves_pool and estimate.warnings:
            text = f"{label}: {estimate.warnings[0]}"
            return DoesNotFit(self.option, needed, available, text, uncertain=uncertain)
        text = (
            f"{label}: needs {format_bytes(needed)} with a context of {context}, "
            f"{format_bytes(available)} are free"
        )
        return DoesNotFit(self.option, needed, available, text, uncertain=uncertain)

    def slots(self) -> int:
        """The number of requests whose full context must fit at once."""
        if self.wishes.parallel:
            return self.wishes.parallel
        throughput = self.wishes.mode == "throughput" and self.case.task == "chat"
        return THROUGHPUT_SLOTS if throughput else 1

    def _launch(self, context: int) -> LaunchSettings:
        option, wishes = self.option, self.wishes
        pooled = engine(option.backend).reserves_pool
        return LaunchSettings(
            backend=option.backend,
            task=self.case.task,
            context_tokens=context,
            parallel=wishes.parallel if pooled else self.slots(),
            tensor_parallel=option.tensor_parallel,
            pipeline_parallel=wishes.pipeline_parallel or 1,
            gpu_count=len(option.gpus),
            memory_utilization=self.utilization(),
            dtype=_dtype(option, wishes.backend_version),
            pooling=_pooling(self.architecture),
            positions=self._positions,
            online=self._online(),
            unknown_context=self._unknown_context(),
            adapters=option.candidate.shape.adapters,
        )

    def _unknown_context(self) -> bool:
        """Whether neither the user nor a source states a length: the engine reads it itself."""
        stated = self.wishes.context_tokens or self.architecture.context_tokens
        return not stated and self.case.task == "chat"

    def _online(self) -> OnlineMethod | None:
        candidate = self.option.candidate
        if not candidate.online:
            return None
        one = engine(self.option.backend)
        return one.online_quantization(candidate.variant.quantization, self.wishes.backend_version)

    def utilization(self) -> float | None:
        """The memory share. vLLM's default differs between versions, so the plan always sets it."""
        one, wishes = engine(self.option.backend), self.wishes
        if not one.reserves_pool:
            return None
        return wishes.memory_utilization or one.default_memory_share(wishes.backend_version)

    def _lower_utilization(self, estimate: Estimate) -> float | None:
        """A lower memory share where other programs use part of a device; None if not needed."""
        if not engine(self.option.backend).reserves_pool or self.wishes.memory_utilization:
            return None
        shares = [
            (gpu.free_bytes - beside_share(device)) / gpu.memory_bytes
            for gpu, device in zip(self.option.gpus, estimate.per_gpu, strict=False)
            if gpu.free_bytes is not None and gpu.memory_bytes
            and (device.budget_bytes or 0) > gpu.free_bytes - beside_share(device)
        ]  # fmt: skip
        lowest = min(shares, default=None)
        return None if lowest is None or lowest <= 0.05 else int(lowest * 100) / 100

    def _noted(self, fitting: FittingOption) -> FittingOption:
        return noted(fitting, self.utilization())


def _dtype(option: Option, version: str | None) -> str | None:
    """BF16 weights on a GPU without bfloat16 arithmetic run in another type; else the engine's."""
    if not any("--dtype half" in note for note in option.support.notes):
        return None
    return engine(option.backend).computing_dtype(option.candidate.shape.architecture, version)


def _pooling(architecture: Architecture) -> str | None:
    """llama.cpp needs a pooling type to embed; most embedding models store it in the file."""
    return None if "pooling_type" in architecture.extra else "mean"
