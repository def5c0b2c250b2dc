"""Which way: every option that may work, made to fit, ranked, and explained.

Hard constraints come first (``support``), then memory (``fit``), then preference (``rank``).
Pure: the same arguments always give the same Decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.measurement import Measurement
from modelscan.core.plan import Decision, Held, NoFit, Plan, Subject
from modelscan.core.workload import Workload
from modelscan.engines.registry import engine
from modelscan.engines.support import NATIVE, gpu_support
from modelscan.formats.quantization import bits_per_weight
from modelscan.planner import describe, hardware, refuse
from modelscan.planner.case import MINIMUM_CONTEXT_TOKENS, Case, Estimator, Fitted, Miss
from modelscan.planner.case import estimator as own_estimator
from modelscan.planner.fit import fit, too_large
from modelscan.planner.rank import cost, floor, order
from modelscan.planner.search import Option, options, reject_reason, ruined
from modelscan.planner.user_flags import with_named, without_degree

ALTERNATIVES = 4
_WANTED_FITS = 3  # the choice and two alternatives
_MORE_SLOTS = 4
_OFFLOAD_COST = 0.3  # an offloaded option can never cost less (rank._OFFLOAD)


def decide(
    subject: Subject,
    inventory: Inventory,
    workload: Workload,
    held: Sequence[Held] = (),
    *,
    history: Sequence[Measurement] = (),
    estimator: Estimator | None = None,
    explain: bool = True,
    everything: bool = False,
) -> Decision:
    """The best plan and its alternatives, or why nothing fits and what would.

    ``held`` is memory promised to deployments that the probe does not show yet; ``history`` earlier
    starts on this machine, from which margins learn. ``explain=False``
    leaves out what only people read (alternatives, hardware that would do); ``everything`` keeps
    every way that fits as an alternative. Raises NotDeployableError for closed weights and for a
    repository's own code that was not allowed.
    """
    refuse.closed(subject)
    refuse.remote_code(subject, workload)
    workload = with_named(workload)
    case = Case(
        inventory=_without(inventory, held),
        wanted=workload,
        task="embedding" if workload.embedding else subject.task,
        estimate=estimator or own_estimator(subject.id, history),
    )
    run = _Search(subject, case, explain, everything).run()
    if not run.fitted:
        return _no_fit(subject, case, run, explain)
    ranked = sorted(run.fitted, key=lambda found: order(found, workload))
    best, others = (
        ranked[0],
        _distinct(ranked, len(ranked) if everything else ALTERNATIVES if explain else 0),
    )
    if explain and len(others) < _WANTED_FITS - 1:
        others = [*others, *_variations(best, case)]
    return Decision(
        plan=describe.plan(subject, best, case, run.misses, len(subject.candidates)),
        no_fit=None,
        alternatives=tuple(
            describe.plan(subject, other, case, (), len(subject.candidates)) for other in others
        ),
        rejected=run.left_out(),
    )


def _without(inventory: Inventory, held: Sequence[Held]) -> Inventory:
    """The inventory less what is promised to others."""
    if not held:
        return inventory

    def left(free: int | None, index: int | None) -> int | None:
        promised = sum(item.memory_bytes for item in held if item.index == index)
        return None if free is None else max(0, free - promised)

    gpus = tuple(replace(g, free_bytes=left(g.free_bytes, g.index)) for g in inventory.gpus)
    host = replace(inventory.host, free_bytes=left(inventory.host.free_bytes, None))
    return replace(inventory, gpus=gpus, host=host)


@dataclass
class _Search:
    """Tries options, cheapest possible cost first, until nothing left can be better."""

    subject: Subject
    case: Case
    explain: bool
    everything: bool = False
    fitted: list[Fitted] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    rejected: tuple[tuple[str, str], ...] = ()  # by the hard constraints
    refused: list[tuple[str, str]] = field(default_factory=list)  # by the engine's own rules
    best: float = math.inf  # the smallest cost so far
    _done: dict[tuple[int, str], int] = field(default_factory=dict)

    def run(self) -> _Search:
        found = options(self.subject, self.case.inventory, self.case.wanted)
        self.rejected = found.rejected
        wanted = [option for option in found.found if self._interesting(option)]
        on_gpu = [option for option in wanted if option.gpus]
        on_host = [option for option in wanted if not option.gpus]
        self._try(on_gpu or on_host, replace(self.case, offload=False), "none")
        if on_gpu and self._worth_offloading():
            largest = max(len(option.gpus) for option in on_gpu)
            spread = [
                o for o in on_gpu if len(o.gpus) == largest and engine(o.backend).offloads_layers
            ]
            self._try(spread, replace(self.case, offload=True), "partial")
            self._try(on_host, replace(self.case, offload=False), "cpu")
        return self

    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Every option that was not taken, with the reason."""
        misses = ((miss.option.label, miss.reason) for miss in self.misses)
        return (*self.rejected, *self.refused, *misses)

    def _interesting(self, option: Option) -> bool:
        """Ollama runs llama.cpp with fewer choices: an alternative to show, never the winner."""
        chosen = self.case.wanted.backend == option.backend
        return not engine(option.backend).own_server or self.explain or chosen

    def _worth_offloading(self) -> bool:
        if self.everything:
            return True
        return self.best > _OFFLOAD_COST or (self.explain and len(self.fitted) < 2)

    def _try(self, choices: Iterable[Option], case: Case, offload: str) -> None:
        wanted = self.case.wanted
        hopes = [(floor(option, wanted, offload), _bits(option), option) for option in choices]
        for least, _, option in sorted(hopes, key=lambda hope: hope[:2]):
            if self._enough(least) or self._covered(option, offload):
                continue
            found = self._fit(option, case)
            if found is None:
                continue
            if offload == "cpu":
                found = replace(found, offload="cpu")
            self.fitted.append(found)
            self.best = min(self.best, cost(found, wanted).total)
            if not found.tight and found.launch.context_tokens >= found.target_tokens:
                key = (id(option.candidate), option.backend)
                self._done.setdefault(key, len(option.gpus))

    def _fit(self, option: Option, case: Case) -> Fitted | None:
        """Make it fit; an engine's refusal only stops everything when that engine was asked for."""
        missed = too_large(option, case)
        if missed is not None:
            self.misses.append(missed)
            return None
        why = reject_reason(option)
        if why:
            self.refused.append((option.label, why))
            return None
        try:
            found = fit(option, case)
        except (NotDeployableError, UsageError) as error:
            if case.wanted.backend and isinstance(error, UsageError):
                raise
            self.refused.append((option.label, error.message))
            return None
        if isinstance(found, Miss):
            self.misses.append(found)
            return None
        return found

    def _enough(self, least: float) -> bool:
        """Under ``--goal quality`` an option that costs at least this cannot win any more."""
        wanted = self.case.wanted
        if self.everything or wanted.goal != "quality" or wanted.mode == "latency":
            return False
        if len(self.fitted) < (_WANTED_FITS if self.explain else 1):
            return False
        return least >= self.best

    def _covered(self, option: Option, offload: str) -> bool:
        """More devices do not help what already fits as wanted, unless speed is the goal."""
        if self.case.wanted.goal == "speed" or self.case.wanted.mode == "latency":
            return False
        fewer = self._done.get((id(option.candidate), option.backend))
        return fewer is not None and (offload != "none" or len(option.gpus) > fewer)


