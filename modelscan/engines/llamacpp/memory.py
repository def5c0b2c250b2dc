"""The bytes llama.cpp allocates: weights, caches, compute and output buffers, per device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp import NAME, cache, compute
from modelscan.engines.llamacpp import settings as settings_of
from modelscan.engines.llamacpp.file_layout import FileLayout, file_layout
from modelscan.engines.llamacpp.settings import Settings
from modelscan.engines.llamacpp.split import HOST, Placement, place
from modelscan.engines.llamacpp.versions import LlamacppVersion, lookup
from modelscan.memory import defaults
from modelscan.memory.verdict import DOES_NOT_FIT, verdict

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.gpu import Gpu, Host, Inventory
    from modelscan.core.verdict import Basis


def estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *,
    version: str | None = None,
) -> Estimate:  # fmt: skip
    """Bytes by part and device. Without GPUs everything is in host memory; with several, on the
    fewest that suffice (in order of free memory) unless ``workload.gpus`` names them.

    Raises NotDeployableError if the files are not GGUF, UsageError for impossible settings.
    """
    if shape.format != "gguf" or not shape.tensors:
        raise NotDeployableError(
            "llama.cpp runs GGUF files only, and this variant has none",
            hint="choose a GGUF quantization: --quantization Q4_K_M",
        )
    facts = lookup(version or workload.backend_version)
    settings = settings_of.from_workload(workload, shape.architecture)
    model = file_layout(shape)
    candidates = _candidates(workload, inventory)
    host = inventory.host if inventory else None
    chosen: Estimate | None = None
    for gpus in candidates:
        case = _Case(model, settings, facts, place(shape, workload, gpus), workload)
        chosen = _whole(case, host)
        if verdict(chosen.per_gpu, 0) != DOES_NOT_FIT:
            break
    assert chosen is not None
    return chosen


def _candidates(workload: Workload, inventory: Inventory | None) -> list[tuple[Gpu, ...]]:
    """Sets of GPUs to try, smallest first; one empty set where there is none."""
    gpus = [] if inventory is None else [g for g in inventory.gpus if not g.integrated]
    if inventory is not None and not gpus:
        gpus = list(inventory.gpus)
    if workload.gpus is not None:
        chosen = tuple(gpu for gpu in gpus if gpu.index in workload.gpus)
        return [chosen]
    ordered = sorted(gpus, key=lambda gpu: (-(gpu.free_bytes or gpu.memory_bytes or 0), gpu.index))
    if not ordered:
        return [()]
    sets = [ordered[:count] for count in range(1, len(ordered) + 1)]
    return [tuple(sorted(chosen, key=lambda gpu: gpu.index)) for chosen in sets]


@dataclass(frozen=True, slots=True)
class _Case:
    """One model with one set of settings at one placement."""

    model: FileLayout
    settings: Settings
    facts: LlamacppVersion
    placement: Placement
    workload: Workload

    @property
    def architecture(self) -> Architecture:
        return self.model.shape.architecture


def _whole(case: _Case, host: Host | None) -> Estimate:
    settings, architecture, placement = case.settings, case.architecture, case.placement
    parts = {place: _parts(case, place) for place in placement.devices}
    total = _sum(list(parts.values()))
    context = _context_tokens(case)
    cells = settings.sequence_tokens * settings.streams
    return Estimate(
        model="",
        backend=NAME,
        backend_version=case.workload.backend_version,
        quantization=case.model.shape.quantization,
        context_tokens=context,
        parallel=settings.parallel,
        tensor_parallel=1,
        parts=total,
        total_bytes=total.total_bytes,
        per_gpu=tuple(_device(parts[place], gpu) for place, gpu in enumerate(placement.gpus)),
        kv_bytes_per_token=cache.bytes_per_token(architecture, settings),
        kv_capacity_tokens=cells,
        max_concurrency=cells / max(1, min(settings.sequence_tokens, context)),
        basis=_basis(case.model.shape),
        margin_bytes=0,
        host=_host(parts[HOST], host),
        assumptions=_assumptions(case),
        warnings=architecture.notes,
    )


def _basis(shape: ModelShape) -> Basis:
    certain = shape.architecture.known and shape.weights.basis != "range"
    return "computed" if certain else "range"


def _host(parts: Parts, host: Host | None) -> DeviceEstimate:
    return DeviceEstimate(
        index=None,
        parts=parts,
        total_bytes=parts.total_bytes,
        memory_bytes=host.memory_bytes if host else None,
        free_bytes=host.free_bytes if host else None,
    )


def _context_tokens(case: _Case) -> int:
    """Tokens per request: as set, or what a set ``ctx-size`` leaves for a slot."""
    workload = case.workload
    sized = workload.parameter("ctx-size") or workload.parameter("c")
    if sized and not workload.context_tokens:
        return case.settings.sequence_tokens
    return defaults.context_tokens(workload, case.architecture)


def _device(parts: Parts, gpu: Gpu) -> DeviceEstimate:
    return DeviceEstimate(
        index=gpu.index,
        parts=parts,
        total_bytes=parts.total_bytes,
        kv_pool_bytes=parts.kv_cache_bytes + parts.recurrent_state_bytes,
        memory_bytes=gpu.memory_bytes,
        free_bytes=gpu.free_bytes,
    )


def _parts(case: _Case, place: int) -> Parts:
    placement, settings, architecture = case.placement, case.settings, case.architecture
    mine = [index for index, home in enumerate(placement.layers) if home == place]
    caches = [*range(len(placement.layers))] if place == HOST else []
    if not placement.kv_on_host:
        caches = mine
    elif place != HOST:
        caches = []
    sorts = Counter(architecture.layers[i] for i in caches)
    return Parts(
        weights_bytes=_weights(case, place, mine),
        kv_cache_bytes=sum(
            count * cache.layer_bytes(layer, architecture, settings)
            for layer, count in sorts.items()
        ),
        recurrent_state_bytes=sum(
            count * cache.state_bytes(layer, settings) for layer, count in sorts.items()
        ),
        compute_bytes=_compute(case, place),
        output_bytes=_output(case) if place == HOST else 0,
        non_torch_bytes=_context(case, place),
        vision_bytes=_vision(case, place),
        other_bytes=_repacked(case, place),
    )


def _weights(case: _Case, place: int, mine: list[int]) -> int:
    model, placement = case.model, case.placement
    total = sum(model.layer_bytes[i] for i in mine)
    if placement.host_experts:
        moved = [i for i in placement.host_experts if placement.layers[i] != HOST]
        if place == HOST:
            total += sum(model.expert_bytes[i] for i in moved)
        else:
            total -= sum(model.expert_bytes[i] for i in moved if i in set(mine))
    if place == HOST:
        total += model.input_bytes
    if place == placement.output:
        total += model.output_bytes
        if place != HOST and model.shape.architecture.tied_embeddings:
            total += model.embedding_bytes  # a second copy, as the output matrix
    return total


def _compute(case: _Case, place: int) -> int:
    """One buffer on a CPU. With GPUs each device has the graph of its layers and the host the
    inputs and the embedding rows; a pipeline keeps several sets of inputs.
    """
    settings, facts, placement = case.settings, case.facts, case.placement
    architecture, model = case.architecture, case.model
    if not placement.gpus:
        return compute.compute_bytes(architecture, model.kinds, settings, facts.graph)
    inputs = compute.input_bytes(architecture, settings)
    rows = settings.graph_tokens * architecture.hidden * compute.F32
    on_host = HOST in placement.layers or place == placement.output == HOST
    extra = 0
    if placement.pipelined:
        extra = (facts.sched_copies - 1) * inputs + facts.sched_copies * rows
    if place == HOST:
        if on_host or placement.host_experts:
            return compute.compute_bytes(architecture, model.kinds, settings, facts.graph)
        return inputs + rows + extra
    used = place in placement.layers or place == placement.output
    if not used:
        return 0
    device = compute.compute_bytes(architecture, model.kinds, settings, facts.graph)
    return device + extra + _copied_experts(model, placement)


def _copied_experts(model: FileLayout, placement: Placement) -> int:
    """A prompt's batch is computed on the GPU, which needs a copy of one expert matrix."""
    moved = [i for i in placement.host_experts if placement.layers[i] != HOST]
    return max((model.largest_expert_bytes[i] for i in moved), default=0)


