"""How many bytes llama.cpp takes: weights, caches, compute and output buffers, per device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp import cache, compute
from modelscan.engines.llamacpp import settings as settings_of
from modelscan.engines.llamacpp.activations import Block
from modelscan.engines.llamacpp.settings import Settings
from modelscan.engines.llamacpp.split import HOST, Placement, place
from modelscan.engines.llamacpp.versions import LlamacppVersion, lookup
from modelscan.memory import defaults, weights_gguf
from modelscan.memory.architecture.from_gguf import block_tensors
from modelscan.memory.verdict import DOES_NOT_FIT, verdict

BACKEND = "llama.cpp"


def estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *,
    version: str | None = None,
) -> Estimate:  # fmt: skip
    """Bytes by part and device. Without GPUs everything is host memory; with several, the fewest
    that hold it (in order of free memory) unless ``workload.gpus`` names them.

    Raises NotDeployableError when the files are not GGUF, UsageError for impossible settings.
    """
    if shape.format != "gguf" or not shape.tensors:
        raise NotDeployableError(
            "llama.cpp runs GGUF files only, and this variant has none",
            hint="choose a GGUF quantization: --quantization Q4_K_M",
        )
    facts = lookup(version or workload.backend_version)
    settings = settings_of.from_workload(workload, shape.architecture)
    model = _Model.of(shape)
    candidates = _candidates(workload, inventory)
    host = inventory.host if inventory else None
    chosen: Estimate | None = None
    for gpus in candidates:
        placement = place(shape, workload, gpus)
        chosen = _whole(model, settings, facts, placement, host, workload)
        if verdict(chosen.per_gpu, 0) != DOES_NOT_FIT:
            break
    assert chosen is not None
    return chosen


@dataclass(frozen=True, slots=True)
class _Model:
    shape: ModelShape
    blocks: list[Block]
    kinds: list[Block]  # one of each sort: most models have one or two
    embedding_bytes: int
    input_bytes: int
    output_bytes: int
    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    largest_expert_bytes: tuple[int, ...]  # of one matrix, by block

    @classmethod
    def of(cls, shape: ModelShape) -> _Model:
        """Worked out once per shape: a planner asks many times about the same one."""
        known = next((model for model in _recent if model.shape is shape), None)
        if known is None:
            known = cls._made(shape)
            _recent.insert(0, known)
            del _recent[_REMEMBERED:]
        return known

    @classmethod
    def _made(cls, shape: ModelShape) -> _Model:
        layers = shape.architecture.layers
        tables = block_tensors(shape.tensors, len(layers))
        blocks = [Block(layer, table) for layer, table in zip(layers, tables, strict=True)]
        per_layer = [sum(t.size_bytes for t in table.values()) for table in tables]
        experts = [
            [t.size_bytes for t in table.values() if weights_gguf.is_expert(t.name)]
            for table in tables
        ]
        inputs = sum(t.size_bytes for t in shape.tensors if _is_input(t.name))
        embedding = shape.weights.embedding_bytes or 0
        apart = shape.weights.total_bytes - sum(per_layer) - inputs
        kinds = list({_sort(block): block for block in reversed(blocks)}.values())
        return cls(
            shape, blocks, kinds, embedding, inputs, apart, tuple(per_layer),
            expert_bytes=tuple(map(sum, experts)),
            largest_expert_bytes=tuple(max(sizes, default=0) for sizes in experts),
        )  # fmt: skip


_REMEMBERED = 32
_recent: list[_Model] = []


def _sort(block: Block) -> tuple[object, ...]:
    """Equal for blocks that need the same memory while they are computed."""
    shapes = tuple((name, tensor.shape) for name, tensor in block.tensors.items())
    return (block.layer, shapes)


def _is_input(name: str) -> bool:
    return name.startswith(weights_gguf.INPUT_TENSORS)


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


def _whole(
    model: _Model, settings: Settings, facts: LlamacppVersion, placement: Placement,
    host: Host | None, workload: Workload,
) -> Estimate:  # fmt: skip
    architecture = model.shape.architecture
    parts = {
        place: _parts(model, settings, facts, placement, place, workload)
        for place in placement.devices
    }
    per_gpu = tuple(
        _device(parts[place], gpu) for place, gpu in enumerate(placement.gpus)
    )  # fmt: skip
    host_estimate = DeviceEstimate(
        index=None,
        parts=parts[HOST],
        total_bytes=parts[HOST].total_bytes,
        memory_bytes=host.memory_bytes if host else None,
        free_bytes=host.free_bytes if host else None,
    )
    total = _sum(list(parts.values()))
    context = _context_tokens(workload, settings, model)
    growing = cache.bytes_per_token(architecture, settings)
    return Estimate(
        model="",
        backend=BACKEND,
        backend_version=workload.backend_version,
        quantization=model.shape.quantization,
        context_tokens=context,
        parallel=settings.parallel,
        tensor_parallel=1,
        parts=total,
        total_bytes=total.total_bytes,
        per_gpu=per_gpu,
        kv_bytes_per_token=growing,
        kv_capacity_tokens=settings.sequence_tokens * settings.streams,
        max_concurrency=settings.sequence_tokens
        * settings.streams
        / max(1, min(settings.sequence_tokens, context)),
        basis=_basis(model.shape),
        margin_bytes=0,
        host=host_estimate,
        assumptions=_assumptions(model, settings, placement, workload),
        warnings=architecture.notes,
    )


def _basis(shape: ModelShape) -> str:
    certain = shape.architecture.known and shape.weights.basis != "range"
    return "computed" if certain else "range"


def _context_tokens(workload: Workload, settings: Settings, model: _Model) -> int:
    """What one request may use: as asked, or what a given ``ctx-size`` leaves for a slot."""
    sized = workload.parameter("ctx-size") or workload.parameter("c")
    if sized and not workload.context_tokens:
        return settings.sequence_tokens
    return defaults.context_tokens(workload, model.shape.architecture)


def _device(parts: Parts, gpu: Gpu) -> DeviceEstimate:
    return DeviceEstimate(
        index=gpu.index,
        parts=parts,
        total_bytes=parts.total_bytes,
        kv_pool_bytes=parts.kv_cache_bytes + parts.recurrent_state_bytes,
        memory_bytes=gpu.memory_bytes,
        free_bytes=gpu.free_bytes,
    )


def _parts(
    model: _Model, settings: Settings, facts: LlamacppVersion, placement: Placement, place: int,
    workload: Workload,
) -> Parts:  # fmt: skip
    architecture = model.shape.architecture
    mine = [index for index, home in enumerate(placement.layers) if home == place]
    caches = [*range(len(placement.layers))] if place == HOST else []
    if not placement.kv_on_host:
        caches = mine
    elif place != HOST:
        caches = []
    sorts = Counter(architecture.layers[i] for i in caches)
    return Parts(
        weights_bytes=_weights(model, placement, place, mine),
        kv_cache_bytes=sum(
            count * cache.layer_bytes(layer, architecture, settings)
            for layer, count in sorts.items()
        ),
        recurrent_state_bytes=sum(
            count * cache.state_bytes(layer, settings) for layer, count in sorts.items()
        ),
        compute_bytes=_compute(model, settings, facts, placement, place),
        output_bytes=_output(model, settings) if place == HOST else 0,
        non_torch_bytes=_context(facts, placement, place),
        vision_bytes=_vision(model, placement, place),
        other_bytes=_repacked(model, placement, place, workload),
    )


def _weights(model: _Model, placement: Placement, place: int, mine: list[int]) -> int:
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


def _compute(
    model: _Model, settings: Settings, facts: LlamacppVersion, placement: Placement, place: int
) -> int:
    """One buffer on a CPU. With GPUs each device has the graph of its layers and the host the
    inputs and the embedding rows; a pipeline keeps several sets of inputs.
    """
    architecture = model.shape.architecture
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


def _copied_experts(model: _Model, placement: Placement) -> int:
    """A batch of a prompt is computed on the GPU: it takes a copy of one expert matrix."""
    moved = [i for i in placement.host_experts if placement.layers[i] != HOST]
    return max((model.largest_expert_bytes[i] for i in moved), default=0)


def _output(model: _Model, settings: Settings) -> int:
    """Logits (and embeddings) handed to the server: host memory, one row per slot."""
    architecture = model.shape.architecture
    width = architecture.vocabulary + (architecture.hidden if settings.embedding else 0)
    return 4 * settings.parallel * width


def _context(facts: LlamacppVersion, placement: Placement, place: int) -> int:
    if place == HOST:
        return 0
    vendor = placement.gpus[place].vendor
    return facts.cuda_context_bytes if vendor in ("nvidia", "amd") else 0


def _vision(model: _Model, placement: Placement, place: int) -> int:
    """The projector runs on the first device."""
    first = 0 if placement.gpus else HOST
    return model.shape.weights.vision_bytes if place == first else 0


def _repacked(model: _Model, placement: Placement, place: int, workload: Workload) -> int:
    """``--repack`` keeps a second copy of a CPU's quantised block weights."""
    asked = workload.parameter("repack") not in (None, "false", "0", "off")
    if place != HOST or not asked:
        return 0
    return sum(model.layer_bytes[i] for i, home in enumerate(placement.layers) if home == HOST)


def _sum(all_parts: list[Parts]) -> Parts:
    names = Parts.__dataclass_fields__
    return Parts(**{name: sum(getattr(p, name) for p in all_parts) for name in names})


def _assumptions(
    model: _Model, settings: Settings, placement: Placement, workload: Workload
) -> tuple[str, ...]:
    notes = []
    if not workload.context_tokens and workload.parameter("ctx-size") is None:
        notes.append(f"a context of {settings.sequence_tokens} tokens, as none was asked for")
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
