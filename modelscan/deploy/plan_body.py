"""``plan -o``: the request body that GPUStack would get, for its API or its "deploy by YAML"."""

from __future__ import annotations

from typing import Any

from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Inventory
from modelscan.core.plan import ResolvedModel
from modelscan.core.workload import Workload
from modelscan.deploy.machine import place_of
from modelscan.deploy.planning import Question
from modelscan.models.resolve import load_subject
from modelscan.state.config import Config
from modelscan.targets.base import RequestPreview
from modelscan.targets.gpustack.body import Choices, create_body
from modelscan.targets.gpustack.client import dialect_of
from modelscan.targets.gpustack.machine import cluster_machine
from modelscan.targets.gpustack.plan import plan_for, recipe
from modelscan.targets.registry import TARGETS
from modelscan.targets.request import Request, check_name, derive_name

_SERVER = "2.3.0"  # the version a body is for where no server is configured


def body_of(question: Question, config: Config) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body and the model's warnings: what ``deploy`` sends to the server that the question
    names, or what a server with this machine's hardware would get."""
    from modelscan.gpu.inventory import inventory

    wishes, gpu = question.wishes, question.gpu
    model = load_subject(question.model, config, wishes)
    place = place_of(question.target, wishes.backend, gpu, config)
    if place in TARGETS:
        return body_for(model, inventory(gpu), wishes), model.warnings
    return body_of_server(place, question.model, wishes, gpu, config), model.warnings


def body_of_server(
    target: str, model: str, workload: Workload, gpu: str | None, config: Config
) -> dict[str, Any]:
    """What ``deploy`` would send to this server, which is asked for its hardware."""
    from modelscan.deploy.deployments import Deployments

    request = Request(model=model, workload=workload, target=target, gpu=gpu, dry_run=True)
    service = Deployments(config)
    preview = service.launch_preview(service.preview(request))
    return dict(preview.body) if isinstance(preview, RequestPreview) else {}


def body_for(subject: ResolvedModel, hardware: Inventory, workload: Workload) -> dict[str, Any]:
    """The body for a server with this hardware. Raises NotDeployableError where nothing fits."""
    if not hardware.gpus:
        raise NotDeployableError(
            "GPUStack runs models on GPUs, and there is none here",
            hint=f"modelscan plan {subject.id} -o yaml --gpu 'RTX 4090'", code="no_workers",
        )  # fmt: skip
    dialect = dialect_of(_SERVER)
    plan = plan_for(cluster_machine(hardware, dialect, "a server"), subject, workload)
    wishes = Choices(adapters=workload.adapters, backend_version=workload.backend_version)
    return create_body(
        check_name(derive_name(subject.id)), plan, dialect, wishes, cluster_id=None,
        spec=recipe(subject, plan, hardware, workload.mode),
    )  # fmt: skip
