"""Which way: every option that may work, made to fit, ranked, and explained.

Hard constraints come first (``engines.support``), then memory (``fit``), then preference
(``rank``). Pure: the same arguments always give the same Decision. Called by ``models.decide``
alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.plan import Decision, Missing, Plan, Refusal, ResolvedModel
from modelscan.core.verdict import Offload, Verdict
from modelscan.core.workload import Workload
from modelscan.engines.support import NATIVE, gpu_support, task_support
from modelscan.formats.quantization import bits_per_weight
from modelscan.planner import describe, hardware, refuse
from modelscan.planner.context import Estimator, Option, PlanningContext
from modelscan.planner.context import estimator as own_estimator
from modelscan.planner.feasibility import MINIMUM_CONTEXT_TOKENS, DoesNotFit, FittingOption
from modelscan.planner.fit import fit, too_large
from modelscan.planner.rank import cost, floor, order
from modelscan.planner.search import options, reject_reason, ruined
from modelscan.planner.user_flags import apply_user_flags, without_degree

ALTERNATIVES = 4
_WANTED_FITS = 3  # the choice and two alternatives
_MORE_SLOTS = 4
_OFFLOAD_COST = 0.3  # an offloaded option can never cost less (rank._OFFLOAD)


def decide(
    model: ResolvedModel,
    machine: Machine,
    wishes: Workload,
    *,
    estimator: Estimator | None = None,
    explain: bool = True,
    everything: bool = False,
    brief: bool = False,
) -> Decision:
    """The best plan on the machine's engines, its alternatives and what a missing engine would
    allow; or why nothing fits and what would.

    ``explain=False`` leaves out what only people read (alternatives, hardware that would do) and
    never changes the choice; ``everything`` keeps every way that fits as an alternative; ``brief``
    leaves a refusal at its verdict. Raises
    NotDeployableError for a repository's own code that was not allowed, UsageError for options that
    contradict each other.
    """
    closed = refuse.closed_refusal(model)
    if closed is not None:
        return Decision(plan=None, refusal=closed)
    refuse.remote_code(model, wishes)
    wishes = apply_user_flags(wishes)
    case = PlanningContext(
        machine=machine,
        inventory=machine.free_inventory(),
        wishes=wishes,
        task="embedding" if wishes.embedding else model.task,
        estimate=estimator or own_estimator(model.id, machine.history),
    )
    run = _Search(model, case, machine.engines, explain, everything).run()
    winner = run.winner()
    if winner is None:
        return _refusal(model, case, run, explain, brief)
    count = len(run.fitted) if everything else ALTERNATIVES if explain else 0
    others = _distinct(winner, run.ranked(), count)
    if explain and len(others) < _WANTED_FITS - 1:
        others = [*others, *_variations(winner, case)]
    return Decision(
        plan=describe.plan(model, winner, case, run.misses),
        refusal=None,
        alternatives=tuple(describe.plan(model, other, case, ()) for other in others),
        rejected=run.left_out(),
        missing=_with_missing_engines(model, case, run.best) if explain else (),
    )


def _with_missing_engines(
    model: ResolvedModel, case: PlanningContext, best: float = math.inf
) -> tuple[Missing, ...]:
    """What each engine that is not here would allow and would be better than ``best``."""
    gaps: list[Missing] = []
    for gap in case.machine.missing:
        engine = EngineHere(gap.name)
        found = _Search(model, case, (engine,), explain=False, best=best).run().winner()
        if found is None or (found.offload == "cpu" and gap.code == "cpu_only_build"):
            if gap.name == case.wishes.backend and not case.machine.has(gap.name):
                gaps.append(Missing("engine", gap.name, gap.reason, gap.command))
            continue
        if cost(found, case.wishes).total < best:
            plan = describe.plan(model, found, case, ())
            gaps.append(Missing("engine", gap.name, gap.reason, gap.command, plan))
    return tuple(gaps)


@dataclass
class _Search:
    """Tries options, cheapest possible cost first, until nothing left can be better."""

    model: ResolvedModel
    case: PlanningContext
    engines: Sequence[EngineHere]
    explain: bool
    everything: bool = False
    best: float = math.inf  # the smallest cost so far
    fitted: list[FittingOption] = field(default_factory=list)
    misses: list[DoesNotFit] = field(default_factory=list)
    rejected: tuple[tuple[str, str], ...] = ()  # by the hard constraints
    refused: list[tuple[str, str]] = field(default_factory=list)  # by the engine's own rules
    unsized: list[str] = field(default_factory=list)  # repositories
    _contenders: list[FittingOption] = field(default_factory=list)
    _done: dict[tuple[int, str], int] = field(default_factory=dict)

    def run(self) -> _Search:
        found = options(self.model, self.case, self.engines)
        self.rejected = found.rejected
        choices = [option for option in found.found if self._interesting(option)]
        on_gpu = [option for option in choices if option.gpus]
        on_host = [option for option in choices if not option.gpus]
        whole = replace(self.case, offload=False)
        if on_gpu:
            self._try(on_gpu, whole, "none")
        else:
            self._try(on_host, whole, "cpu" if self.case.inventory.gpus else "none")
        if on_gpu and self._worth_offloading():
            largest = max(len(option.gpus) for option in on_gpu)
            spread = [o for o in on_gpu if len(o.gpus) == largest and o.backend == "llama.cpp"]
            contend = self.best > _OFFLOAD_COST
            self._try(spread, replace(self.case, offload=True), "partial", contend)
            self._try(on_host, whole, "cpu", contend)
        return self

    def ranked(self) -> list[FittingOption]:
        """What fits, the best first."""
        return sorted(self.fitted, key=lambda found: order(found, self.case.wishes))

    def winner(self) -> FittingOption | None:
        """The best of what is tried whether or not alternatives are asked for."""
        return min(self._contenders, key=lambda found: order(found, self.case.wishes), default=None)

    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Every option that was not taken, with the reason."""
        misses = ((miss.option.label, miss.reason) for miss in self.misses)
        return (*self.rejected, *self.refused, *misses)

    def _interesting(self, option: Option) -> bool:
        """Ollama runs llama.cpp with fewer choices: an alternative to show, never the winner."""
        return option.backend != "ollama" or self.explain or self._may_win(option)

    def _may_win(self, option: Option) -> bool:
        """Ollama only where it was asked for, or is all there is."""
        if option.backend != "ollama" or self.case.wishes.backend == "ollama":
            return True
        return all(engine.name == "ollama" for engine in self.engines)

    def _worth_offloading(self) -> bool:
        if self.everything:
            return True
        return self.best > _OFFLOAD_COST or (self.explain and len(self.fitted) < 2)

    def _try(
        self, choices: Iterable[Option], case: PlanningContext, offload: Offload,
        contend: bool = True,
    ) -> None:  # fmt: skip
        wishes = self.case.wishes
        hopes = [(floor(option, wishes, offload), _bits(option), option) for option in choices]
        for least, _, option in sorted(hopes, key=lambda hope: hope[:2]):
            if self._enough(least) or self._covered(option, offload):
                continue
            may_win = contend and self._may_win(option) and not self._cannot_win(least)
            found = self._fit(option, case)
            if found is None:
                continue
            if offload == "cpu":
                found = replace(found, offload="cpu")
            self.fitted.append(found)
            if may_win:
                self._contenders.append(found)
                self.best = min(self.best, cost(found, wishes).total)
            if not found.within_margin and found.launch.context_tokens >= found.target_tokens:
                key = (id(option.candidate), option.backend)
                self._done.setdefault(key, len(option.gpus))

    def _fit(self, option: Option, case: PlanningContext) -> FittingOption | None:
        """Make it fit; an engine's refusal only stops everything when that engine was asked for."""
        try:
            missed = too_large(option, case)
            if missed is not None:
                self.misses.append(missed)
                return None
            why = reject_reason(option)
            if why:
                self.refused.append((option.label, why))
                return None
            found = fit(option, case)
        except (NotDeployableError, UsageError) as error:
            if case.wishes.backend and isinstance(error, UsageError):
                raise
            if error.code == "unknown_size":
                self.unsized.append(option.candidate.variant.repo)
            self.refused.append((option.label, error.message))
            return None
        if isinstance(found, DoesNotFit):
            self.misses.append(found)
            return None
        return found

    def _cannot_win(self, least: float) -> bool:
        """Under ``--goal quality`` an option that costs at least this cannot win any more."""
        wishes = self.case.wishes
        return wishes.goal == "quality" and wishes.mode != "latency" and least >= self.best

    def _enough(self, least: float) -> bool:
        """Whether there is enough to show, and this one cannot win."""
        if self.everything or (self.explain and len(self.fitted) < _WANTED_FITS):
            return False
        return self._cannot_win(least)

    def _covered(self, option: Option, offload: str) -> bool:
        """More devices do not help what already fits as wanted, unless speed is the goal."""
        if self.case.wishes.goal == "speed" or self.case.wishes.mode == "latency":
            return False
        fewer = self._done.get((id(option.candidate), option.backend))
        return fewer is not None and (offload != "none" or len(option.gpus) > fewer)


