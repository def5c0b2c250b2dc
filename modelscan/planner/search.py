"""What there is to choose from: every variant x engine x set of devices that may work at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.plan import Candidate, Subject
from modelscan.core.workload import BACKENDS, Workload
from modelscan.engines import support
from modelscan.engines.registry import engine
from modelscan.engines.support import Support
from modelscan.formats.quantization import means
from modelscan.planner.quality import describe as quality_words
from modelscan.planner.user_flags import foreign

RUINED_LOSS = 1.0  # perplexity x 2.7: formats of less than two bits


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run it, not yet known to fit. ``gpus`` () = on the CPU (llama.cpp, Ollama)."""

    candidate: Candidate
    backend: str
    gpus: tuple[Gpu, ...]
    tensor_parallel: int
    support: Support
    recommended: bool = False  # the catalog publishes a recipe for it

    @property
    def label(self) -> str:
        where = "CPU" if not self.gpus else device_label(self.gpus)
        return f"{self.candidate.variant.quantization or '?'} on {self.backend}, {where}"


@dataclass(frozen=True, slots=True)
class Options:
    """The options, and what was left out with the reason."""

    found: tuple[Option, ...]
    rejected: tuple[tuple[str, str], ...]


def device_label(gpus: Sequence[Gpu]) -> str:
    """``2 x NVIDIA H100 80GB`` or ``RTX 4090 + RTX 3090``."""
    names = list(dict.fromkeys(gpu.name for gpu in gpus))
    counts = [(sum(gpu.name == name for gpu in gpus), name) for name in names]
    return " + ".join(f"{count} x {name}" if count > 1 else name for count, name in counts)


def options(
    subject: Subject,
    inventory: Inventory,
    workload: Workload,
    sets: Sequence[tuple[Gpu, ...]] | None = None,
) -> Options:
    """Every option the hard constraints leave, on every set of devices or only these ``sets``."""
    found: list[Option] = []
    rejected: dict[str, str] = {}
    sets = device_sets(inventory, workload) if sets is None else sets
    search = _Search(subject, inventory, workload, sets)
    for candidate in subject.candidates:
        if not _wanted(candidate, workload):
            continue
        if ruined(candidate) and not workload.quantization:
            name = str(candidate.variant.quantization)
            rejected.setdefault(name, f"{describe(candidate)}: only on --quantization {name}")
            continue
        for backend, refusal in search.backends.items():
            for option in search.of(candidate, backend, refusal):
                if isinstance(option, Option):
                    found.append(option)
                else:
                    rejected.setdefault(*option)
    return Options(tuple(found), tuple(rejected.items()))


def _wanted(candidate: Candidate, workload: Workload) -> bool:
    asked, variant = workload.quantization, candidate.variant
    return asked is None or means(asked, variant.quantization, variant.format)


def ruined(candidate: Candidate) -> bool:
    """Whether so little is left of the model that a smaller one is better in every respect."""
    return candidate.quality is not None and candidate.quality.loss > RUINED_LOSS


def describe(candidate: Candidate) -> str:
    """The quality of a candidate in words."""
    return quality_words(candidate.quality) if candidate.quality else "quality unknown"


