"""The bytes llama.cpp allocates: weights, caches, compute and output buffers, per device."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import MIB, format_bytes
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp import NAME, cache, compute, drafting
from modelscan.engines.llamacpp import settings as settings_of
from modelscan.engines.llamacpp.assumptions import assumptions
from modelscan.engines.llamacpp.case import Case
from modelscan.engines.llamacpp.draft_contexts import contexts
from modelscan.engines.llamacpp.file_layout import file_layout
from modelscan.engines.llamacpp.given import option, switched
from modelscan.engines.llamacpp.overrides import HOST
from modelscan.engines.llamacpp.prediction_blocks import with_prediction_blocks
from modelscan.engines.llamacpp.settings import whole_number
from modelscan.engines.llamacpp.split import place, shared_devices
from modelscan.engines.llamacpp.versions import lookup
from modelscan.memory import defaults
from modelscan.memory.verdict import DOES_NOT_FIT, verdict

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.gpu import Gpu, Host, Inventory
    from modelscan.core.verdict import Basis
    from modelscan.engines.llamacpp.file_layout import FileLayout
    from modelscan.engines.llamacpp.graph import Graph
    from modelscan.engines.llamacpp.settings import Settings


class _Sizes(NamedTuple):
    """Bytes that do not depend on where anything is: of the graph, and of each layer's caches."""

    graph: int
    inputs: int
    kv: tuple[int, ...]
    states: tuple[int, ...]


@functools.lru_cache(maxsize=64)  # a planner moves layers of one model with the same settings
def _sizes(model: FileLayout, settings: Settings, graph: Graph) -> _Sizes:
    architecture = model.shape.architecture
    kinds = [layer for layer, _ in architecture.layer_counts]
    kv = {layer: cache.layer_bytes(layer, architecture, settings) for layer in kinds}
    states = {layer: cache.state_bytes(layer, settings) for layer in kinds}
    return _Sizes(
        graph=compute.compute_bytes(architecture, model.kinds, settings, graph),
        inputs=compute.input_bytes(architecture, settings),
        kv=tuple(kv[layer] for layer in architecture.layers),
        states=tuple(states[layer] for layer in architecture.layers),
    )


def estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *,
    version: str | None = None,
) -> Estimate:  # fmt: skip
    """Bytes by part and device. Without GPUs everything is in host memory; with several, on the
    fewest that suffice (in order of free memory) unless ``workload.gpus`` names them, or a
    ``tensor-split`` has shares for more.

    Raises NotDeployableError if the files are not GGUF, UsageError for impossible settings.
    """
    if shape.format != "gguf" or not shape.tensors:
        raise NotDeployableError(
            "llama.cpp runs GGUF files only, and this variant has none",
            hint="choose a GGUF quantization: --quantization Q4_K_M",
        )
    found = _smallest(shape, workload, inventory, version)
    drafted = drafting.drafting(workload)
    whole = with_prediction_blocks(shape) if drafted.mtp and not drafted.file else shape
    if whole is shape:
        return found
    more = _smallest(whole, workload, inventory, version).total_bytes - found.total_bytes
    note = f"draft-mtp: not counted are the prediction blocks, about {format_bytes(more)} more"
    return replace(found, warnings=(*found.warnings, f"{note}: their size is in the file only"))


def _smallest(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, version: str | None
) -> Estimate:
    """The estimate on the fewest devices that suffice, or on all."""
    facts = lookup(version or workload.backend_version)
    drafted = drafting.drafting(workload)
    settings = replace(
        settings_of.from_workload(workload, shape.architecture),
        state_copies=drafting.state_copies(drafted, shape.architecture),
    )
    notes = (*drafting.notes(drafted, shape), *_adapter_notes(shape, workload))
    model = file_layout(shape)
    candidates = _candidates(workload, inventory)
    host = inventory.host if inventory else None
    chosen: Estimate | None = None
    for gpus in candidates:
        case = Case(model, settings, facts, place(shape, workload, gpus), workload)
        chosen = _whole(case, contexts(case, drafted), host, notes)
        if verdict(chosen.per_gpu, 0) != DOES_NOT_FIT:
            break
    assert chosen is not None
    return chosen


def _adapter_notes(shape: ModelShape, workload: Workload) -> tuple[str, ...]:
    named = workload.adapters or option(workload, "lora") or option(workload, "lora-scaled")
    if not named or shape.adapter_bytes:
        return ()
    return ("the adapter's file is not on this machine: its bytes are not counted",)


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
    least = min(len(ordered), max(1, shared_devices(workload)))
    sets = [ordered[:count] for count in range(least, len(ordered) + 1)]
    return [tuple(sorted(chosen, key=lambda gpu: gpu.index)) for chosen in sets]


def _draft_parts(case: Case, place: int) -> Parts:
    """What a drafting context adds; the driver's context and the projector are the model's."""
    return replace(_parts(case, place), non_torch_bytes=0, vision_bytes=0, other_bytes=0)


def _whole(
    case: Case, drafts: tuple[Case, ...], host: Host | None, notes: tuple[str, ...]
) -> Estimate:
    settings, architecture, placement = case.settings, case.architecture, case.placement
    parts = {
        place: _sum([_parts(case, place), *(_draft_parts(draft, place) for draft in drafts)])
        for place in placement.devices
    }
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
        assumptions=assumptions(case, drafts),
        warnings=(*architecture.notes, *notes),
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


