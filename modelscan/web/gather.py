"""The documents behind the pages, by the commands' own functions; what takes long is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from modelscan.api import Workspace
from modelscan.catalog.search.types import Query
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.workload import Workload
from modelscan.deploy.exports.answers import export_plan
from modelscan.deploy.exports.formats import ExportFormat
from modelscan.deploy.planning import (
    Question,
    SizedModel,
    deploy_command,
    plan_model,
    size_model,
)
from modelscan.deploy.shown import deployment_shown
from modelscan.evals.board import board
from modelscan.evals.compare import compare
from modelscan.evals.pair import find_pair
from modelscan.evals.storage import stored_reports
from modelscan.models.fit import default_wishes
from modelscan.models.info import find_info
from modelscan.models.runnable import runnable_models
from modelscan.routing.clients.connect import ConnectWishes, connect
from modelscan.routing.clients.offer import served_facts
from modelscan.routing.clients.registry import CLIENTS
from modelscan.traces.answers import TraceAccess, list_spans, show_span
from modelscan.traces.retention import receipt_store
from modelscan.traces.store import ReceiptFilter
from modelscan.web.kept import Kept
from modelscan.web.pages import compare as compare_page
from modelscan.web.pages import find as find_page
from modelscan.web.pages import model as model_page
from modelscan.web.pages import scores as scores_page
from modelscan.web.pages import system as system_page
from modelscan.web.pages import traffic as traffic_page
from modelscan.web.pages.compare import Compared
from modelscan.web.pages.deployment import ClientSnippet
from modelscan.web.pages.model import ModelView
from modelscan.web.series import MOST_POINTS, MOST_RECEIPTS, Series, series
from modelscan.web.visit import View, Visit
from modelscan.web.words import short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelscan.core.machine import Machine
    from modelscan.core.receipt import Receipt
    from modelscan.deploy.answers import DeploymentShown
    from modelscan.models.runnable import RunnableModels
    from modelscan.state.server.database import ServerDatabase
    from modelscan.web.live import LiveSample

_HERE_S, _SIMULATED_S, _CHECKS_S = 60.0, 3_600.0, 30.0
_LOG_LINES, _SPANS, _SNIPPETS = 200, 400, ("opencode", "continue", "claude-code", "codex")


class Documents:
    """The answers for one gateway's pages; threads share one."""

    def __init__(self, workspace: Workspace, database: ServerDatabase) -> None:
        self.workspace = workspace
        self._database = database
        self._found: Kept[RunnableModels] = Kept(24)
        self._sized: Kept[ModelView] = Kept(48)
        self._system: Kept[View] = Kept(1)
        self._series: Kept[Series] = Kept(64)

    # Find, Model, Compare

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
        return runnable_models(
            self.workspace.config, machine, use=asked.use or None, limit=asked.limit, only=only
        )

    def model(self, visit: Visit) -> View:
        """The page *Model*; ``visit.path`` ends with its id."""
        answer = self.sized(visit)
        form = visit.text("export")
        known = {name for name, _ in model_page.EXPORTS if name != "command"}
        if answer.decision.plan is not None and form in known:
            try:
                text = self.export(visit, form)
                answer = replace(answer, export=text)
            except ModelscanError as error:
                answer = replace(answer, export_error=error)
        return model_page.view(visit, answer)

    def sized(self, visit: Visit) -> ModelView:
        """Every file and the plan of a model on a machine."""
        question = _question(visit, self._wishes())
        key = (question, self.workspace.config.paths.state)
        return self._sized.get(key, _seconds(question.gpu or ""), lambda: self._size(question))

    def _size(self, question: Question) -> ModelView:
        config = self.workspace.config
        sized = size_model(question, config)
        info = None
        if sized.decision.plan or sized.decision.refusal:
            try:
                info = find_info(question.model, sized.machine, config)[1]
            except ModelscanError:
                info = None  # a file or a folder: the catalog knows no facts
        command = deploy_command(question, simulated=sized.machine.simulated)
        return ModelView(
            sized.sizes, sized.decision, _card(sized.machine), _free(sized),
            len(sized.machine.inventory.gpus), command, info, warnings=sized.warnings,
        )  # fmt: skip

    def export(self, visit: Visit, form: str) -> str:
        """The plan as a file. Raises UsageError, NotDeployableError."""
        question = _question(visit, self._wishes())
        known = next((one for one in get_args(ExportFormat) if one == form), None)
        if known is None:
            raise UsageError(
                f"a plan cannot be written as '{form}'",
                hint=f"modelscan plan {question.model} --export compose",
                code="unknown_format",
            )
        exported, _ = export_plan(question, known, self.workspace.config)
        return exported.text

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

    # Deployments

    def log(self, name: str) -> tuple[tuple[str, ...], str | None]:
        """The last lines of an engine's log, and why there are none."""
        try:
            return tuple(self.workspace.logs(name, tail=_LOG_LINES))[-_LOG_LINES:], None
        except (ModelscanError, OSError) as error:
            return (), getattr(error, "message", str(error))

    def shown(self, name: str) -> DeploymentShown:
        """The document of ``show``."""
        return deployment_shown(name, self.workspace.config)

    def snippets(self, route: str | None, endpoint: str) -> tuple[ClientSnippet, ...]:
        """How clients are configured for a route of this gateway."""
        return tuple(self._snippets(route, endpoint)) if route else ()

    def _snippets(self, route: str | None, endpoint: str) -> Iterator[ClientSnippet]:
        config = self.workspace.config
        for name in _SNIPPETS:
            if name not in CLIENTS:
                continue
            wishes = ConnectWishes(name, "print", route)
            try:
                answer = connect(
                    wishes, config.routing_file, config.paths.state / "clients", endpoint,
                    served_facts,
                )  # fmt: skip
            except ModelscanError:
                continue
            text = "\n".join(file.text.rstrip("\n") for file in answer.files if file.text)
            if text:
                yield ClientSnippet(name, name, text)

    # Requests

    def traffic(self, visit: Visit) -> View:
        """The page *Traffic*."""
        spans = list_spans(
            self._traces, limit=_SPANS, since_s=traffic_page.since_s(visit),
            route=visit.text("route") or None,
        ).spans  # fmt: skip
        services = self.workspace.services().services
        names = [one.id for one in self.workspace.routed_names().models]
        return traffic_page.view(visit, spans, services, names)

    def request(self, visit: Visit, trace_id: str) -> View:
        """The page of one request; its texts stay out of it."""
        span = show_span(self._traces, trace_id).span
        return traffic_page.request_view(visit, replace(span, content=None))

    @property
    def _traces(self) -> TraceAccess:
        return TraceAccess(self.workspace.config, self._database)

    def series(
        self, of: str | None, entries: Sequence[str], samples: Sequence[LiveSample], last_s: int,
        points: int,
    ) -> Series:  # fmt: skip
        """Rates and latencies over the last ``last_s`` seconds; ``entries``: of the routing file
        that lead to the deployment ``of``.
        """
        points = max(10, min(points, MOST_POINTS))

        def compute() -> Series:
            now = time.time()
            receipts = self._receipts(now - last_s, None if of is None else frozenset(entries))
            return series(of, receipts, samples, now, last_s, points)

        return self._series.get((of, last_s, points), 1.9, compute)

    def _receipts(self, since: float, backends: frozenset[str] | None) -> Iterator[Receipt]:
        store = receipt_store(self.workspace.config, self._database)
        for receipt in store.newest(MOST_RECEIPTS, ReceiptFilter(since)):
            if backends is None or receipt.backend in backends:
                yield receipt

    # Scores, System

    def scores(self, visit: Visit) -> View:
        """The page *Scores*."""
        reports = stored_reports(self.workspace.config.paths)
        return scores_page.view(
            visit, board(reports).rows, self.workspace.bench_results(limit=50).samples
        )

    def scores_compare(self, visit: Visit) -> View:
        """Two runs, task by task. Raises UsageError for runs that cannot be compared."""
        first, second = (*visit.repeated.get("run", ()), "", "")[:2]
        pair = find_pair(self.workspace.config.paths, first, second, None)
        return scores_page.compare_view(visit, compare(*pair))

    def system(self, visit: Visit) -> View:
        """The page *System*; its checks start programs, so they are kept for a while."""
        return self._system.get("system", _CHECKS_S, lambda: self._system_view(visit))

    def _system_view(self, visit: Visit) -> View:
        space = self.workspace
        return system_page.view(
            visit, space.doctor(), space.cache(), space.engines(), space.targets(), space.settings()
        )


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
