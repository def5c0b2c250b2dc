"""This machine as a target: a plan for its hardware, a port, a supervised engine process."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import ACTIVE_STATES, State
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.engines.base import Serving
from modelscan.models.adapters import require_present
from modelscan.state.locks import hold
from modelscan.state.secrets import resolve
from modelscan.state.store import Store
from modelscan.supervisor import ports, restarts, spawn
from modelscan.supervisor.engines.program import program_of
from modelscan.supervisor.health import Address, health
from modelscan.supervisor.launch.registry import check, launcher
from modelscan.supervisor.rundir import RunDir
from modelscan.targets.base import (
    Controls,
    Effects,
    NewDeployment,
    Observation,
    ProcessPreview,
    as_recorded,
)
from modelscan.targets.events import PortMoved, RequestsCut
from modelscan.targets.local import adapters, readiness, ready_to_start
from modelscan.targets.local.drain import drain
from modelscan.targets.local.launch_dry_run import start_dry_run, with_exact_estimate
from modelscan.targets.local.plan import plan_here
from modelscan.targets.local.process_spec import command_of, process_spec
from modelscan.targets.local.recover import leave_copy
from modelscan.targets.local.weights import WeightFiles, expected, fetch, is_remote
from modelscan.targets.request import OFFLINE, Request

if TYPE_CHECKING:
    from modelscan.core.plan import Plan
    from modelscan.state.config import Config

_BUSY_S = 5.0  # an engine at work on a busy machine answers late; one that is ill does not answer


class LocalTarget:
    """See ``targets.base.Target``."""

    route_type = "local"
    controls: Controls = "processes"

    def __init__(self, config: Config) -> None:
        self._config = config

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        """Plan and place the deployment: one deploy at a time, so that memory and ports are used
        once.

        Weights on a hub are fetched in between; their memory is reserved meanwhile.
        """
        request = new.request
        if not request.dry_run:
            require_present(request.workload.adapters)
        with self._looking() if request.dry_run else self._placement(request.timeout_s) as store:
            plan = plan_here(new.name, new.subject, request, self._config, store)
            own = store.get(new.name)
            draft = replace(
                _describe(new, plan, effects.now()),
                port=own.port if own else None,
                route=_route_of(own, new.name, request),
                log_path=str(self.rundir(new.name).log_file),
            )
            remote = is_remote(plan) or adapters.any_remote(plan)
            if request.dry_run or not remote:
                weights = expected(plan, self._config)
                return self._place(draft, weights, request, effects, store)
            effects.save(replace(draft, state=State.DOWNLOADING))
        planned = plan
        plan, weights = fetch(new.name, plan, self._config, effects.events)
        adapters.check_fetched(plan, new.subject, planned)
        with self._placement(request.timeout_s) as store:
            return self._place(replace(draft, plan=plan), weights, request, effects, store)

    def _place(
        self,
        draft: Deployment,
        weights: WeightFiles,
        request: Request,
        effects: Effects,
        store: Store,
    ) -> Deployment:
        """Assign a port and build the exact launch."""
        assert draft.plan is not None
        port = self._port(request, store, draft)
        launch = self._launch(draft.name, draft.plan, weights, request, port)
        deployment = replace(draft, port=port, endpoint=endpoint_of(launch), launch=launch)
        effects.save(deployment)
        return deployment

    def _launch(
        self, name: str, plan: Plan, weights: WeightFiles, request: Request, port: int
    ) -> LocalLaunch:
        serving = Serving(
            model_file=str(weights.model),
            host=request.host,
            port=port,
            served_model=name,
            api_key=request.api_key,
            binary=program_of(plan.backend, self._config),
            mmproj_file=str(weights.projector) if weights.projector else None,
        )
        launch = self._of_plan(plan, serving, request)
        offline = OFFLINE if request.offline_after_download else {}
        launch = replace(launch, env={**offline, **launch.env}, limits=request.limits)
        if not request.dry_run:
            check(launch, plan.gpus)
        return launch

    def _of_plan(self, plan: Plan, serving: Serving, request: Request) -> LocalLaunch:
        if request.runtime is not None:
            from modelscan.targets.local.containers import launch_in_container

            return launch_in_container(plan, serving, request, self._config)
        return launcher(plan.backend).launch(plan, serving)

    def _port(self, request: Request, store: Store, draft: Deployment) -> int:
        """The requested port, its previous one, or a free one."""
        previous = draft.port
        reserved = store.ports() - {previous}
        if request.port is not None:
            held = _holds_port(store.get(draft.name), request.port)
            free = held or ports.is_free(request.host, request.port)
            if request.port in reserved or not free:
                raise UsageError(
                    f"port {request.port} is in use",
                    hint="choose another --port, or remove the option",
                    code="port_in_use",
                )
            return request.port
        if previous is not None and ports.is_free(request.host, previous):
            return previous
        return self._free_port(request.host, reserved)

    def _free_port(self, host: str, reserved: frozenset[int]) -> int:
        return ports.choose(host, ports.parse_range(self._config.port_range), reserved)

    def preview(self, deployment: Deployment) -> ProcessPreview:
        launch = launch_of(deployment)
        command, container = command_of(launch, self.rundir(deployment.name))
        return ProcessPreview(
            command, launch.env, launch.secrets, deployment.log_path, _install_step(launch),
            launch.container, container.env_file if container else None,
        )  # fmt: skip

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        launch = launch_of(deployment)
        check(launch, deployment.gpus)
        for reference in launch.secrets.values():
            resolve(reference)
        run_id = spawn.new_run_id()
        started = replace(
            deployment, state=State.STARTING, run_id=run_id, reason=None, end_cause=None,
            health=None, routed=False, measured=None, pid=None, pid_started_at=None,
            started_at=None, restarts=0,
        )  # fmt: skip
        effects.save(started)
        rundir = self.rundir(started.name)
        leave_copy(rundir, started)
        spawn.start(rundir, process_spec(started, launch, run_id, rundir))
        return started

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        pending = start_dry_run(deployment)
        running = self._on_any_port(deployment, time.monotonic() + timeout_s, effects)
        return with_exact_estimate(running, pending)

    def _on_any_port(self, deployment: Deployment, deadline: float, effects: Effects) -> Deployment:
        """Wait until it is ready; on another port if the chosen one was taken meanwhile."""
        rundir = self.rundir(deployment.name)
        fixed = deployment.request is not None and deployment.request.port is not None
        for _ in range(readiness.PORT_ATTEMPTS):
            launch = launch_of(deployment)
            try:
                return readiness.wait(rundir, deployment, launch, deadline, effects)
            except readiness.PortConflict:
                if fixed:
                    raise
                deployment = self._move(deployment, effects)
        return readiness.wait(rundir, deployment, launch_of(deployment), deadline, effects)

    def _move(self, deployment: Deployment, effects: Effects) -> Deployment:
        """The port was taken between our test and the engine's bind: start on another one."""
        with self._placement(self._config.start_timeout_s) as store:
            launch = launch_of(deployment)
            port = self._free_port(launch.host, store.ports())
            launch = launch.on_port(port)
            moved = replace(deployment, port=port, endpoint=endpoint_of(launch), launch=launch)
            effects.events(PortMoved(deployment.name, port))
            return self.start(moved, effects)

    @contextlib.contextmanager
    def _placement(self, timeout_s: float) -> Iterator[Store]:
        """The lock under which free memory and ports are read and reserved.

        Deploys at once take turns for as long as each would wait for its engine.
        """
        paths = self._config.paths
        with (
            hold(
                paths.locks_dir / "placement.lock",
                timeout_s=timeout_s,
                what="the placement of deployments",
            ),
            Store.open(paths.store_file) as store,
        ):
            yield store

    def _looking(self) -> Store:
        """The database for a preview, which reserves nothing: no lock, and no file is created."""
        return Store.look(self._config.paths.store_file)

    def observe(self, deployment: Deployment) -> Observation:
        rundir = self.rundir(deployment.name)
        if deployment.state is State.STOPPING:
            if rundir.alive() and rundir.told_to_stop():
                return Observation(State.STOPPING, reason="its process has not ended yet")
            was = State.STARTING if deployment.started_at is None else State.RUNNING
            return self.observe(replace(deployment, state=was))
        if deployment.state not in (State.STARTING, State.RUNNING):
            return as_recorded(deployment)
        alive = rundir.alive() and _same_run(rundir, deployment)
        if deployment.state is State.STARTING:
            if alive:
                ready = readiness.is_ready(rundir, launch_of(deployment))
                return Observation(State.STARTING, ready=ready)
            return readiness.unstarted(rundir, deployment)
        if not alive:
            return readiness.ended(rundir, deployment)
        address = readiness.address_of(launch_of(deployment))
        if health(address, timeout_s=_BUSY_S) == "ok":
            return readiness.observed(rundir, "ok", deployment)
        if not rundir.alive():  # it was ending at that moment
            return readiness.ended(rundir, deployment)
        return readiness.observed(rundir, "unhealthy")

    def check_stop(self, deployment: Deployment) -> None:
        """A process of this machine can be ended."""

    def check_start(self, deployment: Deployment) -> None:
        runs = self.rundir(deployment.name).alive()
        with self._looking() as store:
            ready_to_start.check(deployment, launch_of(deployment), self._config, store, runs=runs)

    def interrupt(self, deployment: Deployment) -> None:
        spawn.stop(self.rundir(deployment.name))

    def under_way(self, deployment: Deployment, drain_s: float) -> RequestsCut | None:
        """What ending it would cut after ``drain_s`` seconds; None: nothing."""
        rundir, launch = self.rundir(deployment.name), deployment.launch
        if isinstance(launch, LocalLaunch) and _may_be_asked(rundir, launch):
            return drain(deployment.name, _any_address(launch), drain_s, rundir.alive)
        return None

    def stop(self, deployment: Deployment, *, drain_s: float) -> RequestsCut | None:
        cut = self.under_way(deployment, drain_s)
        spawn.stop(self.rundir(deployment.name))
        return cut

    def remove(self, deployment: Deployment) -> None:
        import shutil

        rundir = self.rundir(deployment.name)
        spawn.end_container(rundir)
        folder = rundir.folder
        if folder.is_dir():
            shutil.rmtree(folder)

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        from modelscan.supervisor import logfile

        rundir = self.rundir(deployment.name)
        if follow:
            return logfile.follow(rundir.log_file, rundir.alive, count=tail)
        return iter(logfile.tail(rundir.log_file, tail))

    def rundir(self, name: str) -> RunDir:
        """The run directory of the deployment ``name``."""
        return RunDir(self._config.paths.deployments_dir / name)


