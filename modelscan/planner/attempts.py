"""Tries the options of one decision in the order of their smallest possible cost and collects those
that fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.machine import EngineHere
from modelscan.core.plan import ResolvedModel
from modelscan.engines.registry import engine
from modelscan.formats.quantization import bits_per_weight
from modelscan.planner.context import Option, PlanningContext
from modelscan.planner.feasibility import DoesNotFit, FittingOption
from modelscan.planner.fit import fit, too_large
from modelscan.planner.long_context import TOO_LONG
from modelscan.planner.rank import cost, floor, order
from modelscan.planner.recipes import with_recipe
from modelscan.planner.search import Rejected, Rejection, options
from modelscan.planner.starts import starting

if TYPE_CHECKING:
    from modelscan.core.verdict import Offload
    from modelscan.core.workload import Workload

ENOUGH_TO_SHOW = 3  # the choice and two alternatives
_BADLY_DEGRADED = 0.5  # of the perplexity's logarithm: about IQ2_XS
_OFFLOAD_COST = 0.3  # an offloaded option can never cost less (rank._OFFLOAD)


def contenders(
    engines: Sequence[EngineHere], wishes: Workload
) -> tuple[tuple[EngineHere, ...], tuple[EngineHere, ...]]:
    """(engines that the plan may use, engines of alternatives only).

    Ollama runs llama.cpp with fewer choices: it is chosen only if the user requested it or if it is
    the only engine, and says nothing about whether a model fits.
    """
    others = [
        e for e in engines
        if engine(e.name).own_server and not engine(e.name).needs_recipe
        and wishes.backend != e.name
    ]  # fmt: skip
    if len(others) == len(engines):
        return tuple(engines), ()
    return tuple(e for e in engines if e not in others), tuple(others)


@dataclass
class Attempts:
    """Tries options in the order of their smallest possible cost until no other can be better."""

    model: ResolvedModel
    case: PlanningContext
    engines: Sequence[EngineHere]
    explain: bool
    everything: bool = False
    best: float = math.inf  # the smallest cost so far
    fitted: list[FittingOption] = field(default_factory=list)
    misses: list[DoesNotFit] = field(default_factory=list)
    rejected: tuple[Rejected, ...] = ()  # by the hard constraints
    refused: list[tuple[str, str]] = field(default_factory=list)  # by the engine's own rules
    unknown: list[tuple[str, str]] = field(default_factory=list)  # in no table of the engine
    unsized: list[str] = field(default_factory=list)  # repositories
    too_long: bool = False  # the context exceeds the trained length, whatever the format
    _contenders: list[FittingOption] = field(default_factory=list)
    _aside: tuple[tuple[str, str], ...] = ()  # left out on engines of alternatives only
    _done: dict[tuple[int, str], int] = field(default_factory=dict)
    _whole: dict[int, FittingOption | DoesNotFit] = field(default_factory=dict)  # by id(option)

    def run(self) -> Attempts:
        """Estimate the options, first without and then with offload to the host; returns itself."""
        available = options(self.model, self.case, self.engines)
        self.rejected = available.rejected
        choices = available.options
        on_gpu = [option for option in choices if option.gpus]
        on_host = [option for option in choices if not option.gpus]
        whole = replace(self.case, offload=False)
        if on_gpu:
            self._try(on_gpu, whole, "none")
        else:
            self._try(on_host, whole, "cpu" if self.case.inventory.gpus else "none")
        if on_gpu and self._worth_offloading():
            largest = max(len(option.gpus) for option in on_gpu)
            spread = [
                o for o in on_gpu if len(o.gpus) == largest and engine(o.backend).offloads_layers
            ]
            contend = self.best > _OFFLOAD_COST
            self._try(spread, replace(self.case, offload=True), "partial", contend)
            self._try(on_host, whole, "cpu", contend and not self._same_memory(on_gpu))
        return self

    def add(self, other: Attempts) -> None:
        """Count the options of other engines among the alternatives and those left out."""
        self.fitted += other.fitted
        self._aside = other.left_out()

    def ranked(self) -> list[FittingOption]:
        """The options that fit, the best first."""
        return sorted(self.fitted, key=lambda fitting: order(fitting, self.case.wishes))

    def winner(self) -> FittingOption | None:
        """The best of the options that are tried whether or not alternatives are shown."""
        return min(
            self._contenders, key=lambda option: order(option, self.case.wishes), default=None
        )

    @property
    def undivided(self) -> bool:
        """Whether ``--tensor-parallel`` is a reason for a refusal: other GPUs would not help."""
        degree = (Rejection.TOO_MANY_GPUS, Rejection.DEGREE, Rejection.MIXED)
        return any(item.kind in degree for item in self.rejected)

    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Every option that was not chosen, as (option, reason)."""
        misses = ((miss.option.label, miss.reason) for miss in self.misses)
        rejected = ((item.option, item.reason) for item in self.rejected)
        return (*rejected, *self.unknown, *self.refused, *misses, *self._aside)

    def _worth_offloading(self) -> bool:
        if self.everything:
            return True
        return self.best > _OFFLOAD_COST or (self.explain and len(self.fitted) < 2)

    def _same_memory(self, on_gpu: Sequence[Option]) -> bool:
        """Whether a usable option fits a GPU whose memory is the host's: the CPU gains nothing."""
        if not any(gpu.unified_memory for option in on_gpu for gpu in option.gpus):
            return False
        winner = self.winner()
        quality = winner.option.candidate.quality if winner else None
        return quality is not None and quality.loss < _BADLY_DEGRADED

    def _try(
        self, choices: Iterable[Option], case: PlanningContext, offload: Offload,
        contend: bool = True,
    ) -> None:  # fmt: skip
        wishes = self.case.wishes
        queue = [(floor(option, wishes, offload), _bits(option), option) for option in choices]
        for least, _, option in sorted(queue, key=lambda entry: entry[:2]):
            if self._enough(least) or self._covered(option, offload):
                continue
            may_win = contend and not self._cannot_win(least)
            fitting = self._fit(option, case)
            if fitting is None or any(fitting is other for other in self.fitted):
                continue
            if offload == "cpu":
                fitting = replace(fitting, offload="cpu")
            self.fitted.append(fitting)
            if may_win:
                self._contenders.append(fitting)
                self.best = min(self.best, cost(fitting, wishes).total)
            if _complete(fitting):
                key = (id(option.candidate), option.backend)
                self._done.setdefault(key, len(option.gpus))

    def _fit(self, option: Option, case: PlanningContext) -> FittingOption | None:
        """Fit one option. An engine's usage error is raised only if the user requested it."""
        try:
            miss = too_large(option, case)
            if miss is not None:
                self.misses.append(miss)
                return None
            published, launch = starting(with_recipe(option, self.model, case), case)
            if not launch:
                (self.unknown if launch.unknown else self.refused).append(
                    (option.label, launch.reason)
                )
                return None
            known = self._whole.get(id(option)) if case.offload else None
            result = fit(published, case, whole=known)
        except (NotDeployableError, UsageError) as error:
            if case.wishes.backend and isinstance(error, UsageError):
                raise
            if error.code == "unknown_size":
                self.unsized.append(option.candidate.variant.repo)
            self.too_long = self.too_long or error.code == TOO_LONG
            self.refused.append((option.label, error.message))
            return None
        if isinstance(result, DoesNotFit):
            if result is not known:
                self.misses.append(result)
            self._whole.setdefault(id(option), result)
            return None
        notes = (*result.notes, *published.recipe.notes, *launch.notes)
        result = replace(result, notes=notes)
        self._whole.setdefault(id(option), result)
        return result

    def _cannot_win(self, least: float) -> bool:
        """Whether an option that costs at least ``least`` cannot become the winner (``--goal
        quality``).
        """
        wishes = self.case.wishes
        return wishes.goal == "quality" and wishes.mode != "latency" and least >= self.best

    def _enough(self, least: float) -> bool:
        """Whether enough options are collected and this one cannot become the winner."""
        if self.everything or (self.explain and len(self.fitted) < ENOUGH_TO_SHOW):
            return False
        return self._cannot_win(least)

    def _covered(self, option: Option, offload: str) -> bool:
        """Whether fewer devices already fit the full context, so that more would only help the
        speed.
        """
        if self.case.wishes.goal == "speed" or self.case.wishes.mode == "latency":
            return False
        fewer = self._done.get((id(option.candidate), option.backend))
        return fewer is not None and (offload != "none" or len(option.gpus) > fewer)


def _complete(fitting: FittingOption) -> bool:
    """Whether more devices would only help the speed."""
    whole = fitting.launch.context_tokens >= fitting.target_tokens
    return whole and not fitting.within_margin and not fitting.small_cache


def _bits(option: Option) -> float:
    """Sorts two lossless formats by size, so that the smaller one is tried and chosen first."""
    return bits_per_weight(option.candidate.variant.quantization) or 0.0
