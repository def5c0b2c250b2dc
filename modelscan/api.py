"""The public Python interface: ``modelscan.Workspace``.

Every method answers with a typed value that has one JSON form (``core.jsonform.to_json``) and
raises only the errors of ``core.errors``. A workspace has no state but its settings, so threads
may share one, and several with different homes may live in one process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from modelscan.catalog.find_passport import PassportAnswer
    from modelscan.catalog.refresh import SyncAnswer
    from modelscan.catalog.search.query import Query
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
    from modelscan.gpu.known import GpuFactsAnswer
    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress
    from modelscan.models.info import Comparison, ModelInfo
    from modelscan.models.pages import ModelPage
    from modelscan.routing.answers import RouteList, RouteResolved, RouteShown
    from modelscan.state.config import Config, Value
    from modelscan.state.settings import SettingsShown
    from modelscan.targets.answers import TargetList
    from modelscan.targets.events import Events
    from modelscan.targets.request import Request


def ignore(_: object) -> None:
    """For callers that want no warnings or progress."""


class Workspace:
    """Models, hardware, deployments and routes of this machine, under one set of settings.

    ``home`` moves every folder below one directory (as MODELSCAN_HOME does); ``offline`` forbids
    every request off this machine; ``settings`` are values by the names of ``modelscan config
    show``; ``on_warning`` receives each warning that is not part of an answer.
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
        """Reads nothing; ``config`` (or a function that loads it) stands for the other settings."""
        self._source = config or (lambda: _load(home, offline, settings or {}))
        self._loaded: Config | None = None
        self._warn = on_warning

    @property
    def config(self) -> Config:
        """The settings in force, each with its origin; read once, at the first use.

        Raises UsageError where a settings file or a variable is broken.
        """
        if self._loaded is None:
            source = self._source
            self._loaded = source() if callable(source) else source
        return self._loaded

    # which models there are

    def search(
        self,
        query: str | Query = "",
        *,
        fits: bool = False,
        gpu: str | None = None,
        progress: Callable[[str], None] = ignore,
    ) -> ModelPage:
        """A page of models, by words or by a ``Query`` with filters, order, limit and offset.

        ``fits``: only models that ``plan`` finds a way to run on this machine (or ``gpu``), each
        with its fit. Raises UsageError for an unknown source, RemoteError where a hub that is named
        fails.
        """
        from modelscan.catalog.search.query import Query
        from modelscan.models.pages import find_page

        query = Query(text=query) if isinstance(query, str) else query
        machine = self.machine(gpu) if fits or gpu is not None else None
        return find_page(query, self.config, machine, progress)

    def info(self, model: str, *, gpu: str | None = None) -> ModelInfo:
        """Every fact about a model with its source, and its fit on this machine (or ``gpu``).

        Raises UsageError for an unknown or ambiguous name.
        """
        from modelscan.models.info import find_info

        return find_info(model, self.machine(gpu), self.config)[1]

    def compare(self, models: Sequence[str], *, gpu: str | None = None) -> Comparison:
        """Models side by side; raises UsageError for an unknown or ambiguous name."""
        from modelscan.models.info import find_comparison

        return find_comparison(models, self.machine(gpu), self.config)[1]

    def passport(self, model: str, *, checksum: bool = False) -> PassportAnswer:
        """License, lineage, parameters, files with SHA-256 (``checksum``: local ones too)."""
        from modelscan.catalog.find_passport import find_passport

        return find_passport(model, self.config, checksum=checksum)

    def sources(self) -> SourcesAnswer:
        """Where the catalog's facts come from, and how fresh they are."""
        from modelscan.catalog.source_states import source_states

        return source_states(self.config)

    def sync(
        self,
        sources: Sequence[str] = (),
        *,
        dry_run: bool = False,
        progress: Callable[[str], None] = ignore,
    ) -> SyncAnswer:
        """Refresh the catalog from its sources (none named: all); each fails alone."""
        from modelscan.catalog.refresh import refresh

        return refresh(sources, self.config, dry_run=dry_run, progress=progress)

    # what hardware is here

    def machine(self, gpu: str | None = None) -> Machine:
        """This machine with its engines and promised memory, some of its devices ("0,1"), or
        simulated hardware ("2x RTX 4090") with every engine. Changes nothing."""
        from modelscan.deploy.machine import machine_here

        return machine_here(self.config, gpu)

    def hardware(self, gpu: str | None = None) -> Inventory:
        """The GPUs and the host alone: what ``modelscan gpu`` shows."""
        from modelscan.gpu.inventory import inventory

        return inventory(gpu)

    def gpu_facts(self, name: str | None = None) -> GpuFactsAnswer:
        """The table of GPUs, or the row of one; raises UsageError for an unknown name."""
        from modelscan.gpu.known import find_facts

        return find_facts(name)

    # how many bytes it takes, and the best way to run it

    def estimate(
        self,
        model: str,
        workload: Workload | None = None,
        *,
        gpu: str | None = None,
        exact: bool = False,
    ) -> Estimate:
        """The memory that an engine will allocate, by part and device, in bytes.

        Of what ``plan`` chooses, where ``workload`` leaves it open; ``exact`` runs llama.cpp's own
        dry run. Raises UsageError for an unknown model, NotDeployableError for closed weights.
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
        """The best way to run a model where ``deploy`` would run it, or why there is none.

        ``gpu`` simulates hardware, ``target`` names a cluster or Ollama, ``everything`` keeps every
        way that fits as an alternative. Raises UsageError for an unknown model.
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
        """What a command without options asks for."""
        from modelscan.models.fit import default_wishes

        return default_wishes(self.config)

    def history(self, model: str) -> History:
        """Past estimates of a model beside what its engine reported."""
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
        """Fetch the weights that ``plan`` chooses: resumed, pinned, checksums verified.

        Raises NotDeployableError where nothing fits, RemoteError where the hub fails.
        """
        from modelscan.deploy.planning import pull_model

        return pull_model(self._question(model, workload, gpu), self.config, progress)

    def cache(self) -> CacheList:
        """The weights that were pulled to this machine."""
        from modelscan.deploy.cache_answers import list_cache

        return list_cache(self.config)

    # what runs

    def deploy(
        self,
        model: str | Request,
        workload: Workload | None = None,
        *,
        events: Events | None = None,
    ) -> Deployment:
        """Run a model, verify it and route to it; the same call again changes nothing.

        ``events`` receives each step. Raises NotDeployableError where it does not fit, RemoteError
        where the engine fails.
        """
        from modelscan.targets.events import no_events
        from modelscan.targets.request import Request

        wishes = workload or self._wishes()
        request = Request(model, wishes) if isinstance(model, str) else model
        return self.deployments.deploy(request, events or no_events).deployment

    def list(self) -> tuple[Deployment, ...]:
        """Every deployment, checked against what really runs."""
        return self.deployments.list(self._warn)

    def show(self, name: str) -> Deployment:
        """One deployment as it is now; raises UsageError for an unknown name."""
        return self.deployments.show(name, self._warn)

    def start(self, name: str, *, wait: bool = True, timeout_s: float | None = None) -> Deployment:
        """Start a stopped deployment; raises RemoteError where the engine does not become ready."""
        return self.deployments.start(name, wait=wait, timeout_s=timeout_s).deployment

    def stop(self, name: str, *, drain_s: float = 10.0) -> Deployment:
        """End the engine and keep the deployment; running requests get ``drain_s`` seconds."""
        return self.deployments.stop(name, drain_s=drain_s).deployment

    def restart(self, name: str) -> Deployment:
        """Stop and start."""
        self.stop(name)
        return self.start(name)

    def remove(self, name: str, *, drain_s: float = 10.0) -> Deployment:
        """End the engine and forget the deployment, its route and its log."""
        return self.deployments.remove(name, drain_s=drain_s)

    def logs(self, name: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The lines of an engine's log, without credentials; ``follow`` until the engine ends."""
        return self.deployments.logs(name, tail=tail, follow=follow)

    @property
    def deployments(self) -> Deployments:
        """The service that owns the deployments of this workspace."""
        from modelscan.deploy.deployments import Deployments

        return Deployments(self.config)

    # where requests go

    def routes(self) -> RouteList:
        """Every entry of the routing file, and its faults as warnings."""
        from modelscan.routing.answers import list_routes

        return list_routes(self.config.routing_file)

    def route(self, name: str) -> RouteShown:
        """One entry; raises UsageError with the nearest names."""
        from modelscan.routing.answers import show_route

        return show_route(self.config.routing_file, name)

    def resolve(self, name: str | None = None) -> RouteResolved:
        """Which entry answers for a name (None: the default), and why. Sends nothing."""
        from modelscan.routing.answers import resolve_route

        return resolve_route(self.config.routing_file, name)

    def targets(self) -> TargetList:
        """The configured GPUStack servers."""
        from modelscan.targets.answers import list_targets

        return list_targets(self.config.paths)

    # this installation

    def settings(self) -> SettingsShown:
        """Every setting, its value and its origin."""
        from modelscan.state.settings import show_settings

        return show_settings(self.config)

    def doctor(self, *, probe: bool = False) -> Diagnosis:
        """Check this machine and this installation; ``probe`` also asks the hubs."""
        from modelscan.deploy.doctor import diagnose

        return diagnose(lambda: self.config, probe=probe)


def _load(home: str | Path | None, offline: bool | None, settings: Mapping[str, Value]) -> Config:
    from modelscan.state.config import load

    environment = {**os.environ, **({} if home is None else {"MODELSCAN_HOME": str(home)})}
    flags = {**settings, **({} if offline is None else {"offline": offline})}
    return load(flags, environment)