def _bits(option: Option) -> float:
    """Of two lossless formats the smaller one is tried first, and so chosen."""
    return bits_per_weight(option.candidate.variant.quantization) or 0.0


def _distinct(ranked: Sequence[Fitted], count: int) -> list[Fitted]:
    """The next best that differ from the choice and each other in format, engine or devices."""

    def kind(found: Fitted) -> tuple[object, ...]:
        variant = found.option.candidate.variant
        return (variant.repo, variant.quantization, found.option.backend, found.offload)

    seen = {kind(ranked[0])}
    others: list[Fitted] = []
    for found in ranked[1:]:
        if kind(found) not in seen and len(others) < count:
            seen.add(kind(found))
            others.append(found)
    return others


def _variations(best: Fitted, case: Case) -> list[Fitted]:
    """The same weights and devices with other settings."""
    partial = best.offload == "partial"
    found: list[Fitted] = []
    for wish in _wishes(best, case):
        try:
            other = fit(best.option, replace(case, wanted=wish, offload=partial))
        except (NotDeployableError, UsageError):
            continue  # the engine takes no such setting for this model
        if not isinstance(other, Fitted) or other.tight:
            continue
        if other.chosen not in [known.chosen for known in (best, *found)]:
            found.append(replace(other, offload="cpu") if best.offload == "cpu" else other)
    return found


