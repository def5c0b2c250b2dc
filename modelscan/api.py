"""The public Python interface: ``modelscan.Workspace``.

Every method returns a typed value with one JSON form (``core.jsonform.to_json``) and raises only
the errors of ``core.errors``. The settings are a workspace's only state: threads can share one, and
one process can have several with different homes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from modelscan.bench.report import BenchReport
    from modelscan.bench.request import BenchRequest
    from modelscan.bench.samples import BenchList
    from modelscan.catalog.find_passport import PassportAnswer
    from modelscan.catalog.refresh import SyncAnswer
    from modelscan.catalog.search.types import Query
    from modelscan.catalog.source_states import SourcesAnswer
    from modelscan.core.deployment import Deployment
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.core.machine import Machine
    from modelscan.core.plan import Decision
    from modelscan.core.workload import Workload
    from modelscan.deploy.cache_answers import CacheList
    from modelscan.deploy.deployments import Deployments
    from modelscan.deploy.doctor import Diagnosis
    from modelscan.deploy.history import History
    from modelscan.deploy.planning import Question
    from modelscan.gateway.top.look import Observer
    from modelscan.gpu.known import GpuFactsAnswer
    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress
    from modelscan.hub.neighbours.types import NeighbourList
    from modelscan.models.info import Comparison, ModelInfo
    from modelscan.models.offers import ModelOffers
    from modelscan.models.pages import ModelPage
    from modelscan.models.runnable import RunnableModels
    from modelscan.promotion.run import Promoter
    from modelscan.promotion.types import PromotionOptions, PromotionShown
    from modelscan.recipes.render import RecipeWish
    from modelscan.recipes.run import RunOptions
    from modelscan.recipes.types import RecipeList, RenderedRecipe
    from modelscan.routing.answers import (
        RouteList,
        RouteResolved,
        RoutesExported,
        RouteShown,
    )
    from modelscan.routing.explain import ExplainStep, RouteExplained
    from modelscan.routing.listing import RoutedNames, RoutedServices
    from modelscan.routing.match import RouteMatched
    from modelscan.routing.parsed import RoutingFile
    from modelscan.routing.resolve import States
    from modelscan.routing.role_answers import RoleList, RoleShown
    from modelscan.routing.role_format import RoleOperation
    from modelscan.routing.table import Operation
    from modelscan.routing.world import World
    from modelscan.state.config import Config
    from modelscan.state.setting_kinds import Value
    from modelscan.state.settings import SettingsShown
    from modelscan.supervisor.engines.answers import EngineList
    from modelscan.targets.answers import TargetList
    from modelscan.targets.events import Event, Events
    from modelscan.targets.request import Request


def ignore(_: object) -> None:
    """For callers without a receiver of warnings or progress."""


class Workspace:
    """Models, hardware, deployments and routes of this machine, with one set of settings.

    ``home`` moves every folder below one directory, like MODELSCAN_HOME; ``offline`` forbids
    requests to other machines; ``settings`` are values by the names of ``modelscan config show``;
    ``on_warning`` receives each warning that is not part of an answer.
    """

    def __init__(
        self,
        config: Config | Callable[[], Config] | None = None,
        *,
        home: str | Path | None = None,
        offline: bool | None = None,
        settings: Mapping[str, Value] | None = None,
        on_warning: Callable[[str], None] = ignore,
    ) -> None:
        """Reads no file; ``config``, or a function that loads it, replaces the other arguments."""
        self._source = config or (lambda: _load(home, offline, settings or {}))
        self._loaded: Config | None = None
        self._warn = on_warning

    @property
    def config(self) -> Config:
        """The settings with their origins, read once, at the first use.

        Raises UsageError where a settings file or a variable is invalid.
        """
        if self._loaded is None:
            source = self._source
            self._loaded = source() if callable(source) else source
        return self._loaded

    # Models

    def search(
        self,
        query: str | Query = "",
        *,
        fits: bool = False,
        trusted: bool = False,
        gpu: str | None = None,
        progress: Callable[[str], None] = ignore,
    ) -> ModelPage:
        """A page of models for search words or a ``Query`` (filters, order, limit, offset).

        ``fits``: only models that ``plan`` can run on this machine (or ``gpu``), each with its
        fit; ``trusted``: only models that an entry of the routing file serves which is tagged
        trusted or curated; both: models for which one of them holds. ``progress`` receives the id
        of each model that is planned. Raises UsageError for an unknown source, RemoteError where a
        hub fails.
        """
        from modelscan.catalog.search.types import Query
        from modelscan.models.pages import find_page

        query = Query(text=query) if isinstance(query, str) else query
        machine = self.machine(gpu) if fits or gpu is not None else None
        routes = self._trusted_models() if trusted else None
        return find_page(query, self.config, machine, progress, routes)

    def _trusted_models(self) -> Mapping[str, tuple[str, ...]]:
        from modelscan.traces.here import trusted_models

        return trusted_models(self.config)

    def info(self, model: str, *, gpu: str | None = None) -> ModelInfo:
        """Every fact about a model with its source, and its fit on this machine (or ``gpu``).

        Raises UsageError for an unknown or ambiguous name.
        """
        from modelscan.models.info import find_info

        return find_info(model, self.machine(gpu), self.config)[1]

    def compare(self, models: Sequence[str], *, gpu: str | None = None) -> Comparison:
        """Models side by side; raises UsageError for an unknown or ambiguous name."""
        from modelscan.models.info import find_comparison
        from modelscan.traces.here import comparison_here

        answer = find_comparison(models, self.machine(gpu), self.config)[1]
        return comparison_here(answer, self.config)

    def passport(self, model: str, *, checksum: bool = False) -> PassportAnswer:
        """License, lineage, parameters, files with SHA-256 (``checksum``: of local files too).

        Raises UsageError for an unknown name, RemoteError where the hub fails.
        """
        from modelscan.catalog.find_passport import find_passport

        return find_passport(model, self.config, checksum=checksum)

    def sources(self) -> SourcesAnswer:
        """The sources of the catalog: state, number of models, time of their data."""
        from modelscan.catalog.source_states import source_states

        return source_states(self.config)

    def runnable(
        self,
        task: str = "chat",
        *,
        use: str | None = None,
        gpu: str | None = None,
        limit: int | None = 20,
        progress: Callable[[str], None] = ignore,
    ) -> RunnableModels:
        """The open models for a task that run on this machine (or ``gpu``), best first.

        ``use``: a use case instead of a task (coding, agents, vision …). At most ``limit`` (None:
        all), each with its fit. Raises UsageError for an unknown task.
        """
        from modelscan.models.runnable import runnable_models

        machine = self.machine(gpu)
        return runnable_models(
            self.config, machine, task=task, use=use, limit=limit, progress=progress
        )

    def offers(
        self,
        model: str,
        *,
        gpu: str | None = None,
        tokens_per_s: float | None = None,
        watts: float | None = None,
        usd_per_kwh: float | None = None,
    ) -> ModelOffers:
        """The providers of a model, cheapest first, and the electricity cost on this machine.

        Prices are US dollars per million tokens. Without ``watts`` and ``usd_per_kwh`` the
        settings ``machine_watts`` and ``electricity_usd_per_kwh`` count, without ``tokens_per_s``
        the planned speed. Raises UsageError for an unknown or ambiguous name.
        """
        from modelscan.models.offers import PowerUse, find_offers
        from modelscan.traces.here import offers_here

        power = PowerUse(tokens_per_s, watts, usd_per_kwh)
        answer = find_offers(model, self.config, lambda: self.machine(gpu), power)
        return offers_here(answer, self.config)

    def sync(
        self,
        sources: Sequence[str] = (),
        *,
        dry_run: bool = False,
        progress: Callable[[str], None] = ignore,
    ) -> SyncAnswer:
        """Refresh the catalog from these sources (default: all).

        A failed source keeps its previous data; its outcome has the error. With Hugging Face, the
        file lists and config.json of the most used models are refreshed as well.
        """
        from modelscan.catalog.records import HUGGINGFACE
        from modelscan.catalog.refresh import refresh

        answer = refresh(sources, self.config, dry_run=dry_run, progress=progress)
        states = {outcome.source: outcome.result for outcome in answer.sources}
        if not dry_run and states.get(HUGGINGFACE) in ("updated", "unchanged"):
            from modelscan.models.refresh_lists import refresh_lists

            refresh_lists(self.config, progress)
        return answer

    # Hardware

    def machine(self, gpu: str | None = None) -> Machine:
        """This machine with its engines and its reserved memory.

        ``gpu`` selects devices ("0,1") or simulates hardware ("2x RTX 4090") with every engine.
        Raises UsageError for an unknown GPU.
        """
        from modelscan.deploy.machine import machine_here

        return machine_here(self.config, gpu)

    def hardware(self, gpu: str | None = None) -> Inventory:
        """The GPUs and the host, without engines; raises UsageError for an unknown GPU."""
        from modelscan.gpu.inventory import inventory
        from modelscan.gpu.probe_host import ProbeHost

        return inventory(gpu, ProbeHost.from_config(self.config))

    def gpu_facts(
        self, name: str | None = None, *, text: str = "", limit: int | None = None, offset: int = 0
    ) -> GpuFactsAnswer:
        """The facts about one GPU, or about those that contain the words of ``text``.

        At most ``limit`` rows, without the first ``offset``. Raises UsageError for an unknown name
        or if no row matches.
        """
        from modelscan.gpu.known import find_facts, matching_facts

        return find_facts(name) if name is not None else matching_facts(text, limit, offset)

    # Memory, and the best way to run a model

    def estimate(
        self,
        model: str,
        workload: Workload | None = None,
        *,
        gpu: str | None = None,
        exact: bool = False,
    ) -> Estimate:
        """The memory that an engine will allocate, by part and device, in bytes.

        ``plan`` chooses what ``workload`` leaves open; ``exact`` uses llama.cpp's own dry run.
        Raises UsageError for an unknown model, NotDeployableError for closed weights.
        """
        from modelscan.deploy.planning import estimate_model

        estimate, warnings = estimate_model(
            self._question(model, workload, gpu), self.config, exact=exact
        )
        for warning in warnings:
            self._warn(warning)
        return estimate

    def plan(
        self,
        model: str,
        workload: Workload | None = None,
        *,
        gpu: str | None = None,
        target: str | None = None,
        everything: bool = False,
    ) -> Decision:
        """The best way to run a model where ``deploy`` would run it, or a refusal with reasons.

        ``gpu`` simulates hardware, ``target`` selects a cluster or Ollama, ``everything`` lists
        every option that fits as an alternative. Raises UsageError for an unknown model.
        """
        from modelscan.deploy.planning import plan_model

        question = self._question(model, workload, gpu, target)
        planned = plan_model(question, self.config, everything=everything)
        for warning in planned.warnings:
            self._warn(warning)
        return planned.decision

    def _question(
        self, model: str, workload: Workload | None, gpu: str | None, target: str | None = None
    ) -> Question:
        from modelscan.deploy.planning import Question

        return Question(model, workload or self._wishes(), gpu, target)

    def _wishes(self) -> Workload:
        """The workload of a command without options."""
        from modelscan.models.fit import default_wishes

        return default_wishes(self.config)

    def history(self, model: str) -> History:
        """Past estimates of a model and the memory that its engine reported, in bytes."""
        from modelscan.deploy.history import find_history

        return find_history(model, self.config)

    def pull(
        self,
        model: str,
        workload: Workload | None = None,
        *,
        gpu: str | None = None,
        progress: Callable[[Progress], None] = ignore,
    ) -> Pulled:
        """Download the weights that ``plan`` chooses: resumed, pinned, checksums verified.

        Raises NotDeployableError where nothing fits, RemoteError where the hub fails.
        """
        from modelscan.deploy.planning import pull_model

        return pull_model(self._question(model, workload, gpu), self.config, progress)

    def cache(self) -> CacheList:
        """The pulled weights on this machine."""
        from modelscan.deploy.cache_answers import list_cache

        return list_cache(self.config)

    def neighbours(self) -> NeighbourList:
        """The models that Ollama, LM Studio and llama.cpp's programs keep on this machine."""
        from modelscan.hub.neighbours.find import list_neighbours

        return list_neighbours()

    # Deployments

    def deploy(
        self,
        model: str | Request,
        workload: Workload | None = None,
        *,
        events: Events | None = None,
    ) -> Deployment:
        """Run a model, verify it and route to it; a repeated call changes nothing.

        ``events`` receives each step. Raises UsageError for an unknown model or a name in use,
        NotDeployableError where the model does not fit, RemoteError where the engine fails.
        """
        from modelscan.targets.events import no_events
        from modelscan.targets.request import Request

        wishes = workload or self._wishes()
        request = Request(model, wishes) if isinstance(model, str) else model
        return self.deployments.deploy(request, events or no_events).deployment

    def list(self) -> tuple[Deployment, ...]:
        """Every deployment, checked against what runs."""
        return self.deployments.list(self._warn)

    def show(self, name: str) -> Deployment:
        """One deployment in its present state; raises UsageError for an unknown name."""
        return self.deployments.show(name, self._warn)

    def start(self, name: str, *, wait: bool = True, timeout_s: float | None = None) -> Deployment:
        """Start a stopped deployment and wait at most ``timeout_s`` seconds until it is ready.

        Raises UsageError for an unknown name, RemoteError where the engine does not become ready.
        """
        return self.deployments.start(name, wait=wait, timeout_s=timeout_s).deployment

    def stop(self, name: str, *, drain_s: float = 10.0, events: Events | None = None) -> Deployment:
        """End the engine and keep the deployment; running requests have ``drain_s`` seconds.

        ``events`` receives RequestsCut if some were cut, else ``on_warning`` its text.
        """
        report = events or self._report_cut
        return self.deployments.stop(name, drain_s=drain_s, events=report).deployment

    def restart(
        self, name: str, *, drain_s: float = 10.0, events: Events | None = None
    ) -> Deployment:
        """Stop and start a deployment; what a start needs is checked first. Raises like ``start``,
        and AuthError or UsageError, with the engine untouched, where something is missing.
        """
        report = events or self._report_cut
        return self.deployments.restart(name, drain_s=drain_s, events=report).deployment

    def remove(
        self, name: str, *, drain_s: float = 10.0, events: Events | None = None
    ) -> Deployment:
        """End the engine and delete the deployment, its route and its log; ``events`` as in
        ``stop``.
        """
        report = events or self._report_cut
        return self.deployments.remove(name, drain_s=drain_s, events=report)

    def _report_cut(self, event: Event) -> None:
        from modelscan.targets.events import RequestsCut

        if isinstance(event, RequestsCut):
            self._warn(event.text)

    def logs(self, name: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The lines of an engine's log, credentials redacted.

        ``tail``: only the last lines; ``follow``: until the engine ends.
        """
        return self.deployments.logs(name, tail=tail, follow=follow)

    @property
    def deployments(self) -> Deployments:
        """The service that owns the deployments of this workspace."""
        from modelscan.deploy.deployments import Deployments

        return Deployments(self.config)

    # How good

    def bench(
        self,
        request: str | BenchRequest,
        *,
        store: bool = False,
        progress: Callable[[str], None] = ignore,
    ) -> BenchReport:
        """Measure a route: time to first token, time per token, tokens per second, errors.

        ``request``: a name (an entry of the routing file, a deployment, a role, ``URL#model``) for
        short synthetic prompts, or everything that ``bench run`` can set. A run of one request at a
        time teaches the speed estimate of this machine; ``store``: routes are scored with it.
        Raises UsageError for an unknown name, RemoteError where nothing answers.
        """
        from modelscan.bench.learn import run_and_learn
        from modelscan.bench.request import BenchRequest
        from modelscan.bench.workload import shape

        if isinstance(request, str):
            request = BenchRequest(request, shape(128, 64))
        return run_and_learn(request, self.config, progress, store=store)

    def bench_results(
        self, *, route: str | None = None, workload: str | None = None, limit: int | None = None
    ) -> BenchList:
        """The stored results of benchmarks, the newest first."""
        from modelscan.bench.stored import list_samples

        return list_samples(self.config, route=route, workload=workload, limit=limit)

    # Recipes

    def recipes(self) -> RecipeList:
        """The recipes for quantization, fine-tuning and merges, with methods and settings."""
        from modelscan.recipes.shown import recipe_list

        return recipe_list()

    def render_recipe(self, wish: RecipeWish, *, gpu: str | None = None) -> RenderedRecipe:
        """Write a recipe's script, environment and manifest into a folder; nothing is run or sent.

        ``gpu``: check the fit on this hardware instead. Raises UsageError for an unknown recipe,
        model or dataset, NotDeployableError for weights that the recipe cannot use.
        """
        from datetime import datetime, timezone

        from modelscan.recipes.render import render

        today = datetime.now(timezone.utc).date()
        return render(wish, self.config, self.machine(gpu), today)

    def run_recipe(
        self,
        folder: str | Path,
        options: RunOptions | None = None,
        *,
        on_line: Callable[[str], None] = ignore,
    ) -> RenderedRecipe:
        """Verify a rendered folder and run its script, or start its job; blocks until it ends.

        ``on_line`` receives its output. Raises UsageError for changed files and unconfirmed jobs,
        NotDeployableError where it does not fit or packages are missing, ModelscanError where the
        script fails.
        """
        from modelscan.recipes.run import RunOptions, run_recipe
        from modelscan.state.paths import expand

        return run_recipe(
            expand(folder), options or RunOptions(), self.config, self.machine, on_line
        )

    # From a version to a route

    def promote(
        self,
        version: str,
        route: str,
        options: PromotionOptions | None = None,
        *,
        progress: Callable[[str], None] = ignore,
    ) -> PromotionShown:
        """Deploy ``SLUG@V``, evaluate it, and let a route lead to it; else nothing changes.

        ``options``: gates, canary, how long the previous one is kept. Its ``state`` is refused
        where a gate is not met. Raises UsageError for an unknown version, route or gate,
        NotDeployableError where it cannot run, ModelscanError where another one is under way.
        """
        from modelscan.promotion.promote import promote
        from modelscan.promotion.types import PromotionOptions

        with self._promoter(progress) as promoter:
            return promote(promoter, version, route, options or PromotionOptions())

    def rollback(self, route: str, *, progress: Callable[[str], None] = ignore) -> PromotionShown:
        """Let a route lead to what it led to before its last promotion.

        Raises UsageError where nothing was promoted to it.
        """
        from modelscan.promotion.promote import rollback

        with self._promoter(progress) as promoter:
            return rollback(promoter, route)

    def promotions(
        self, route: str | None = None, *, limit: int = 50
    ) -> tuple[PromotionShown, ...]:
        """The promotions (to one route), the newest first, each with its steps."""
        from modelscan.promotion.types import shown

        with self._promoter(ignore) as promoter:
            return tuple(shown(one) for one in promoter.store.newest(limit, route))

    @contextmanager
    def _promoter(self, progress: Callable[[str], None]) -> Iterator[Promoter]:
        from modelscan.state.server.extra import require_extra

        require_extra("promoting a model")
        from modelscan.promotion.run import Promoter
        from modelscan.state.server.audit import local_user
        from modelscan.state.server.database import open_server

        with open_server(self.config) as database:
            yield Promoter(self.config, database, self.deployments, local_user(), progress)

    # Routes and targets

    def routes(self) -> RouteList:
        """Every entry of the routing file with the state of its deployment; the file's errors are
        warnings."""
        from modelscan.routing.answers import list_routes

        return list_routes(self.config.routing_file, self._states)

    def route(self, name: str) -> RouteShown:
        """One entry of the routing file; raises UsageError for an unknown name."""
        from modelscan.routing.answers import show_route

        return show_route(self.config.routing_file, name, self._states)

    def resolve(self, name: str | None = None) -> RouteResolved:
        """The entry that a name selects (None: the default), with reasons; an entry whose
        deployment ended is not selected."""
        from modelscan.gateway.control.nodes.here import nodes_of
        from modelscan.routing.answers import resolve_route

        return resolve_route(self.config.routing_file, name, self._states, nodes_of(self.config))

    def explain(
        self,
        name: str | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        operation: Operation = "chat",
    ) -> RouteExplained:
        """Where a request for a name (None: the default) would go, why, and what would be sent.

        ``body``: the request's body (None: a short one). Nothing is sent and nothing changes.
        """
        from dataclasses import replace

        from modelscan.routing.explain import explain
        from modelscan.routing.live_checks import missing_key

        file, world = self._world()
        answer = explain(file, world, name, body, operation)
        kept = self._why_texts_are_kept(answer)
        if kept is not None:
            answer = replace(answer, steps=(*answer.steps, kept))
        missing = missing_key(file, answer.chosen)
        return answer if missing is None else replace(answer, warnings=(missing,))

    def _why_texts_are_kept(self, answer: RouteExplained) -> ExplainStep | None:
        """A step that says whether texts of such requests are kept; None: they are not."""
        from modelscan.routing.explain import ExplainStep
        from modelscan.traces.kept_texts import why_texts_are_kept

        why = why_texts_are_kept(self.config, (answer.query, answer.route))
        return None if why is None else ExplainStep("traces", why)

    def match(
        self,
        task: str,
        *,
        operation: RoleOperation | None = None,
        limit: int | None = 10,
        workloads: Sequence[str] = (),
    ) -> RouteMatched:
        """The roles and entries for a task in words, best first; ``workloads``: the names of
        benchmarks whose results count in full."""
        from modelscan.routing.match import match

        file, world = self._world()
        return match(file, world, task, operation, limit, workloads)

    def routed_names(self) -> RoutedNames:
        """Every name that a request may use as its model, with its state and where it is."""
        from modelscan.routing.listing import list_names

        return list_names(*self._world())

    def services(self) -> RoutedServices:
        """Every entry of the routing file with everything that is known of it."""
        from modelscan.routing.listing import list_services

        return list_services(*self._world())

    def roles(self) -> RoleList:
        """Every role, with the entry that it would choose now."""
        from modelscan.routing.role_answers import list_roles

        return list_roles(*self._world())

    def role(self, name: str) -> RoleShown:
        """One role, and which entries pass its gates; raises UsageError for an unknown one."""
        from modelscan.routing.role_answers import show_role

        return show_role(*self._world(), name)

    def export_routes(self, format: Literal["plano", "bundle"]) -> RoutesExported:
        """The routing file for Plano, or as a bundle with its deployments' options."""
        from modelscan.deploy.route_export import export_routes

        file, world = self._world(nodes=False)
        return export_routes(format, file, world, self.config, self.list)

    def write_plano_files(self) -> tuple[str, ...]:
        """For mode plano_embedded: write Plano's file; returns what is left out of it."""
        from modelscan.deploy.route_export import write_plano_files

        return write_plano_files(self.config.routing_file, *self._world(nodes=False))

    def observer(self, url: str | None = None, key: str | None = None) -> Observer:
        """Looks at what runs: ``observer().look()`` again and again has the rates in between.

        The deployments, the GPUs and the gateway of this machine, or with ``url`` (and a ``key``
        with the scope read, as a reference) a gateway elsewhere. Raises UsageError for a bad URL.
        """
        from modelscan.gateway.top.look import Observer

        return Observer(self.config, self.list, self.hardware, url, key)

    def _world(self, *, nodes: bool = True) -> tuple[RoutingFile, World]:
        """The routing file, and what is known of its entries; ``nodes``: with their services."""
        from modelscan.deploy.route_world import route_world
        from modelscan.routing.file import load

        path = self.config.routing_file
        file = load(path)
        owned = any(route.deployment for route in file.routes)
        deployments = self.list() if owned else ()
        file = load(path) if owned else file  # the entry of one that ended was disabled meanwhile
        from modelscan.bench.here import observed_here

        world = route_world(file, self.config, deployments)
        if nodes:
            from modelscan.gateway.control.nodes.here import with_nodes

            file, world = with_nodes(file, world, self.config)
        return file, observed_here(file, world, self.config)

    def _states(self, file: RoutingFile) -> States:
        """What the deployments behind the entries do."""
        if not any(route.deployment for route in file.routes):
            return {}
        from modelscan.deploy.route_states import route_states

        return route_states(file, self.list())

    def targets(self) -> TargetList:
        """The configured GPUStack servers."""
        from modelscan.targets.answers import list_targets

        return list_targets(self.config.paths)

    # Installation

    def engines(self) -> EngineList:
        """Every engine of this machine: version, path, devices, source, whether it is used."""
        from modelscan.supervisor.engines.answers import engine_list

        return engine_list(self.config)

    def settings(self) -> SettingsShown:
        """Every setting, its value and its origin."""
        from modelscan.state.settings import show_settings

        return show_settings(self.config)

    def doctor(self, *, probe: bool = False) -> Diagnosis:
        """Check this machine and this installation; ``probe`` also connects to the hubs."""
        from modelscan.deploy.doctor import diagnose

        return diagnose(lambda: self.config, probe=probe)


def _load(home: str | Path | None, offline: bool | None, settings: Mapping[str, Value]) -> Config:
    from modelscan.state.config import load

    environment = {**os.environ, **({} if home is None else {"MODELSCAN_HOME": str(home)})}
    flags = {**settings, **({} if offline is None else {"offline": offline})}
    return load(flags, environment)
