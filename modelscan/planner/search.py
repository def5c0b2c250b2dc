"""All options of a decision: every variant x engine x set of devices that is supported."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from modelscan.engines import registry, support
from modelscan.formats.quantization import means
from modelscan.planner.context import Option, PlanningContext, device_label
from modelscan.planner.quality import describe as quality_words
from modelscan.planner.refuse import elsewhere
from modelscan.planner.user_flags import flag_of_other_engine

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.machine import EngineHere
    from modelscan.core.plan import Candidate, ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.engines.support import Support
    from modelscan.engines.support_rules import Drawback


class Rejection(enum.Enum):
    """Why an option is rejected, as far as later steps distinguish it."""

    FORMAT = "format"  # the engine does not load files of this format
    ON_REQUEST = "on_request"  # used only with --quantization
    TOO_MANY_GPUS = "too_many_gpus"  # --tensor-parallel exceeds the machine
    DEGREE = "degree"  # --tensor-parallel cannot be honoured by this engine or with these GPUs
    MIXED = "mixed"  # --tensor-parallel on GPUs of several kinds
    OTHER = "other"


class Rejected(NamedTuple):
    """A rejected option with its reason for users."""

    option: str
    reason: str
    kind: Rejection = Rejection.OTHER


RUINED_LOSS = 1.0  # perplexity x 2.7: formats of less than two bits


@dataclass(frozen=True, slots=True)
class SupportedOptions:
    """The supported options, and the rejected ones."""

    options: tuple[Option, ...]
    rejected: tuple[Rejected, ...]


def options(
    model: ResolvedModel,
    context: PlanningContext,
    engines: Sequence[EngineHere],
    sets: Sequence[tuple[Gpu, ...]] | None = None,
) -> SupportedOptions:
    """Every option on these engines that the hard constraints allow, on every set of devices or
    only on these ``sets``.
    """
    options: list[Option] = []
    rejected: dict[str, Rejected] = {}
    inventory, wishes = context.inventory, context.wishes
    sets = device_sets(inventory, wishes) if sets is None else sets
    search = _Search(model, context, engines, sets)
    if not search.engines and model.candidates:
        rejected.update({name: Rejected(name, why) for name, why in _no_engine(context).items()})
    for candidate in model.candidates:
        if not _matches(candidate, wishes):
            continue
        if ruined(candidate) and not wishes.quantization:
            name = str(candidate.variant.quantization)
            reason = f"{describe(candidate)}: only with --quantization {name}"
            rejected.setdefault(name, Rejected(name, reason, Rejection.ON_REQUEST))
            continue
        if _pointless(candidate, model) and not wishes.quantization:
            name = str(candidate.variant.quantization)
            reason = f"{describe(candidate)}: only with --quantization {name}"
            rejected.setdefault(f"{name} upcast", Rejected(name, reason, Rejection.ON_REQUEST))
            continue
        for engine, engine_sets, refusal in search.engines:
            for option in search.of(candidate, engine, engine_sets, refusal):
                if isinstance(option, Option):
                    options.append(option)
                else:
                    rejected.setdefault(option.option, option)
    return SupportedOptions(tuple(options), tuple(rejected.values()))


def _no_engine(context: PlanningContext) -> dict[str, str]:
    """The reason why no engine can start: the requested one is not installed, or none is."""
    machine, backend = context.machine, context.wishes.backend
    lacking = [gap for gap in machine.missing if backend in (None, gap.name)]
    if lacking:
        return {gap.name: gap.reason for gap in lacking}
    names = ", ".join(engine.name for engine in machine.engines) or "no engine"
    return {backend or "engines": f"{machine.where} has {names}"}


def _matches(candidate: Candidate, workload: Workload) -> bool:
    quantization, variant = workload.quantization, candidate.variant
    return quantization is None or means(quantization, variant.quantization, variant.format)


def ruined(candidate: Candidate) -> bool:
    """Whether a format degrades the model so far that a smaller model is always better."""
    return candidate.quality is not None and candidate.quality.loss > RUINED_LOSS


def _pointless(candidate: Candidate, model: ResolvedModel) -> bool:
    """Whether it is a stranger's upcast of published weights that are among the candidates."""
    quality = candidate.quality
    if quality is None or quality.basis != "upcast" or candidate.publisher != "other":
        return False
    return any(c.quality is not None and c.quality.basis == "original" for c in model.candidates)


def describe(candidate: Candidate) -> str:
    """The quality of a candidate as text."""
    return quality_words(candidate.quality) if candidate.quality else "quality unknown"


