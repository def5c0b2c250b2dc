"""Planning for a GPUStack cluster: its workers are the hardware, its engines the backends."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.gpu import Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.model import Spec
from modelscan.core.plan import Plan, Subject
from modelscan.deploy.request import Request
from modelscan.engines.gpustack.body import BACKENDS, OLD_BACKENDS, Choices, create_body
from modelscan.engines.gpustack.client import Client, Dialect
from modelscan.engines.gpustack.filters import reject
from modelscan.engines.gpustack.inventory import inventory as as_inventory
from modelscan.engines.gpustack.types import parse_gpu, parse_worker
from modelscan.state.targets import TargetConfig


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be created, and why."""

    plan: Plan
    body: Mapping[str, Any]
    marker: str
    cluster_id: int | None
    spec: Spec | None


def propose(
    client: Client, target: TargetConfig, name: str, subject: Subject, request: Request
) -> Proposal:
    """Decide for the cluster's hardware. Raises NotDeployableError when nothing fits."""
    hardware = pick(read_inventory(client, target.name), request.gpu)
    plan = decide_for(subject, hardware, request, client.dialect)
    cluster = cluster_id(client, target)
    spec = recipe(subject, plan, hardware, request.workload.mode)
    chosen = hardware_ids(plan, hardware) if request.gpu else ()
    selector = {"worker-name": plan.worker} if plan.worker and not chosen else None
    choices = Choices(
        gpu_ids=chosen, worker_selector=selector, adapters=tuple(request.workload.adapters)
    )
    body = create_body(name, plan, client.dialect, choices, cluster_id=cluster, spec=spec)
    marker = f"modelscan:{uuid.uuid4().hex[:16]}"
    body["description"] = f"Deployed by modelscan ({marker})"
    return Proposal(plan, body, marker, cluster, spec)


def read_inventory(client: Client, target: str) -> Inventory:
    """The cluster's ready workers as hardware."""
    workers = [parse_worker(row) for row in client.list("workers")]
    devices = [parse_gpu(row, str(row.get("worker_name"))) for row in client.list("gpu-devices")]
    return as_inventory(workers, devices, target)


def pick(hardware: Inventory, spec: str | None) -> Inventory:
    """``--gpu 0,1``: those devices of the cluster, as ``gpu --target`` numbers them."""
    if spec is None:
        return hardware
    try:
        wanted = [int(part) for part in spec.split(",")]
    except ValueError:
        raise UsageError(
            f"--gpu '{spec}' is not a list of indices, and a cluster's GPUs are what they are",
            hint=f"modelscan gpu --target {hardware.source}",
        ) from None
    gpus = tuple(gpu for gpu in hardware.gpus if gpu.index in wanted)
    missing = set(wanted) - {gpu.index for gpu in gpus}
    if missing:
        raise UsageError(
            f"{hardware.source} has no GPU {sorted(missing)[0]} (it has {len(hardware.gpus)})",
            hint=f"modelscan gpu --target {hardware.source}",
        )
    return replace(hardware, gpus=gpus)


def decide_for(subject: Subject, hardware: Inventory, request: Request, dialect: Dialect) -> Plan:
    """The planner's choice among what this server can run."""
    from modelscan.deploy.local_plan import no_fit
    from modelscan.planner.decide import decide

    if not hardware.gpus:
        problems = "".join(f"; {problem.message}" for problem in hardware.problems)
        raise NotDeployableError(
            f"{hardware.source} has no ready worker with a GPU{problems}",
            hint=f"modelscan gpu --target {hardware.source}", code="no_workers",
        )  # fmt: skip
    decision = decide(
        servable(subject, dialect), without_host(hardware), request.workload, explain=False
    )
    if decision.plan is None:
        raise no_fit(decision)
    return decision.plan


def without_host(hardware: Inventory) -> Inventory:
    """A cluster runs models on GPUs: host memory is no alternative."""
    return replace(hardware, host=replace(hardware.host, free_bytes=0))


def servable(subject: Subject, dialect: Dialect) -> Subject:
    """Only the variants this server's engines read: safetensors; GGUF on 0.7 (llama-box)."""
    formats = {"safetensors"} if dialect.modern else {"safetensors", "gguf"}
    kept = tuple(c for c in subject.candidates if c.variant.format in formats)
    if not kept and subject.candidates:
        there = ", ".join(sorted({c.variant.format for c in subject.candidates}))
        raise NotDeployableError(
            f"GPUStack {dialect.version} serves {' and '.join(sorted(formats))}; "
            f"{subject.id} is there as {there}",
            hint=f"modelscan deploy {subject.id} --target local",
        )
    return replace(subject, candidates=kept)


def recipe(subject: Subject, plan: Plan, hardware: Inventory, mode: str) -> Spec | None:
    """The catalog's recipe for just this repository, engine and device, if there is one."""
    if subject.model is None:
        return None
    names = {plan.backend.lower(), BACKENDS.get(plan.backend, "").lower(),
             OLD_BACKENDS.get(plan.backend, "").lower()}  # fmt: skip
    gpus = [gpu for gpu in hardware.gpus if gpu.index in plan.gpus]
    fitting = [
        spec
        for spec in subject.model.specs
        if spec.repo.lower() == plan.repo.lower()
        and spec.backend.lower() in names
        and not any(reject(spec.gpu_filters, gpu) for gpu in gpus)
    ]
    exact = [spec for spec in fitting if (spec.mode or "standard") == mode]
    return next(iter(exact or fitting), None)


def hardware_ids(plan: Plan, hardware: Inventory) -> tuple[str, ...]:
    """The server's own ids of the planned devices."""
    by_index = {gpu.index: gpu.uuid for gpu in hardware.gpus}
    return tuple(uuid_ for index in plan.gpus if (uuid_ := by_index.get(index)))


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
    rows = sorted(rows, key=lambda r: (not r.get("is_default"), r["id"]))
    return int(rows[0]["id"])


def evaluate(client: Client, proposal: Proposal) -> dict[str, Any] | None:
    """GPUStack's own opinion, as a cross-check. None when it cannot be asked.

    The answer is 200 also when it means no: every message field is read.
    """
    request: dict[str, Any] = {"model_specs": [dict(proposal.body)]}
    if proposal.cluster_id is not None:
        request["cluster_id"] = proposal.cluster_id
    try:
        answer = client.post("model-evaluations", request, what="evaluate", timeout_s=60.0)
        result = answer["results"][0]
    except (ModelscanError, KeyError, IndexError, TypeError):
        return None
    messages = [
        *(result.get("compatibility_messages") or ()),
        *(result.get("scheduling_messages") or ()),
        *([result["error_message"]] if result.get("error_message") else ()),
    ]
    claim = result.get("resource_claim") or {}
    return {
        "compatible": bool(result.get("compatible")) and not result.get("error"),
        "messages": [str(message) for message in messages],
        "vram_bytes": claim.get("vram"),
        "ram_bytes": claim.get("ram"),
    }


def plan_json(proposal: Proposal) -> dict[str, Any]:
    """The plan with the recipe it follows among its reasons."""
    value: dict[str, Any] = to_json(proposal.plan)
    if proposal.spec is not None:
        mode = proposal.spec.mode or "standard"
        value["reasons"] = [*value["reasons"], f"follows the catalog's recipe for mode {mode}"]
    return value
