"""``plan -o``: the body of GPUStack's ``POST models``, for its API or its "deploy by YAML"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from modelscan.core.deployment_name import check_name, derive_name
from modelscan.core.errors import NotDeployableError
from modelscan.deploy.machine import place_of
from modelscan.models.resolve import load_subject
from modelscan.targets.base import RequestPreview
from modelscan.targets.gpustack.body import Choices, create_body
from modelscan.targets.gpustack.client import dialect_of
from modelscan.targets.gpustack.machine import cluster_machine
from modelscan.targets.gpustack.plan import plan_for, recipe
from modelscan.targets.registry import TARGETS
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.deploy.planning import Question
    from modelscan.state.config import Config

_SERVER = "2.3.0"  # the server version of a body without a configured server


class RequiredFields(TypedDict):
    """The fields that every body has."""

    name: str
    replicas: int
    source: str  # huggingface | model_scope | local_path
    backend: str


class ModelBody(RequiredFields, total=False):
    """The body of GPUStack's POST models. The names are GPUStack's; a field without a value is
    absent, because the server reads null as a value."""

    huggingface_repo_id: str
    huggingface_filename: str
    model_scope_model_id: str
    model_scope_file_path: str
    local_path: str
    backend_version: str
    backend_parameters: list[str]
    env: dict[str, str]
    categories: list[str]
    restart_on_error: bool
    placement_strategy: str
    gpu_selector: dict[str, Any]
    worker_selector: dict[str, str]
    enable_model_route: bool
    cluster_id: int
    speculative_config: dict[str, Any]
    extended_kv_cache: dict[str, Any]
    image_name: str
    run_command: str
    lora_list: list[dict[str, Any]]
    description: str


def body_of(question: Question, config: Config) -> tuple[ModelBody, tuple[str, ...]]:
    """The body that ``deploy`` would send to the question's target, or without one to a server with
    the question's hardware; and the model's warnings."""
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    wishes, gpu = question.wishes, question.gpu
    model = load_subject(question.model, config, wishes)
    place = place_of(question.target, wishes.backend, gpu, config)
    if place in TARGETS:
        return body_for(
            model, inventory(gpu, ProbeHost.from_config(config)), wishes
        ), model.warnings
    return body_of_server(place, question.model, wishes, gpu, config), model.warnings


def body_of_server(
    target: str, model: str, workload: Workload, gpu: str | None, config: Config
) -> ModelBody:
    """The body that ``deploy`` would send to this server, planned for the server's own GPUs."""
    from modelscan.deploy.deployments import Deployments

    request = Request(model=model, workload=workload, target=target, gpu=gpu, dry_run=True)
    service = Deployments(config)
    preview = service.launch_preview(service.preview(request))
    assert isinstance(preview, RequestPreview)  # every target but this machine's is a server
    return _typed(preview.body)


def body_for(subject: ResolvedModel, hardware: Inventory, workload: Workload) -> ModelBody:
    """The body for a server with this hardware. Raises NotDeployableError where nothing fits."""
    if not hardware.gpus:
        raise NotDeployableError(
            "GPUStack runs models on GPUs, and this machine has none",
            hint=f"modelscan plan {subject.id} -o yaml --gpu 'RTX 4090'", code="no_workers",
        )  # fmt: skip
    dialect = dialect_of(_SERVER)
    plan = plan_for(cluster_machine(hardware, dialect, "a server"), subject, workload)
    choices = Choices(adapters=workload.adapters, backend_version=workload.backend_version)
    body = create_body(
        check_name(derive_name(subject.id)), plan, dialect, choices, cluster_id=None,
        spec=recipe(subject, plan, hardware, workload.mode),
    )  # fmt: skip
    return _typed(body)


def _typed(body: Mapping[str, Any]) -> ModelBody:
    return cast("ModelBody", dict(body))