def _bits(option: Option) -> float:
    """Of two lossless formats the smaller one is tried first, and so chosen."""
    return bits_per_weight(option.candidate.variant.quantization) or 0.0


def _distinct(
    winner: FittingOption, ranked: Sequence[FittingOption], count: int
) -> list[FittingOption]:
    """The next best that differ from the winner and each other in format, engine or devices."""

    def kind(found: FittingOption) -> tuple[object, ...]:
        variant = found.option.candidate.variant
        return (variant.repo, variant.quantization, found.option.backend, found.offload)

    seen = {kind(winner)}
    others: list[FittingOption] = []
    for found in ranked:
        if kind(found) not in seen and len(others) < count:
            seen.add(kind(found))
            others.append(found)
    return others


def _variations(best: FittingOption, case: PlanningContext) -> list[FittingOption]:
    """The same weights and devices with other settings."""
    partial = best.offload == "partial"
    found: list[FittingOption] = []
    for wish in _wishes(best, case):
        try:
            other = fit(best.option, replace(case, wishes=wish, offload=partial))
        except (NotDeployableError, UsageError):
            continue  # the engine takes no such setting for this model
        if not isinstance(other, FittingOption) or other.within_margin:
            continue
        if other.chosen not in [known.chosen for known in (best, *found)]:
            found.append(replace(other, offload="cpu") if best.offload == "cpu" else other)
    return found


