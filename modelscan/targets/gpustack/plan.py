"""Planning for a GPUStack cluster: its workers are the hardware, its engines the backends."""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.machine import Machine
from modelscan.core.model import Spec
from modelscan.core.plan import Decision, Plan, ResolvedModel
from modelscan.core.units import GIB, format_bytes
from modelscan.core.workload import Backend, Workload
from modelscan.engines.recipe_filters import reject
from modelscan.engines.registry import engine
from modelscan.models.decide import decide_here, planned, refused
from modelscan.state.config import Config
from modelscan.state.targets import TargetConfig, load
from modelscan.targets.gpustack.body import BACKENDS, OLD_BACKENDS, Choices, create_body, pairs
from modelscan.targets.gpustack.client import Client, Connection, Dialect
from modelscan.targets.gpustack.inventory import inventory as as_inventory
from modelscan.targets.gpustack.machine import cluster_machine, engines
from modelscan.targets.gpustack.types import parse_gpu, parse_worker, understood
from modelscan.targets.request import OFFLINE, Request

CONCURRENT_CONTEXTS = 4  # full contexts the cache is sized for by default
CLAIM_FACTOR, CLAIM_BYTES = (
    1.2,
    2 * GIB,
)  # memory that GPUStack 2.3.0 itself reserves for a language model


@dataclass(frozen=True, slots=True)
class Proposal:
    """The model to create, and its plan."""

    plan: Plan
    body: Mapping[str, Any]
    cluster_id: int | None
    spec: Spec | None


def marker_for(name: str, target: TargetConfig, config: Config) -> str:
    """The marker of our model, the same for a preview and the deploy.

    Other machines, users and homes have other markers, even with a copied list of targets.
    """
    ours = (target.owner or target.url, platform.node(), str(config.paths.state), name)
    return f"modelscan:{hashlib.sha256('|'.join(ours).encode()).hexdigest()[:16]}"


def propose(
    client: Client,
    target: TargetConfig,
    name: str,
    model: ResolvedModel,
    request: Request,
    marker: str,
) -> Proposal:
    """Plan for the cluster's hardware. Raises NotDeployableError if nothing fits."""
    cluster = cluster_id(client, target)
    hardware = pick(read_inventory(client, target.name, cluster), request.gpu)
    machine = cluster_machine(hardware, client.dialect, target.name)
    plan = plan_for(machine, model, request.workload)
    spec = recipe(model, plan, hardware, request.workload.mode)
    wishes = choices(plan, hardware, request, client.dialect)
    body = create_body(name, plan, client.dialect, wishes, cluster_id=cluster, spec=spec)
    body["description"] = f"Deployed by modelscan ({marker})"
    return Proposal(plan, body, cluster, spec)


def choices(plan: Plan, hardware: Inventory, request: Request, dialect: Dialect) -> Choices:
    """The user's options for the cluster, and the devices of the plan."""
    wishes = dict(request.cluster)
    if request.offline_after_download:
        wishes["env"] = {**OFFLINE, **(wishes.get("env") or {})}
    chosen = selected_ids(plan, hardware, dialect) if request.gpu else ()
    several = int(wishes.get("replicas") or 1) > 1
    selector = wishes.pop("worker_selector", None)
    if selector is None and plan.worker and not chosen and not several:
        selector = {"worker-name": plan.worker}
    return Choices(
        gpu_ids=chosen, gpus_per_replica=len(plan.gpus), worker_selector=selector,
        adapters=tuple(request.workload.adapters),
        backend_version=request.workload.backend_version, **wishes,
    )  # fmt: skip


def in_words(plan: Plan) -> str:
    """The plan in short."""
    fraction = dict(pairs(plan.parameters)).get("gpu-memory-utilization")
    share = f", {float(fraction):.0%} of each GPU" if fraction else ""
    total = format_bytes(plan.estimate.total_bytes)
    return f"{plan.quantization or plan.format}, {total} on {len(plan.gpus)} GPU(s){share}"


def read_inventory(client: Client, target: str, cluster: int | None) -> Inventory:
    """The ready workers of one cluster as hardware (None: the version has no clusters)."""

    def rows(kind: str) -> list[Mapping[str, Any]]:
        if cluster is None:
            return client.list(kind)
        items = client.list(kind, cluster_id=cluster)
        return [row for row in items if row.get("cluster_id") in (None, cluster)]

    workers = [parse_worker(row) for row in rows("workers")]
    devices = [parse_gpu(row, str(row.get("worker_name"))) for row in rows("gpu-devices")]
    return as_inventory(workers, devices, target, engines(client.dialect))


def connect(target: TargetConfig, config: Config) -> Client:
    """A client for a configured server."""
    return Client(
        Connection(
            target.name, target.url, target.api_key, target.ca_file,
            config.http_timeout_s, config.offline,
        )
    )  # fmt: skip