class _Search:
    """One search: what holds for every candidate is found out once."""

    def __init__(
        self,
        subject: Subject,
        inventory: Inventory,
        workload: Workload,
        sets: Sequence[tuple[Gpu, ...]],
    ) -> None:
        self.subject, self.inventory, self.workload, self.sets = subject, inventory, workload, sets
        chosen = (workload.backend,) if workload.backend else BACKENDS
        self.backends = {backend: self._refusal(backend) for backend in chosen}
        self._known: dict[tuple[object, ...], Support] = {}
        self._formats: dict[tuple[str, str], Support] = {}

    def _refusal(self, backend: str) -> str | None:
        """Why an engine is out, whatever the format."""
        task = "embedding" if self.workload.embedding else self.subject.task
        for found in (
            support.task_support(task, backend),
            support.platform_support(backend, self.inventory),
        ):
            if not found:
                return found.reason
        return None if self.workload.force else foreign(self.workload, backend)

    def of(
        self, candidate: Candidate, backend: str, refusal: str | None
    ) -> Iterator[Option | tuple[str, str]]:
        """The options of one candidate on one engine, and what is refused (label, reason)."""
        variant, workload = candidate.variant, self.workload
        label = f"{variant.quantization or '?'} {variant.format} on {backend}"
        loads = self._loads(variant.format, backend)
        if not loads or refusal:
            yield label, refusal if loads and refusal else loads.reason
            return
        recommended = _has_recipe(self.subject, candidate, backend, workload.mode)
        degree = workload.tensor_parallel or 1
        if degree > 1 and not self.sets:
            count = len(self.inventory.gpus)
            there = f"there {'is' if count == 1 else 'are'} {count}"
            yield label, f"{degree} GPUs are asked for (--tensor-parallel), {there}"
            return
        yield from self._on_host(candidate, backend, label, recommended)
        for gpus in self.sets:
            yield self._on(candidate, backend, gpus, label, recommended)

    def _loads(self, file_format: str, backend: str) -> Support:
        found = self._formats.get((file_format, backend))
        if found is None:
            unsafe = self.workload.allow_unsafe
            found = support.format_support(file_format, backend, unsafe=unsafe)
            self._formats[file_format, backend] = found
        return found

    def _on_host(
        self, candidate: Candidate, backend: str, label: str, recommended: bool
    ) -> Iterator[Option | tuple[str, str]]:
        gguf = engine(backend).runs_gguf
        if not gguf and self.inventory.gpus:
            return
        forced = self.workload.force and bool(self.workload.backend)
        found = support.host_support(
            candidate.variant.format, backend, self.inventory, forced=forced
        )
        if gguf or found:
            yield Option(candidate, backend, (), 1, found, recommended)
        else:
            yield label, found.reason

    def _on(
        self,
        candidate: Candidate,
        backend: str,
        gpus: tuple[Gpu, ...],
        label: str,
        recommended: bool,
    ) -> Option | tuple[str, str]:
        found = self._support(candidate, backend, gpus[0])
        if not found and not self._insisted():
            return f"{label}, {device_label(gpus)}", found.reason
        degree = 1
        if engine(backend).splits_tensors:
            if len(gpus) > 1 and len({(gpu.name, gpu.memory_bytes) for gpu in gpus}) > 1:
                return f"{label}, {device_label(gpus)}", "tensor parallelism needs equal GPUs"
            degree = len(gpus) // (self.workload.pipeline_parallel or 1)
        return Option(candidate, backend, gpus, degree, found, recommended)

    def _insisted(self) -> bool:
        """``--force`` for an engine or a format that was asked for."""
        wanted = self.workload
        return wanted.force and bool(wanted.backend or wanted.quantization)

    def _support(self, candidate: Candidate, backend: str, gpu: Gpu) -> Support:
        """Format x engine x GPU: asked once for each format and device, not for each set."""
        variant = candidate.variant
        original = candidate.quality is None or candidate.quality.basis == "original"
        key = (variant.format, variant.quantization, original, backend, gpu.index, gpu.worker)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = support.gpu_support(
                variant.format, variant.quantization, backend, gpu, original=original
            )
        return found


def _has_recipe(subject: Subject, candidate: Candidate, backend: str, mode: str) -> bool:
    specs = subject.model.specs if subject.model else ()
    return any(
        spec.repo == candidate.variant.repo
        and spec.backend.lower() == backend
        and (spec.mode or "standard") == mode
        for spec in specs
    )


def device_sets(inventory: Inventory, workload: Workload) -> tuple[tuple[Gpu, ...], ...]:
    """Sets of devices worth trying, small before large: equal cards first, then mixtures.

    Integrated GPUs are left out where there is a card; hidden devices (CUDA_VISIBLE_DEVICES) too.
    """
    usable = _usable(inventory, workload)
    sets: dict[tuple[int, ...], tuple[Gpu, ...]] = {}
    for worker in dict.fromkeys(gpu.worker for gpu in usable):
        mine = [gpu for gpu in usable if gpu.worker == worker]
        kinds = tuple(dict.fromkeys((gpu.name, gpu.memory_bytes) for gpu in mine))
        for kind in kinds if len(kinds) > 1 else ():
            _add_prefixes(sets, [gpu for gpu in mine if (gpu.name, gpu.memory_bytes) == kind])
        _add_prefixes(sets, mine)
    wanted = workload.tensor_parallel
    chosen = list(sets.values())
    if wanted:
        count = wanted * (workload.pipeline_parallel or 1)
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
    """The 1, 2, 3 … devices with the most free memory of a group."""
    ranked = sorted(gpus, key=lambda gpu: (-(gpu.free_bytes or gpu.memory_bytes or 0), gpu.index))
    for count in range(1, len(ranked) + 1):
        chosen = tuple(sorted(ranked[:count], key=lambda gpu: gpu.index))
        sets.setdefault(tuple(gpu.index for gpu in chosen), chosen)


def reject_reason(option: Option) -> str | None:
    """Why this number of tensor-parallel ranks cannot be, or None."""
    if option.tensor_parallel == 1:
        return None
    from modelscan.memory import tensor_parallel

    architecture = option.candidate.shape.architecture
    if not engine(option.backend).splits_tensors:
        return tensor_parallel.layer_split_reason(architecture, option.tensor_parallel)
    return tensor_parallel.reject_reason(architecture, option.tensor_parallel)