def _wishes(best: FittingOption, case: PlanningContext) -> Iterator[Workload]:
    """All the context, more requests at once, a smaller cache, half the context."""
    wanted = case.wishes
    if not wanted.context_tokens and wanted.goal != "context":
        yield replace(wanted, goal="context")
    if not wanted.parallel and case.task == "chat" and best.option.backend == "llama.cpp":
        yield replace(wanted, parallel=_MORE_SLOTS, context_tokens=best.target_tokens)
    small = _small_cache(best)
    if not wanted.kv_cache_k and small:
        yield replace(wanted, kv_cache_k=small, kv_cache_v=small)
    half = best.launch.context_tokens // 2
    if not wanted.context_tokens and half >= MINIMUM_CONTEXT_TOKENS:
        yield replace(wanted, context_tokens=half)


def _small_cache(best: FittingOption) -> str | None:
    """The 8-bit cache of an engine, where it helps: the context is short, or part is offloaded."""
    if best.launch.context_tokens >= best.target_tokens and best.offload != "partial":
        return None
    if best.option.backend in ("llama.cpp", "ollama"):
        return "q8_0"
    gpus = best.option.gpus
    native = gpus and gpu_support("safetensors", "FP8", best.option.backend, gpus[0])
    return "fp8" if native and native.kind == NATIVE else None


def _refusal(
    model: ResolvedModel, case: PlanningContext, run: _Search, explain: bool, brief: bool
) -> Decision:
    """Why there is no plan: with numbers, what is missing, and what would do."""
    absent = refuse.absent(model, case.wishes)
    missing = (*_unknown(model, case, run, absent), *_with_missing_engines(model, case))
    verdict, code = _verdict(model, case, run, missing)
    if brief:
        return Decision(None, Refusal(model.id, verdict, code, (), None, None), missing=missing)
    smallest = min(run.misses, key=lambda miss: (miss.bound, miss.needed_bytes), default=None)
    needed = describe.precise(smallest).needed_bytes if smallest else None
    if absent:
        needed = refuse.least_bytes(model, case)
    listed = any(candidate.variant.format == "gguf" for candidate in model.candidates)
    sized = listed if verdict is Verdict.UNKNOWN else code == verdict.value
    refusals = (*run.refused, *describe.telling(run.rejected))
    gaps = [gap.reason for gap in missing if gap.kind != "engine" or code != verdict.value]
    reasons = describe.refusal_reasons(model, case, run.misses, refusals, absent)
    refusal = Refusal(
        model=model.id,
        verdict=verdict,
        code=code,
        reasons=tuple(dict.fromkeys((*gaps, *reasons))),
        needed_bytes=needed,
        available_bytes=describe.most_available(case.inventory),
        required=hardware.required(model, case) if explain and sized else (),
        alternatives=_nearest(model, case) if explain else (),
    )
    return Decision(plan=None, refusal=refusal, rejected=run.left_out(), missing=missing)