def _context_tokens(case: Case) -> int:
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


def _parts(case: Case, place: int) -> Parts:
    placement, sizes = case.placement, _sizes(case.model, case.settings, case.facts.graph)
    mine = [index for index, home in enumerate(placement.layers) if home == place]
    caches = [*range(len(placement.layers))] if place == HOST else []
    if not placement.kv_on_host:
        caches = mine
    elif place != HOST:
        caches = []
    return Parts(
        weights_bytes=_weights(case, place, mine),
        kv_cache_bytes=sum([sizes.kv[i] for i in caches]),
        recurrent_state_bytes=sum([sizes.states[i] for i in caches]),
        compute_bytes=_compute(case, place),
        output_bytes=_output(case) if place == HOST else 0,
        non_torch_bytes=_context(case, place),
        vision_bytes=_vision(case, place),
        other_bytes=_host_copies(case, place),
    )


def _weights(case: Case, place: int, mine: list[int]) -> int:
    model, placement = case.model, case.placement
    total = sum([model.layer_bytes[i] for i in mine]) + placement.moved.change(place)
    total += round(model.shape.adapter_bytes * len(mine) / max(1, len(placement.layers)))
    if placement.host_experts:
        moved = [i for i in placement.host_experts if placement.layers[i] != HOST]
        if place == HOST:
            total += sum(model.expert_bytes[i] for i in moved)
        else:
            total -= sum(model.expert_bytes[i] for i in placement.host_experts.intersection(mine))
    if place == HOST:
        total += model.input_bytes
    if place == placement.output:
        total += model.output_bytes
        if place != HOST and model.shape.architecture.tied_embeddings:
            total += model.embedding_bytes  # a second copy, as the output matrix
    return total


def _compute(case: Case, place: int) -> int:
    """One buffer on a CPU. With GPUs each device has the graph of its layers and the host the
    inputs and the embedding rows; a pipeline keeps several sets of inputs.
    """
    settings, facts, placement = case.settings, case.facts, case.placement
    architecture, sizes = case.architecture, _sizes(case.model, settings, facts.graph)
    if not placement.gpus:
        return sizes.graph + drafting.state_inputs_bytes(architecture, settings)
    inputs = sizes.inputs
    rows = settings.graph_tokens * architecture.hidden * compute.F32
    extra = 0
    if placement.pipelined:
        extra = (facts.sched_copies - 1) * inputs + facts.sched_copies * rows
    if place == HOST:
        if placement.computes_on_host:
            return sizes.graph
        return inputs + rows + extra
    used = place in placement.layers or place == placement.output
    if not used:
        return 0
    states = drafting.state_inputs_bytes(architecture, settings)
    return sizes.graph + extra + states + _copied_matrix(case)


def _copied_matrix(case: Case) -> int:
    """A prompt's batch is computed on the GPU, which needs a copy of one matrix of the host."""
    model, placement = case.model, case.placement
    if switched(case.workload, "no-op-offload", "op-offload"):
        return 0
    experts = [i for i in placement.host_experts if placement.layers[i] != HOST]
    sizes = [model.largest_expert_bytes[i] for i in experts]
    return max([*sizes, placement.moved.largest])


def _output(case: Case) -> int:
    """Logits (and embeddings) handed to the server: host memory, one row per slot."""
    settings = case.settings
    architecture = case.architecture
    width = architecture.vocabulary + (architecture.hidden if settings.embedding else 0)
    return 4 * settings.parallel * width


def _context(case: Case, place: int) -> int:
    facts, placement = case.facts, case.placement
    if place == HOST:
        return 0
    vendor = placement.gpus[place].vendor
    return facts.cuda_context_bytes if vendor in ("nvidia", "amd") else 0


def _vision(case: Case, place: int) -> int:
    """The projector runs on the first device, unless the options say otherwise."""
    placement, model, workload = case.placement, case.model, case.workload
    if switched(workload, "no-mmproj"):
        return 0
    on_host = switched(workload, "no-mmproj-offload", "mmproj-offload")
    first = 0 if placement.gpus and not on_host else HOST
    return model.shape.weights.vision_bytes if place == first else 0


def _host_copies(case: Case, place: int) -> int:
    """``--repack`` keeps a second copy of a CPU's quantised block weights, ``--cache-ram`` prompts
    up to its limit.
    """
    model, placement, workload = case.model, case.placement, case.workload
    if place != HOST:
        return 0
    limit = option(workload, "cache-ram") or "0"
    prompts = 0 if limit.startswith("-") else whole_number("cache-ram", limit) * MIB
    if not switched(workload, "repack", "no-repack"):
        return prompts
    blocks = (model.layer_bytes[i] for i, home in enumerate(placement.layers) if home == HOST)
    return prompts + sum(blocks)


def _sum(all_parts: list[Parts]) -> Parts:
    if len(all_parts) == 1:
        return all_parts[0]
    names = Parts.__dataclass_fields__
    return Parts(**{name: sum(getattr(p, name) for p in all_parts) for name in names})