def cluster_hardware(name: str, config: Config, spec: str | None = None) -> Inventory:
    """``gpu --target``: the GPUs of a configured server's ready workers."""
    target = load(config.paths).find(name)
    with connect(target, config) as client:
        return pick(read_inventory(client, name, cluster_id(client, target)), spec)


@contextlib.contextmanager
def connected_machine(name: str, config: Config, spec: str | None) -> Iterator[Machine]:
    """A configured server's workers and engines; ``spec`` selects some of its GPUs."""
    target = load(config.paths).find(name)
    with connect(target, config) as client:
        hardware = pick(read_inventory(client, name, cluster_id(client, target)), spec)
        yield cluster_machine(hardware, client.dialect, target.name)


def pick(hardware: Inventory, spec: str | None) -> Inventory:
    """``--gpu 0,1``: those devices of the cluster, as ``gpu --target`` numbers them."""
    if spec is None:
        return hardware
    try:
        indices = [int(part) for part in spec.split(",")]
    except ValueError:
        raise UsageError(
            f"--gpu '{spec}' is not a list of GPU indices; a cluster's GPUs cannot be simulated",
            hint=f"modelscan gpu --target {hardware.source}",
        ) from None
    gpus = tuple(gpu for gpu in hardware.gpus if gpu.index in indices)
    missing = set(indices) - {gpu.index for gpu in gpus}
    if missing:
        raise UsageError(
            f"{hardware.source} has no GPU {sorted(missing)[0]} (it has {len(hardware.gpus)})",
            hint=f"modelscan gpu --target {hardware.source}",
        )
    return replace(hardware, gpus=gpus)


def decide_on_cluster(
    machine: Machine,
    model: ResolvedModel,
    wishes: Workload,
    *,
    explain: bool = False,
    everything: bool = False,
) -> Decision:
    """The decision for a cluster: the catalog's recipe if one fits, else the planner's choice; with
    the share of each GPU that it needs.

    Raises NotDeployableError without workers.
    """
    _check_workers(machine)
    followed = by_recipe(machine, model, wishes)
    if followed is not None and not explain and not everything:
        return Decision(sized(machine, model, wishes, followed), None)
    decision = decide_here(machine, model, wishes, explain=explain, everything=everything)
    best = followed or decision.plan
    if best is None:
        return decision
    return replace(decision, plan=sized(machine, model, wishes, best), refusal=None)


def plan_for(machine: Machine, model: ResolvedModel, wishes: Workload) -> Plan:
    """The plan of ``decide_on_cluster``. Raises NotDeployableError (exit 3) if there is none."""
    decision = decide_on_cluster(machine, model, wishes)
    if decision.plan is None:
        raise refused(decision, machine)
    return decision.plan


def _check_workers(machine: Machine) -> None:
    if machine.inventory.gpus:
        return
    problems = "".join(f"; {problem.message}" for problem in machine.inventory.problems)
    raise NotDeployableError(
        f"{machine.where} has no ready worker with a GPU{problems}",
        hint=f"modelscan gpu --target {machine.inventory.source}", code="no_workers",
    )  # fmt: skip


def by_recipe(machine: Machine, model: ResolvedModel, wishes: Workload) -> Plan | None:
    """The plan of the first catalog recipe that is for this mode and these cards, meets the
    wishes, and fits; None if there is none.
    """
    source = {"modelscope": "model_scope"}.get(wishes.source or "huggingface", "huggingface")
    names = {engine.name: engine.name for engine in machine.engines}
    for spec in model.model.specs if model.model else ():
        backend = names.get(cast(Backend, spec.backend.lower()))
        if (spec.mode or "standard") != wishes.mode or spec.source != source:
            continue
        if backend is None or backend != (wishes.backend or backend):
            continue
        gpus = tuple(gpu for gpu in machine.inventory.gpus if not reject(spec.gpu_filters, gpu))
        own = tuple(c for c in model.candidates if c.variant.repo.lower() == spec.repo.lower())
        if not gpus or not own:
            continue
        candidate = replace(machine, inventory=replace(machine.inventory, gpus=gpus))
        with contextlib.suppress(ModelscanError):
            mine = replace(model, candidates=own)
            plan = decide_here(candidate, mine, replace(wishes, backend=backend)).plan
            if plan is not None:
                return plan
    return None