def _verdict(
    model: ResolvedModel,
    case: PlanningContext,
    run: _Search,
    missing: Sequence[Missing],
) -> tuple[Verdict, str]:
    """The verdict of a refusal, and its code: a missing fact is never a no."""
    engines = [gap for gap in missing if gap.kind == "engine"]
    if len(engines) < len(missing):
        return Verdict.UNKNOWN, Verdict.UNKNOWN.value
    codes = {gap.reason: gap.code for gap in case.machine.missing}
    if engines:
        return Verdict.NOT_SUPPORTED, codes[engines[0].reason]
    too_little = refuse.size_sentence(model, case, describe.most_available(case.inventory))
    served = any(task_support(case.task, engine.name) for engine in case.machine.engines)
    if run.misses or (too_little and served) or _too_many_gpus(run):
        return Verdict.DOES_NOT_FIT, Verdict.DOES_NOT_FIT.value
    return Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED.value


def _too_many_gpus(run: _Search) -> bool:
    """``--tensor-parallel`` asks for more GPUs than there are: larger hardware would do."""
    return any("GPUs are asked for" in why for _, why in run.rejected)


def _unknown(
    model: ResolvedModel, case: PlanningContext, run: _Search, absent: str | None
) -> tuple[Missing, ...]:
    """The facts without which no verdict can be given, each with the command that tells them."""
    gaps: list[Missing] = []
    if refuse.unlisted_may_fit(model, case):
        repo = model.unlisted[0]
        gaps.append(
            Missing("file_list", repo, f"{repo} has GGUF files whose names are not known here",
                    f"modelscan plan hf:{repo}")
        )  # fmt: skip
    for repo in (*model.unsized, *run.unsized)[: 0 if run.misses else 1]:
        gaps.append(
            Missing("size", repo, f"the size of {repo} is not known", f"modelscan plan hf:{repo}")
        )
    known = model.candidates or model.unlisted or model.unsized or model.other_formats
    if not known:
        gaps.append(
            Missing("repository", model.id, f"no repository with weights of {model.id} is known",
                    "modelscan plan hf:ORG/REPO")
        )  # fmt: skip
    unsure = next((miss for miss in run.misses if miss.uncertain), None)
    if unsure is not None and not absent:
        repo = unsure.option.candidate.variant.repo
        gaps.append(
            Missing("architecture", repo, f"the architecture of {model.id} is not known: its size "
                    f"is a range, of which the lower end would fit", f"modelscan plan hf:{repo}")
        )  # fmt: skip
    return tuple(gaps)


def _nearest(model: ResolvedModel, case: PlanningContext) -> tuple[Plan, ...]:
    """What would fit on this hardware if one wish were dropped."""
    plans: list[Plan] = []
    for wishes in _relaxed(model, case.wishes):
        try:
            plan = decide(model, case.machine, wishes, estimator=case.estimate, explain=False).plan
        except NotDeployableError:
            continue
        if plan is not None and plan.parameters not in [other.parameters for other in plans]:
            plans.append(plan)
    return tuple(plans)


def _relaxed(model: ResolvedModel, wishes: Workload) -> list[Workload]:
    """The wishes with one of them dropped at a time; last, all that can be."""
    relaxed: list[Workload] = []
    if not wishes.quantization:
        names = [c.variant.quantization for c in model.candidates if ruined(c)]
        relaxed += [replace(wishes, quantization=name) for name in names[:1]]
    if wishes.quantization:
        relaxed.append(replace(wishes, quantization=None))
    if wishes.context_tokens:
        relaxed.append(replace(wishes, context_tokens=None))
    if wishes.tensor_parallel:
        relaxed.append(without_degree(wishes))
    if wishes.backend:
        relaxed.append(replace(wishes, backend=None, backend_version=None, parameters=()))
    if len(relaxed) > 1:
        relaxed.append(replace(relaxed[-1], quantization=None, context_tokens=None))
    return relaxed
