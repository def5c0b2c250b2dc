"""Fit one option or report the shortage: context, utilization and offload.

The estimator is a parameter, so that tests can count calls and the benchmark can time it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.units import format_bytes, format_tokens
from modelscan.engines.flags import LaunchSettings, estimate_workload, options
from modelscan.engines.registry import engine
from modelscan.planner.feasibility import (
    MINIMUM_CONTEXT_TOKENS,
    DoesNotFit,
    FittingOption,
    available_bytes,
    beside_share,
    devices,
    fits,
    fits_gpus,
    host_free,
    missing,
    spare,
    target_context,
)

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.estimate import Estimate
    from modelscan.planner.context import Option, PlanningContext

THROUGHPUT_SLOTS = 4  # llama.cpp's own server default
_STEP_TOKENS = 1_024
_GUESSES = 5
_FEW_REQUESTS = 64


def too_large(option: Option, case: PlanningContext) -> DoesNotFit | None:
    """A miss if the weights alone are larger than all memory the option may use, else None."""
    available = available_bytes(option.gpus, case.inventory)
    least = least_bytes(option, case)
    room = available + (host_free(case.inventory) if _may_offload(option, case) else 0)
    if least <= room:
        return None
    return too_large_by(option, least, available)


def too_large_by(option: Option, needed: int, available: int) -> DoesNotFit:
    """A miss for weights that are larger than all memory the option may use."""
    why = "the weights alone are larger than the free memory"
    return replace(_miss(option, needed, available, why), bound=True)


def fit(option: Option, case: PlanningContext) -> FittingOption | DoesNotFit:
    """The best settings of an option, or its shortage. Raises NotDeployableError or UsageError
    where the engine rejects the settings.
    """
    miss = too_large(option, case)
    if miss is not None:
        return miss
    available = available_bytes(option.gpus, case.inventory)
    least = least_bytes(option, case)
    target = target_context(option.candidate.shape.architecture, case.wishes, case.task)
    trial = _Trial(option, case, target)
    if least <= available:
        fitting = trial.whole()
        if fitting is not None:
            return fitting
    if _may_offload(option, case):
        fitting = trial.offloaded()
        if fitting is not None:
            return fitting
    return trial.miss(least, available)


def least_bytes(option: Option, case: PlanningContext) -> int:
    """A lower bound in bytes without an estimate: the weights."""
    if case.wishes.parameter("cpu-offload-gb") or case.wishes.parameter("n-gpu-layers"):
        return 0
    floor = option.candidate.floor_bytes
    if floor is not None:
        return floor
    weights = option.candidate.shape.weights
    return weights.low_bytes if weights.low_bytes is not None else weights.total_bytes


def _may_offload(option: Option, case: PlanningContext) -> bool:
    unified = any(gpu.unified_memory for gpu in option.gpus)
    capable = engine(option.backend).offloads_layers and bool(option.gpus) and not unified
    return case.offload and capable


def _miss(option: Option, needed: int, available: int, why: str) -> DoesNotFit:
    text = f"{option.label}: {why} ({format_bytes(needed)} > {format_bytes(available)})"
    return DoesNotFit(option, needed, available, text)


class _Trial:
    """The estimates of one option at different settings."""

    def __init__(self, option: Option, case: PlanningContext, target: int) -> None:
        self.option, self.case, self.target = option, case, target
        self.wishes = case.wishes_on(option.engine)
        self.architecture = option.candidate.shape.architecture
        self.inventory = replace(case.inventory, gpus=option.gpus)
        self.last: Estimate | None = None

    def attempt(self, context: int, **changes: object) -> FittingOption:
        """One estimate with ``context`` tokens and these settings."""
        launch = self._launch(context)
        if changes:
            launch = replace(launch, **changes)  # type: ignore[arg-type]
        chosen = options(launch, self.wishes)
        workload = estimate_workload(
            self.wishes,
            backend=self.option.backend,
            backend_version=self.wishes.backend_version,
            chosen=chosen,
            context_tokens=context,
            parallel=self._slots(),
            gpus=tuple(gpu.index for gpu in self.option.gpus),
            tensor_parallel=launch.tensor_parallel,
            pipeline_parallel=launch.pipeline_parallel,
        )
        estimate = self.case.estimate(self.option.candidate.shape, workload, self.inventory)
        self.last = estimate
        return FittingOption(self.option, launch, chosen, estimate, self.target)

    def whole(self) -> FittingOption | None:
        """Everything on the chosen devices; the context is reduced only if the user set none."""
        changes: dict[str, object] = {}
        fitting = self.attempt(self.target)
        lower = self._lower_utilization(fitting.estimate)
        if lower is not None:
            changes["memory_utilization"] = lower
            fitting = self.attempt(self.target, **changes)
        if not fits(fitting) and self._serves_fewer(fitting.estimate):
            changes["parallel"] = _FEW_REQUESTS
            fitting = self.attempt(self.target, **changes)
        if fits(fitting):
            return self._noted(fitting, changes)
        if self.wishes.context_tokens:
            return self._noted(fitting, changes) if fitting.within_margin else None
        smaller = self._smaller_context(fitting, changes)
        if smaller is not None:
            return smaller
        return self._noted(fitting, changes) if fitting.within_margin else None

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

    def _smaller_context(
        self, fitting: FittingOption, changes: dict[str, object]
    ) -> FittingOption | None:
        least = self.minimum()
        context = self._guess(fitting.estimate)
        close: FittingOption | None = None
        for _ in range(4):
            context = max(least, context // _STEP_TOKENS * _STEP_TOKENS)
            if context >= fitting.estimate.context_tokens:
                context = max(least, fitting.estimate.context_tokens // 2)
            fitting = self.attempt(context, **changes)
            if fits(fitting):
                return self._noted(fitting, changes)
            close = fitting if fitting.within_margin else close
            if context <= least:
                break
            context = min(self._guess(fitting.estimate), context * 3 // 4)
        return self._noted(close, changes) if close else None

    def _guess(self, estimate: Estimate) -> int:
        """A context in tokens that should fit, from the bytes per token and the shortage."""
        slots = self._slots()
        if estimate.kv_capacity_tokens is not None:
            pool = min((d.kv_pool_bytes or 0 for d in estimate.per_gpu), default=0)
            margin = estimate.margin_bytes / max(1, len(estimate.per_gpu))
            share = max(0.0, 1 - margin / pool) if pool else 0.0
            return int(estimate.kv_capacity_tokens * share / slots)
        short = max((missing(d) for d in devices(estimate)), default=0)
        per_token = max(1, estimate.kv_bytes_per_token) * slots
        room = estimate.context_tokens - (short + estimate.margin_bytes) // per_token
        return int(room)

    def offloaded(self) -> FittingOption | None:
        """Part of the model in host memory: experts first, then whole layers."""
        if self.wishes.parameter("n-gpu-layers"):
            return None
        for context in dict.fromkeys((self.target, min(self.target, 2 * self.minimum()))):
            fitting = self._moved(context)
            if fitting is not None:
                return self._noted(replace(fitting, offload="partial"), {})
        return None

    def _moved(self, context: int) -> FittingOption | None:
        layers = len(self.architecture.layers)
        if self.architecture.experts is not None:
            fitting = self._least(lambda n: {"cpu_experts": n}, layers, context)
            if fitting is not None:
                return fitting
        return self._least(lambda n: {"gpu_layers": layers - n}, layers - 1, context)

    def _least(
        self, change: Callable[[int], dict[str, object]], most: int, context: int
    ) -> FittingOption | None:
        """The smallest number (1 … most) of parts to move to the host so that the GPUs fit.

        Only the GPUs decide: moving more always lowers their use but fills the host. Parts have
        nearly equal size, so the unused bytes predict the number; bisection where they do not.
        """
        best = self.attempt(context, **change(most)) if most > 0 else None
        if best is None or not fits_gpus(best):
            return None
        share = self.option.candidate.shape.weights.total_bytes / len(self.option.gpus)
        part = max(1.0, share / most)
        low, high, room = 0, most, spare(best.estimate)  # low: too few parts; high: enough
        tries = 0
        while high - low > 1:
            guess = high - int(room / part) if tries < _GUESSES else (low + high) // 2
            middle, tries = min(high - 1, max(low + 1, guess)), tries + 1
            trial = self.attempt(context, **change(middle))
            unused = spare(trial.estimate)
            part = max(1.0, (room - unused) / (high - middle))
            if fits_gpus(trial):
                best, high, room = trial, middle, unused
            else:
                low = middle
        return best if fits(best) else None

    def minimum(self) -> int:
        """The smallest acceptable context in tokens; a requested context is never reduced."""
        if self.wishes.context_tokens:
            return self.wishes.context_tokens
        return min(self.architecture.context_tokens or MINIMUM_CONTEXT_TOKENS,
                   MINIMUM_CONTEXT_TOKENS, self.target)  # fmt: skip

    def miss(self, least: int, available: int) -> DoesNotFit:
        """The shortage in the last (smallest) estimate."""
        estimate = self.last
        if estimate is None:
            return _miss(
                self.option, least, available, "the weights alone leave no room for the context"
            )
        context = format_tokens(estimate.context_tokens)
        needed = max(estimate.total_bytes, least)
        uncertain = estimate.basis == "range" and (estimate.low_bytes or needed) <= available
        if engine(self.option.backend).reserves_pool and estimate.warnings:
            text = f"{self.option.label}: {estimate.warnings[0]}"
            return DoesNotFit(self.option, needed, available, text, uncertain=uncertain)
        text = (
            f"{self.option.label}: needs {format_bytes(needed)} with a context of {context}, "
            f"{format_bytes(available)} are free"
        )
        return DoesNotFit(self.option, needed, available, text, uncertain=uncertain)

    def _slots(self) -> int:
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
            parallel=wishes.parallel if pooled else self._slots(),
            tensor_parallel=option.tensor_parallel,
            pipeline_parallel=wishes.pipeline_parallel or 1,
            gpu_count=len(option.gpus),
            memory_utilization=self._utilization(),
            dtype=_dtype(option, wishes.backend_version),
            pooling=_pooling(self.architecture),
        )

    def _utilization(self) -> float | None:
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

    def _noted(self, fitting: FittingOption, changes: dict[str, object]) -> FittingOption:
        notes: list[str] = []
        context = fitting.estimate.context_tokens
        if fitting.launch.context_tokens < self.target:
            trained = format_tokens(self.target)
            notes.append(f"context reduced from {trained} to {format_tokens(context)} to fit")
        if "memory_utilization" in changes:
            notes.append(
                f"--gpu-memory-utilization {changes['memory_utilization']:g}: "
                "other programs use part of the device's memory"
            )
        if "parallel" in changes:
            notes.append(f"--max-num-seqs {_FEW_REQUESTS}: frees memory for the context")
        if fitting.offload == "partial":
            notes.append(_offload_note(fitting.launch, len(self.architecture.layers)))
        if fitting.crowded:
            notes.append(
                f"the KV cache has room for {fitting.estimate.max_concurrency or 0:.1f} requests "
                f"of full length at once, {fitting.estimate.parallel} were requested: others wait"
            )
        if fitting.within_margin:
            notes.append(
                "within the estimate's margin of the free memory: the engine may fail to start"
            )
        return replace(fitting, notes=tuple(notes))


def _dtype(option: Option, version: str | None) -> str | None:
    """BF16 weights on a GPU without bfloat16 arithmetic run in another type; else the engine's."""
    if not any("--dtype half" in note for note in option.support.notes):
        return None
    return engine(option.backend).computing_dtype(option.candidate.shape.architecture, version)


def _pooling(architecture: Architecture) -> str | None:
    """llama.cpp needs a pooling type to embed; most embedding models store it in the file."""
    return None if "pooling_type" in architecture.extra else "mean"


def _offload_note(launch: LaunchSettings, layers: int) -> str:
    if launch.cpu_experts:
        return f"the experts of {launch.cpu_experts} of {layers} layers stay in host memory"
    return f"{layers - (launch.gpu_layers or 0)} of {layers} layers run on the CPU"