def _wishes(best: Fitted, case: Case) -> Iterator[Workload]:
    """All the context, more requests at once, a smaller cache, half the context."""
    wanted = case.wanted
    if not wanted.context_tokens and wanted.goal != "context":
        yield replace(wanted, goal="context")
    one = engine(best.option.backend)
    if not wanted.parallel and case.task == "chat" and one.divides_context:
        yield replace(wanted, parallel=_MORE_SLOTS, context_tokens=best.target_tokens)
    small = _small_cache(best)
    if not wanted.kv_cache_k and small:
        yield replace(wanted, kv_cache_k=small, kv_cache_v=small)
    half = best.launch.context_tokens // 2
    if not wanted.context_tokens and half >= MINIMUM_CONTEXT_TOKENS:
        yield replace(wanted, context_tokens=half)


def _small_cache(best: Fitted) -> str | None:
    """The 8-bit cache of an engine, where it helps: the context is short, or part is offloaded."""
    if best.launch.context_tokens >= best.target_tokens and best.offload != "partial":
        return None
    one, gpus = engine(best.option.backend), best.option.gpus
    if one.runs_gguf:
        return one.small_cache
    native = gpus and gpu_support("safetensors", "FP8", best.option.backend, gpus[0])
    return one.small_cache if native and native.kind == NATIVE else None


def _no_fit(subject: Subject, case: Case, run: _Search, explain: bool) -> Decision:
    absent = refuse.absent(subject, case.wanted)
    smallest = min(run.misses, key=lambda miss: (miss.bound, miss.needed_bytes), default=None)
    needed = describe.precise(smallest).needed_bytes if smallest else None
    if absent:
        needed = refuse.least_bytes(subject, case)
    required = hardware.required(subject, case) if explain else ()
    relaxed = _nearest(subject, case) if explain else ()
    no_fit = NoFit(
        model=subject.id,
        reasons=describe.no_fit_reasons(
            subject, case, run.misses, (*run.refused, *describe.telling(run.rejected)), absent
        ),
        needed_bytes=needed,
        available_bytes=describe.most_available(case.inventory),
        required=required,
        alternatives=relaxed,
    )
    return Decision(plan=None, no_fit=no_fit, rejected=run.left_out())


def _nearest(subject: Subject, case: Case) -> tuple[Plan, ...]:
    """What would fit on this hardware if one wish were dropped."""
    wanted = case.wanted
    relaxed: list[Workload] = []
    if not wanted.quantization:
        names = [c.variant.quantization for c in subject.candidates if ruined(c)]
        relaxed += [replace(wanted, quantization=name) for name in names[:1]]
    if wanted.quantization:
        relaxed.append(replace(wanted, quantization=None))
    if wanted.context_tokens:
        relaxed.append(replace(wanted, context_tokens=None))
    if wanted.tensor_parallel:
        relaxed.append(without_degree(wanted))
    if wanted.backend:
        relaxed.append(replace(wanted, backend=None, backend_version=None, parameters=()))
    if len(relaxed) > 1:
        relaxed.append(replace(relaxed[-1], quantization=None, context_tokens=None))
    plans: list[Plan] = []
    for workload in relaxed:
        try:
            found = decide(
                subject, case.inventory, workload, estimator=case.estimate, explain=False
            ).plan
        except NotDeployableError:
            continue
        if found is not None and found.parameters not in [plan.parameters for plan in plans]:
            plans.append(found)
    return tuple(plans)
