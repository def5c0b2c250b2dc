"""``estimate --exact``: llama.cpp's own figures for a local file, or for a remote file's header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelscan.core.errors import NotDeployableError, OfflineError
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.machine import Machine
from modelscan.core.model import Variant
from modelscan.core.plan import ResolvedModel
from modelscan.core.reference import Kind, Reference
from modelscan.core.workload import Workload
from modelscan.engines.flags import workload_of
from modelscan.engines.llamacpp import NAME as LLAMACPP
from modelscan.formats.files import is_gguf_name
from modelscan.models.decide import decide_here
from modelscan.planner import refuse
from modelscan.planner.sizing import choose
from modelscan.state.config import Config


def exact_estimate(
    model: ResolvedModel, workload: Workload, machine: Machine, config: Config
) -> Estimate:
    """The estimate with the engine's figures. Raises NotDeployableError if there is no GGUF file,
    OfflineError if a remote header is needed and ``--offline`` is set.
    """
    from modelscan.supervisor.dry_run.run import exact

    refuse.closed(model)
    if workload.backend not in (None, LLAMACPP):
        raise NotDeployableError(
            f"--exact needs llama.cpp's dry run; {workload.backend} has none",
            hint=f"modelscan estimate {model.id} --exact --backend llama.cpp",
        )
    inventory = machine.free_inventory()
    wishes = replace(workload, backend=LLAMACPP)
    plan = decide_here(machine, model, wishes).plan
    if plan is not None:  # what `plan` chooses among this model's GGUF files
        workload = workload_of(plan, workload)
        inventory = replace(
            inventory, gpus=tuple(g for g in inventory.gpus if g.index in plan.gpus)
        )
        wishes = replace(wishes, quantization=plan.quantization)
    candidate = choose(model, wishes)
    variant, shape = candidate.variant, candidate.shape
    path = Path(shape.path) if shape.path else None
    if path is not None and path.is_file() and is_gguf_name(path.name):
        return exact(shape, workload, inventory, model=model.id, path=path)
    return _remote(model, variant, workload, inventory, config)


def _remote(
    model: ResolvedModel,
    variant: Variant,
    workload: Workload,
    inventory: Inventory,
    config: Config,
) -> Estimate:
    """The estimate from a remote file: only its header is fetched, a few MiB."""
    from modelscan.formats import gguf
    from modelscan.hub.repository import Hub
    from modelscan.memory.shape import from_gguf
    from modelscan.supervisor.dry_run.run import exact

    files = [file for file in variant.files if file.path.endswith(".gguf")]
    if variant.source == "local_path" or not files:
        raise NotDeployableError(
            f"{model.id} has no GGUF file for llama.cpp's dry run",
            hint=f"modelscan estimate {model.id}",
        )
    if config.offline:
        raise OfflineError(
            f"the header of {variant.repo}/{files[0].path} is needed and --offline is set",
            hint=f"modelscan estimate {model.id} --exact",
        )
    kind = Kind.MODELSCOPE if variant.source == "modelscope" else Kind.HUGGINGFACE
    reference = Reference(kind, variant.repo, variant.revision)
    with Hub.from_config(config) as hub:
        shards: list[tuple[gguf.GgufHeader, gguf.Reader]] = []
        for file in files:
            remote = hub.open_file(reference, file.path)
            header = gguf.parse_header(remote.read, file.size_bytes)
            if header.split_count > 1 or not shards:
                shards.append((header, remote.read))
            if shards[0][0].split_count == len(shards):
                break  # the remaining files are projectors
        joined = gguf.merge_shards([header for header, _ in shards])
        shape = from_gguf(joined, quantization=variant.quantization)
        return exact(shape, workload, inventory, model=model.id, shards=shards)
