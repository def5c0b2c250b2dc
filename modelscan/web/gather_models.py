"""Find, Model, Compare: which models run on a machine, by the functions of ``plan`` and
``estimate``; answers that take seconds are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from modelscan.api import Workspace
from modelscan.catalog.search.types import Query
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.workload import Workload
from modelscan.deploy.exports.answers import ExportedPlan, export_plan
from modelscan.deploy.exports.formats import ExportFormat
from modelscan.deploy.planning import (
    Question,
    SizedModel,
    deploy_command,
    plan_model,
    size_model,
)
from modelscan.models.fit import default_wishes
from modelscan.models.info import find_info
from modelscan.models.runnable import runnable_models
from modelscan.web.kept import Kept
from modelscan.web.pages import compare as compare_page
from modelscan.web.pages import find as find_page
from modelscan.web.pages import model as model_page
from modelscan.web.pages.compare import Compared
from modelscan.web.pages.model import ModelPageAnswer
from modelscan.web.visit import View, Visit
from modelscan.web.words import short_name

if TYPE_CHECKING:
    from modelscan.core.fit import Fit
    from modelscan.core.machine import Machine
    from modelscan.models.runnable import RunnableModels

_HERE_S, _SIMULATED_S = 60.0, 3_600.0


class ModelDocuments:
    """The answers for the pages of models; threads share one."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._found: Kept[RunnableModels] = Kept(24)
        self._fits: Kept[dict[str, Fit]] = Kept(24)
        self._sized: Kept[ModelPageAnswer] = Kept(48)

    def find(self, visit: Visit) -> View:
        """The page *Find*."""
        asked = find_page.question(visit)
        try:
            answer = self._found.get(asked, _seconds(asked.gpu), lambda: self._runnable(asked))
        except ModelscanError as error:
            return find_page.view(visit, error)
        return find_page.view(visit, answer)

    def _runnable(self, asked: find_page.FindQuestion) -> RunnableModels:
        only = Query(
            text=asked.text, tools="tools" in asked.can, reasoning="reasoning" in asked.can,
            vision="vision" in asked.can,
        )  # fmt: skip
        machine = self.workspace.machine(asked.gpu or None)
        # More models, another order or other words plan only the models that are new.
        known = self._fits.get(asked.gpu, _seconds(asked.gpu), dict)
        return runnable_models(
            self.workspace.config, machine, use=asked.use or None, limit=asked.limit, only=only,
            known=known,
        )  # fmt: skip

    def model(self, visit: Visit) -> View:
        """The page *Model*; ``visit.path`` ends with its id."""
        answer = self.sized(visit)
        form = visit.text("export")
        known = {name for name, _ in model_page.EXPORTS if name != "command"}
        if answer.decision.plan is not None and form in known:
            try:
                answer = replace(answer, export=self.export(visit, form).text)
            except ModelscanError as error:
                answer = replace(answer, export_error=error)
        return model_page.view(visit, answer)

    def sized(self, visit: Visit) -> ModelPageAnswer:
        """Every file and the plan of a model on a machine."""
        question = _question(visit, self._wishes())
        key = (question, self.workspace.config.paths.state)
        return self._sized.get(key, _seconds(question.gpu or ""), lambda: self._size(question))

    def _size(self, question: Question) -> ModelPageAnswer:
        config = self.workspace.config
        sized = size_model(question, config)
        info = None
        if sized.decision.plan or sized.decision.refusal:
            try:
                info = find_info(question.model, sized.machine, config)[1]
            except ModelscanError:
                info = None  # a file or a folder: the catalog knows no facts
        command = deploy_command(question, simulated=sized.machine.simulated)
        return ModelPageAnswer(
            sized.sizes, sized.decision, _card(sized.machine), _free(sized),
            len(sized.machine.inventory.gpus), command, info, warnings=sized.warnings,
        )  # fmt: skip

    def export(self, visit: Visit, form: str) -> ExportedPlan:
        """The plan as a file. Raises UsageError, NotDeployableError."""
        question = _question(visit, self._wishes())
        known = next((one for one in get_args(ExportFormat) if one == form), None)
        if known is None:
            raise UsageError(
                f"a plan cannot be written as '{form}'",
                hint=f"modelscan plan {question.model} --export compose",
                code="unknown_format",
            )
        return export_plan(question, known, self.workspace.config)[0]

    def compare(self, visit: Visit) -> View:
        """The page *Compare*."""
        rows = [self._compared(model, gpu) for model, gpu in compare_page.pairs(visit) if model]
        return compare_page.view(visit, rows)

    def _compared(self, model: str, gpu: str) -> Compared:
        question = Question(model, self._wishes(), gpu or None)
        try:
            decision = plan_model(question, self.workspace.config).decision
        except ModelscanError as error:
            return Compared(model, gpu, None, error)
        return Compared(model, gpu, decision)

    def _wishes(self) -> Workload:
        return default_wishes(self.workspace.config)


def _question(visit: Visit, wishes: Workload) -> Question:
    """The model, machine and wishes of an address."""
    name = visit.parts["id"]
    context, cache = visit.number("context", 0), visit.one_of("kv", model_page.CACHES)
    wishes = replace(
        wishes, context_tokens=context or wishes.context_tokens, kv_cache_k=cache or None,
        kv_cache_v=cache or None, quantization=visit.text("quantization") or None,
    )  # fmt: skip
    return Question(name, wishes, visit.text("gpu") or None)


def _seconds(gpu: str) -> float:
    """How long an answer is true: the free memory of this machine changes."""
    return _SIMULATED_S if gpu and not gpu.replace(",", "").isdigit() else _HERE_S


def _card(machine: Machine) -> str:
    gpus = machine.inventory.gpus
    if not gpus:
        return "this CPU" if not machine.simulated else "the CPU"
    names = list(dict.fromkeys(short_name(gpu.name) for gpu in gpus))
    count = f"{len(gpus)} × " if len(gpus) > 1 and len(names) == 1 else ""
    return count + " + ".join(names)


def _free(sized: SizedModel) -> int:
    """The free bytes of the device that the sizes are compared with."""
    estimates = [one.estimate for one in sized.sizes.files if one.estimate is not None]
    free = [one.free_bytes for one in estimates if one.free_bytes is not None]
    if free:
        return max(free)
    inventory = sized.machine.free_inventory()
    own = [gpu.free_bytes or gpu.memory_bytes or 0 for gpu in inventory.gpus]
    return max(own, default=inventory.host.free_bytes or 0)