def sized(machine: Machine, model: ResolvedModel, wishes: Workload, plan: Plan) -> Plan:
    """The same plan with the share of each GPU that the model needs, not the engine's 0.9.

    Only vLLM, and only without a requested share or throughput mode (which uses the remaining
    memory).
    """
    fraction = needed_fraction(plan)
    if fraction is None or wishes.memory_utilization or wishes.mode == "throughput":
        return plan
    gpus = tuple(gpu for gpu in machine.inventory.gpus if gpu.index in plan.gpus)
    pinned = replace(machine, inventory=replace(machine.inventory, gpus=gpus))
    loose = replace(wishes, memory_utilization=fraction)
    exact = replace(
        loose, quantization=plan.quantization, backend=plan.backend,
        context_tokens=plan.context_tokens, tensor_parallel=plan.tensor_parallel,
    )  # fmt: skip
    note = (
        f"{fraction:.0%} of each GPU: what the estimate needs for {CONCURRENT_CONTEXTS} full "
        "contexts (--memory-utilization sets another share)"
    )
    for wish in (loose, exact):
        with contextlib.suppress(ModelscanError):
            smaller = by_recipe(pinned, model, wish) or planned(pinned, model, wish)
            if _choice(smaller) == _choice(plan):
                return replace(smaller, reasons=(*smaller.reasons, note))
    return plan


def _choice(plan: Plan) -> tuple[object, ...]:
    return (plan.repo, plan.quantization, plan.backend, plan.gpus, plan.context_tokens)


def needed_fraction(plan: Plan) -> float | None:
    """The smallest ``--gpu-memory-utilization`` for this plan, in steps of 0.01; None if unknown,
    or not below the plan's.

    Per device: everything but the pool, the cache of a few full contexts, a margin; and never below
    GPUStack's own reservation ((weights) x 1.2 + 2 GiB), or its scheduler rejects it.
    """
    devices = plan.estimate.per_gpu
    default = engine(plan.backend).default_memory_share(plan.backend_version)
    if default is None or not devices:
        return None
    fractions, most = [], []
    for device in devices:
        if not device.memory_bytes or device.budget_bytes is None:
            return None
        parts = device.parts
        cache = parts.kv_cache_bytes * max(1, CONCURRENT_CONTEXTS // max(1, plan.parallel))
        fixed = parts.total_bytes - parts.kv_cache_bytes
        margin = plan.estimate.margin_bytes // len(devices)
        claim = int(parts.weights_bytes * CLAIM_FACTOR) + CLAIM_BYTES // len(devices)
        fractions.append(max(fixed + cache + margin, claim) / device.memory_bytes)
        most.append(device.budget_bytes / device.memory_bytes)
    share = math.ceil(round(max(fractions) * 100, 6)) / 100
    return share if share < min(most) else None


def recipe(model: ResolvedModel, plan: Plan, hardware: Inventory, mode: str) -> Spec | None:
    """The catalog's recipe for this repository, engine and device, if there is one."""
    if model.model is None:
        return None
    names = {plan.backend.lower(), BACKENDS.get(plan.backend, "").lower(),
             OLD_BACKENDS.get(plan.backend, "").lower()}  # fmt: skip
    gpus = [gpu for gpu in hardware.gpus if gpu.index in plan.gpus]
    fitting = [
        spec
        for spec in model.model.specs
        if spec.repo.lower() == plan.repo.lower()
        and spec.backend.lower() in names
        and not any(reject(spec.gpu_filters, gpu) for gpu in gpus)
    ]
    exact = [spec for spec in fitting if (spec.mode or "standard") == mode]
    return next(iter(exact or fitting), None)


def selected_ids(plan: Plan, hardware: Inventory, dialect: Dialect) -> tuple[str, ...]:
    """The server's own ids of the requested devices that are like the planned ones.

    On 2.x a replica uses as many of them as the plan does; 0.7 would use all, so it gets only the
    planned ones.
    """
    planned = [gpu for gpu in hardware.gpus if gpu.index in plan.gpus]
    kinds = {(gpu.name, gpu.memory_bytes) for gpu in planned}
    alike = [gpu for gpu in hardware.gpus if (gpu.name, gpu.memory_bytes) in kinds]
    return tuple(gpu.uuid for gpu in (alike if dialect.modern else planned) if gpu.uuid)


def cluster_id(client: Client, target: TargetConfig) -> int | None:
    """The cluster to deploy to (2.x): the configured one, or the only or default one."""
    if not client.dialect.modern:
        return None
    rows = client.list("clusters")
    if target.cluster is not None:
        rows = [r for r in rows if target.cluster in (str(r.get("id")), r.get("name"))]
    if not rows:
        raise UsageError(
            f"{target.name} has no cluster{' ' + target.cluster if target.cluster else ''}",
            hint="create one in GPUStack first: a model cannot exist without it",
            code="no_cluster",
        )
    with understood("a cluster"):
        return int(min(rows, key=lambda r: (not r.get("is_default"), r["id"]))["id"])


def with_recipe_reason(proposal: Proposal) -> Plan:
    """The plan with its recipe among the reasons."""
    plan = proposal.plan
    if proposal.spec is None:
        return plan
    reason = f"follows the catalog's recipe for mode {proposal.spec.mode or 'standard'}"
    return replace(plan, reasons=(*plan.reasons, reason))