class _Search:
    """One search; what is the same for all candidates is computed once."""

    def __init__(
        self,
        model: ResolvedModel,
        context: PlanningContext,
        engines: Sequence[EngineHere],
        sets: Sequence[tuple[Gpu, ...]],
    ) -> None:
        self.model, self.context, self.workload = model, context, context.wishes
        self.inventory, self.sets = context.inventory, sets
        backend = self.workload.backend
        self.engines = [
            (engine, self._usable_sets(engine), self._refusal(engine))
            for engine in engines
            if backend in (None, engine.name)
        ]
        self._gpu_support: dict[tuple[object, ...], Support] = {}
        self._formats: dict[tuple[str, str], Support] = {}
        self._drawbacks: dict[tuple[str, int, str | None], Drawback | None] = {}

    def _usable_sets(self, engine: EngineHere) -> Sequence[tuple[Gpu, ...]]:
        """The sets of devices that this build of the engine can use."""
        usable, sets = engine.gpus, self.sets
        if registry.engine(engine.name).needs_recipe:
            sets = [gpus for gpus in sets if len(gpus) == 1]
        if usable is None:
            return sets
        return [gpus for gpus in sets if all(gpu.index in usable for gpu in gpus)]

    def _refusal(self, engine: EngineHere) -> str | None:
        """Why an engine cannot be used with any format; None if it can."""
        backend = engine.name
        for check in (
            support.task_support(self.context.task, backend),
            support.platform_support(backend, self.inventory),
        ):
            if not check:
                return check.reason
        if self.workload.force:
            return None
        foreign = flag_of_other_engine(self.workload, backend)
        if foreign is not None:
            return foreign
        version = self.context.wishes_on(engine).backend_version
        accepted = support.option_support(backend, self.workload, version)
        return None if accepted else accepted.reason

    def of(
        self,
        candidate: Candidate,
        engine: EngineHere,
        sets: Sequence[tuple[Gpu, ...]],
        refusal: str | None,
    ) -> Iterator[Option | Rejected]:
        """The options of one candidate on one engine, and the rejected ones."""
        variant, workload = candidate.variant, self.workload
        label = f"{variant.quantization or '?'} {variant.format} on {engine.name}"
        loads = self._loads(variant.format, engine.name)
        if not loads or refusal:
            if not loads:
                yield Rejected(label, loads.reason, Rejection.FORMAT)
            else:
                yield Rejected(label, str(refusal))
            return
        if candidate.online and not self._quantizes(candidate, engine):
            return
        undivided = self._undivided(engine.name)
        if undivided is not None:
            yield undivided._replace(option=label)
            return
        recommended = _has_recipe(self.model, candidate, engine.name, workload.mode)
        elsewhere = None if recommended else self._recipe_elsewhere(variant.repo, engine.name)
        if registry.engine(engine.name).needs_recipe and not recommended:
            yield Rejected(label, elsewhere or f"no recipe gives this model to {engine.name}")
            return
        if elsewhere is not None:
            yield Rejected(label, elsewhere)
            return
        yield from self._on_host(candidate, engine, label, recommended)
        for gpus in sets:
            yield self._on(candidate, engine, gpus, label, recommended)

    def _quantizes(self, candidate: Candidate, engine: EngineHere) -> bool:
        """Whether this engine's version can quantize the candidate's 16-bit files itself."""
        version = self.workload.backend_version or engine.version
        one = registry.engine(engine.name)
        return one.online_quantization(candidate.variant.quantization, version) is not None

    def _recipe_elsewhere(self, repo: str, backend: str) -> str | None:
        """Why a task of its own is not planned here: its only recipe is for another server."""
        if self.context.task not in registry.engine(backend).recipe_tasks:
            return None
        specs = self.model.model.specs if self.model.model else ()
        others = [spec.backend for spec in specs if spec.repo == repo]
        if not others:
            return None
        return elsewhere(others[0])

    def _undivided(self, backend: str) -> Rejected | None:
        """Why ``--tensor-parallel`` cannot be honoured by an engine here; None if it can."""
        degree = self.workload.tensor_parallel or 1
        if degree < 2:
            return None
        if not self.sets:
            count = len(self.inventory.gpus)
            available = f"{count} {'is' if count == 1 else 'are'} available"
            reason = f"--tensor-parallel requires {degree} GPUs; {available}"
            return Rejected("", reason, Rejection.TOO_MANY_GPUS)
        if not registry.engine(backend).splits_tensors:
            reason = f"--tensor-parallel {degree}: {backend} divides a model by whole layers"
            return Rejected("", reason, Rejection.DEGREE)
        return None

    def _loads(self, file_format: str, backend: str) -> Support:
        format_support = self._formats.get((file_format, backend))
        if format_support is None:
            unsafe = self.workload.allow_unsafe
            format_support = support.format_support(file_format, backend, unsafe=unsafe)
            self._formats[file_format, backend] = format_support
        return format_support

    def _on_host(
        self, candidate: Candidate, engine: EngineHere, label: str, recommended: bool
    ) -> Iterator[Option | Rejected]:
        gguf = registry.engine(engine.name).runs_gguf
        cpu_only = engine.gpus == () and bool(self.inventory.gpus)
        if not gguf and self.inventory.gpus and not cpu_only:
            return
        if cpu_only and self.context.machine.selected:
            note = engine.note or f"this {engine.name} was built for the CPU only"
            yield Rejected(label, note)
            return
        forced = self.workload.force and bool(self.workload.backend)
        host_support = support.host_support(
            candidate.variant.format, engine.name, self.inventory, forced=forced and not gguf
        )
        if gguf or host_support:
            yield Option(candidate, engine, engine.name, (), 1, host_support, recommended)
        else:
            yield Rejected(label, engine.note or host_support.reason)

    def _on(
        self,
        candidate: Candidate,
        engine: EngineHere,
        gpus: tuple[Gpu, ...],
        label: str,
        recommended: bool,
    ) -> Option | Rejected:
        backend = engine.name
        gpu_support = self._support(candidate, engine, gpus[0])
        if not gpu_support and not self._insisted():
            return Rejected(f"{label}, {device_label(gpus)}", gpu_support.reason)
        degree = 1
        if registry.engine(backend).splits_tensors:
            if len(gpus) > 1 and len({(gpu.name, gpu.memory_bytes) for gpu in gpus}) > 1:
                where = f"{label}, {device_label(gpus)}"
                kind = Rejection.MIXED if self.workload.tensor_parallel else Rejection.OTHER
                return Rejected(where, "tensor parallelism needs identical GPUs", kind)
            degree = len(gpus) // (self.workload.pipeline_parallel or 1)
        drawback = self._drawback(backend, gpus[0])
        return Option(candidate, engine, backend, gpus, degree, gpu_support, recommended, drawback)

    def _drawback(self, backend: str, gpu: Gpu) -> Drawback | None:
        """Why another engine is preferred for chat here; batches of vectors suit any engine."""
        if self.context.task != "chat" or backend == self.workload.backend:
            return None
        key = (backend, gpu.index, gpu.worker)
        if key not in self._drawbacks:
            self._drawbacks[key] = registry.engine(backend).drawback(gpu)
        return self._drawbacks[key]

    def _insisted(self) -> bool:
        """Whether ``--force`` applies: the user named an engine or a format."""
        wishes = self.workload
        return wishes.force and bool(wishes.backend or wishes.quantization)

    def _support(self, candidate: Candidate, engine: EngineHere, gpu: Gpu) -> Support:
        """Support of a format by an engine on a GPU, looked up once per format and device."""
        variant, backend = candidate.variant, engine.name
        original = candidate.quality is None or candidate.quality.basis == "original"
        key = (variant.format, variant.quantization, original, backend, gpu.index, gpu.worker)
        gpu_support = self._gpu_support.get(key)
        if gpu_support is None:
            gpu_support = self._gpu_support[key] = support.gpu_support(
                variant.format,
                variant.quantization,
                backend,
                gpu,
                original=original,
                version=self.context.wishes_on(engine).backend_version,
            )
        return gpu_support


