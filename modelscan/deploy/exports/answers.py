"""Exports of a question's plan and of a deployment, as documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.deployment_name import derive_name
from modelscan.core.errors import UsageError
from modelscan.deploy.exports.documents import comments, yaml_text
from modelscan.deploy.exports.formats import ExportFormat
from modelscan.deploy.exports.registry import EXPORTS
from modelscan.deploy.exports.subject import subject_of
from modelscan.deploy.machine import machine_at, machine_here, model_at
from modelscan.deploy.plan_body import body_of
from modelscan.models.decide import decide_here, refused
from modelscan.models.resolve import load_subject

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.planning import Question
    from modelscan.state.config import Config

_GPUSTACK, _LOCAL = "gpustack", "local"


@dataclass(frozen=True, slots=True)
class ExportedPlan:
    """``text`` is the whole file; the first lines are comments with the plan's numbers."""

    format: ExportFormat
    name: str
    text: str


def export_plan(
    question: Question, form: ExportFormat, config: Config
) -> tuple[ExportedPlan, tuple[str, ...]]:
    """The plan of a question as a file, and the model's warnings.

    Raises UsageError for an unknown model and for what the format cannot express,
    NotDeployableError where nothing fits.
    """
    if form == _GPUSTACK:
        return _gpustack(question, config)
    model = load_subject(question.model, config, question.wishes)
    name = derive_name(model.id)
    backend = question.wishes.backend
    with machine_at(_LOCAL, config, question.gpu, name, backend=backend) as machine:
        decision = decide_here(machine, model_at(_LOCAL, model), question.wishes)
        if decision.plan is None:
            raise refused(decision, machine)
        subject = subject_of(name, decision.plan, machine.inventory)
    return ExportedPlan(form, name, EXPORTS[form](subject)), model.warnings


def _gpustack(question: Question, config: Config) -> tuple[ExportedPlan, tuple[str, ...]]:
    """The request that creates the model on a GPUStack server."""
    body, warnings = body_of(question, config)
    text = comments([f"{question.model}: POST /v2/models"]) + yaml_text(body)
    return ExportedPlan("gpustack", body["name"], text), warnings


def export_deployment(deployment: Deployment, form: ExportFormat, config: Config) -> ExportedPlan:
    """The plan that a deployment runs, as a file. Raises UsageError for one without a plan."""
    plan = deployment.plan
    if plan is None or form == _GPUSTACK:
        reason = "has no plan" if plan is None else "is exported to GPUStack from its model"
        raise UsageError(
            f"{deployment.name} {reason}",
            hint=f"modelscan plan {deployment.model} --export {form}",
            code="no_plan",
        )
    subject = subject_of(deployment.name, plan, machine_here(config).inventory)
    return ExportedPlan(form, deployment.name, EXPORTS[form](subject))