def _install_step(launch: LocalLaunch) -> str | None:
    """The command that installs the engine of a launch; None if its program or image is here."""
    if launch.container is None and shutil.which(launch.argv[0]):
        return None
    try:
        check(launch, ())
    except ModelscanError as error:
        return error.hint
    return None


def _holds_port(own: Deployment | None, port: int) -> bool:
    """Whether the deployment's own engine, which is about to be replaced, has the port."""
    return own is not None and own.state in ACTIVE_STATES and own.port == port


def launch_of(deployment: Deployment) -> LocalLaunch:
    """The recorded launch. Raises ModelscanError if the record lacks it."""
    launch = deployment.launch
    if not isinstance(launch, LocalLaunch):
        raise ModelscanError(
            f"the record of {deployment.name} has no launch command",
            hint=f"modelscan deploy {deployment.model} --name {deployment.name} --replace",
            code="no_launch",
        )
    return launch


def endpoint_of(launch: LocalLaunch) -> str:
    """The base URL that the launched engine serves."""
    return f"http://{launch.address}:{launch.port}"


def _describe(new: NewDeployment, plan: Plan, now: str) -> Deployment:
    """Everything but the address and the launch."""
    request = new.request
    return Deployment(
        name=new.name,
        model=new.subject.id,
        target="local",
        backend=plan.backend,
        quantization=plan.quantization,
        state=State.PENDING,
        endpoint=None,
        context_tokens=plan.context_tokens,
        gpus=plan.gpus,
        created_at=new.created_at,
        updated_at=now,
        served_model=new.name,
        task=plan.task,
        api_key=request.api_key,
        plan=plan,
        request=request.record(),
        route=new.name if request.route else None,
        restart=request.restart or restarts.ON_FAILURE,
        ttl_s=request.ttl_s,
    )


def _route_of(own: Deployment | None, name: str, request: Request) -> str | None:
    """The routing entry: of the deployment's name, or the one that it was promoted to."""
    promoted = own is not None and own.route not in (None, own.name)
    if promoted and own is not None:
        return own.route
    return name if request.route else None


def _same_run(rundir: RunDir, deployment: Deployment) -> bool:
    """The running process has this deployment's run_id, or has not written it yet."""
    running = rundir.running()
    return running is None or running.run_id == deployment.run_id


def _may_be_asked(rundir: RunDir, launch: LocalLaunch) -> bool:
    """Whether there can be running requests."""
    return rundir.alive() and (rundir.ready_file.exists() or not launch.embedded)


def _any_address(launch: LocalLaunch) -> Address:
    """The address with its key; without the key where its reference is empty, since ``stop`` must
    work without it.
    """
    try:
        return readiness.address_of(launch, with_key=True)
    except AuthError:
        return readiness.address_of(launch)