def _has_recipe(model: ResolvedModel, candidate: Candidate, backend: str, mode: str) -> bool:
    specs = model.model.specs if model.model else ()
    return any(
        spec.repo == candidate.variant.repo
        and spec.backend.lower() == backend
        and (spec.mode or "standard") == mode
        for spec in specs
    )


def device_sets(inventory: Inventory, workload: Workload) -> tuple[tuple[Gpu, ...], ...]:
    """Sets of devices worth trying, small before large: equal cards first, then mixtures.

    Integrated GPUs are omitted if the machine has a card, hidden devices (CUDA_VISIBLE_DEVICES)
    always.
    """
    usable = _usable(inventory, workload)
    sets: dict[tuple[int, ...], tuple[Gpu, ...]] = {}
    for worker in dict.fromkeys(gpu.worker for gpu in usable):
        mine = [gpu for gpu in usable if gpu.worker == worker]
        kinds = tuple(dict.fromkeys((gpu.name, gpu.memory_bytes) for gpu in mine))
        for kind in kinds if len(kinds) > 1 else ():
            _add_prefixes(sets, [gpu for gpu in mine if (gpu.name, gpu.memory_bytes) == kind])
        _add_prefixes(sets, mine)
    degree = workload.tensor_parallel
    chosen = list(sets.values())
    if degree:
        count = degree * (workload.pipeline_parallel or 1)
        chosen = [gpus for gpus in chosen if len(gpus) == count]
    return tuple(sorted(chosen, key=len))


def _usable(inventory: Inventory, workload: Workload) -> list[Gpu]:
    gpus = [gpu for gpu in inventory.gpus if gpu.memory_bytes]
    if workload.gpus is not None:
        return [gpu for gpu in gpus if gpu.index in workload.gpus]
    if any(gpu.visible_index is not None for gpu in gpus):
        gpus = [gpu for gpu in gpus if gpu.visible_index is not None]
    cards = [gpu for gpu in gpus if not gpu.integrated]
    return cards or gpus


def _add_prefixes(sets: dict[tuple[int, ...], tuple[Gpu, ...]], gpus: list[Gpu]) -> None:
    """The 1, 2, 3 … devices of a group that have the most free memory."""
    ranked = sorted(gpus, key=lambda gpu: (-(gpu.free_bytes or gpu.memory_bytes or 0), gpu.index))
    for count in range(1, len(ranked) + 1):
        chosen = tuple(sorted(ranked[:count], key=lambda gpu: gpu.index))
        sets.setdefault(tuple(gpu.index for gpu in chosen), chosen)
