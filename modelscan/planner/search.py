"""What there is to choose from: every variant x engine x set of devices that may work at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.plan import Candidate, Subject
from modelscan.core.workload import BACKENDS, Workload
from modelscan.planner import support
from modelscan.planner.formats import means
from modelscan.planner.quality import describe as quality_words
from modelscan.planner.support import Support

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
    for candidate in subject.candidates:
        if not _wanted(candidate, workload):
            continue
        if ruined(candidate) and not workload.quantization:
            name = str(candidate.variant.quantization)
            rejected.setdefault(name, f"{describe(candidate)}: only on --quantization {name}")
            continue
        for backend in _backends(workload):
            for option in _of(subject, candidate, backend, sets, inventory, workload):
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


def _backends(workload: Workload) -> tuple[str, ...]:
    return (workload.backend,) if workload.backend else BACKENDS


def _of(
    subject: Subject,
    candidate: Candidate,
    backend: str,
    sets: Sequence[tuple[Gpu, ...]],
    inventory: Inventory,
    workload: Workload,
) -> Iterator[Option | tuple[str, str]]:
    variant = candidate.variant
    label = f"{variant.quantization or '?'} {variant.format} on {backend}"
    for check in (
        support.format_support(variant.format, backend, unsafe=workload.allow_unsafe),
        support.task_support("embedding" if workload.embedding else subject.task, backend),
        support.platform_support(backend, inventory),
    ):
        if not check:
            yield label, check.reason
            return
    recommended = _has_recipe(subject, candidate, backend, workload.mode)
    degree = workload.tensor_parallel or 1
    if degree > 1 and not sets:
        there = len(inventory.gpus)
        yield label, f"{degree} GPUs are asked for (--tensor-parallel), {there} are there"
        return
    if backend in ("llama.cpp", "ollama"):
        on_host = support.host_support(variant.format, backend, inventory)
        yield Option(candidate, backend, (), 1, on_host, recommended)
    elif not inventory.gpus:
        on_host = support.host_support(
            variant.format, backend, inventory, forced=workload.force and bool(workload.backend)
        )
        if on_host:
            yield Option(candidate, backend, (), 1, on_host, recommended)
        else:
            yield label, on_host.reason
    for gpus in sets:
        yield from _on(candidate, backend, gpus, label, recommended, workload)


def _on(
    candidate: Candidate,
    backend: str,
    gpus: tuple[Gpu, ...],
    label: str,
    recommended: bool,
    workload: Workload,
) -> Iterator[Option | tuple[str, str]]:
    original = candidate.quality is None or candidate.quality.basis == "original"
    found = support.gpu_support(
        candidate.variant.format, candidate.variant.quantization, backend, gpus[0],
        original=original,
    )  # fmt: skip
    if not found and not (workload.force and workload.backend):
        yield f"{label}, {device_label(gpus)}", found.reason
        return
    degree = 1
    if backend in ("vllm", "sglang"):
        if len(gpus) > 1 and len({(gpu.name, gpu.memory_bytes) for gpu in gpus}) > 1:
            yield f"{label}, {device_label(gpus)}", "tensor parallelism needs equal GPUs"
            return
        degree = len(gpus) // (workload.pipeline_parallel or 1)
    yield Option(candidate, backend, gpus, degree, found, recommended)


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
        for kind in dict.fromkeys((gpu.name, gpu.memory_bytes) for gpu in mine):
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