def _output(case: _Case) -> int:
    """Logits (and embeddings) handed to the server: host memory, one row per slot."""
    settings = case.settings
    architecture = case.architecture
    width = architecture.vocabulary + (architecture.hidden if settings.embedding else 0)
    return 4 * settings.parallel * width


def _context(case: _Case, place: int) -> int:
    facts, placement = case.facts, case.placement
    if place == HOST:
        return 0
    vendor = placement.gpus[place].vendor
    return facts.cuda_context_bytes if vendor in ("nvidia", "amd") else 0


def _vision(case: _Case, place: int) -> int:
    """The projector runs on the first device."""
    placement, model = case.placement, case.model
    first = 0 if placement.gpus else HOST
    return model.shape.weights.vision_bytes if place == first else 0


def _repacked(case: _Case, place: int) -> int:
    """``--repack`` keeps a second copy of a CPU's quantised block weights."""
    model, placement, workload = case.model, case.placement, case.workload
    repack = workload.parameter("repack") not in (None, "false", "0", "off")
    if place != HOST or not repack:
        return 0
    return sum(model.layer_bytes[i] for i, home in enumerate(placement.layers) if home == HOST)


def _sum(all_parts: list[Parts]) -> Parts:
    names = Parts.__dataclass_fields__
    return Parts(**{name: sum(getattr(p, name) for p in all_parts) for name in names})


def _assumptions(case: _Case) -> tuple[str, ...]:
    model, settings = case.model, case.settings
    placement, workload = case.placement, case.workload
    notes = []
    if not workload.context_tokens and workload.parameter("ctx-size") is None:
        notes.append(f"a context of {settings.sequence_tokens:,} tokens (the default)")
    if settings.flash_attention and (workload.flash_attention or "auto") == "auto":
        notes.append("flash attention on (auto)")
    if any(workload.parameter(name) for name in ("spec-draft-model", "model-draft", "md")):
        notes.append("the draft model's own memory is not counted")
    notes.append("repacked CPU weights and the server's prompt cache are switched off")
    if placement.gpus:
        context = lookup(None).cuda_context_bytes >> 20
        notes.append(f"{context} MiB per GPU for the driver's context and workspaces")
        if model.shape.architecture.tied_embeddings:
            notes.append("tied embeddings exist twice: on the host and on the GPU")
    return tuple(notes)
