"""This machine as a target: a plan for its hardware, a port, a supervised engine process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import AuthError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.plan import Plan, Subject
from modelscan.engines.base import Launch, Serving
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.secrets import resolve
from modelscan.state.store import Store
from modelscan.supervisor import ports, restarts, spawn
from modelscan.supervisor.health import busy_requests, health
from modelscan.supervisor.launch.registry import launcher
from modelscan.supervisor.rundir import RunDir, Spec
from modelscan.targets.local import adapters, readiness
from modelscan.targets.local import launch_dry_run as exact_launch
from modelscan.targets.local.plan import plan_here, program_of
from modelscan.targets.local.recover import leave_copy
from modelscan.targets.local.weights import Weights, expected, fetch, is_remote
from modelscan.targets.registry import Observation, Save
from modelscan.targets.request import OFFLINE, Events, Request, silent

_DRAIN_POLL_S = 0.05


class LocalTarget:
    """See ``deploy.targets.Target``."""

    route_type = "local"

    def __init__(self, config: Config) -> None:
        self._config = config

    def propose(
        self,
        name: str,
        subject: Subject,
        request: Request,
        save: Save,
        now: str,
        events: Events = silent,
    ) -> Deployment:
        """Two deploys never get the same free bytes or port: one is placed after the other.

        Weights that are on a hub are fetched in between; their memory is promised meanwhile.
        """
        with self._looking() if request.dry_run else self._placement() as store:
            plan = plan_here(name, subject, request, self._config, store)
            draft = _describe(name, subject, request, plan, now)
            own = store.get(name)
            draft = replace(draft, port=own.port if own else None, log_path=self._log_path(name))
            remote = is_remote(plan) or adapters.any_remote(plan)
            if request.dry_run or not remote:
                return self._place(draft, plan, expected(plan, self._config), request, save, store)
            save(replace(draft, state=State.DOWNLOADING))
        plan, weights = fetch(name, plan, self._config, events)
        draft = replace(draft, plan=to_json(plan))
        with self._placement() as store:
            return self._place(draft, plan, weights, request, save, store)

    def _place(
        self,
        draft: Deployment,
        plan: Plan,
        weights: Weights,
        request: Request,
        save: Save,
        store: Store,
    ) -> Deployment:
        """Give it a port and the exact launch."""
        port = self._port(request, store, draft)
        launch = self._launch(draft.name, plan, weights, request, port)
        deployment = replace(draft, port=port, endpoint=endpoint_of(launch), launch=to_json(launch))
        save(deployment)
        return deployment

    def _launch(
        self, name: str, plan: Plan, weights: Weights, request: Request, port: int
    ) -> Launch:
        serving = Serving(
            model_file=str(weights.model),
            host=request.host,
            port=port,
            served_model=name,
            api_key=request.api_key,
            binary=program_of(plan.backend, self._config),
            mmproj_file=str(weights.projector) if weights.projector else None,
        )
        starter = launcher(plan.backend)
        launch = starter.launch(plan, serving)
        offline = OFFLINE if request.offline_after_download else {}
        launch = replace(launch, env={**offline, **launch.env}, limits=request.limits)
        if not request.dry_run:
            starter.check(launch, plan.gpus)
        return launch

    def _port(self, request: Request, store: Store, draft: Deployment) -> int:
        """The port asked for, the one it had, or a free one."""
        had = draft.port
        taken = store.ports() - {had}
        if request.port is not None:
            if request.port in taken or not ports.is_free(request.host, request.port):
                raise UsageError(
                    f"port {request.port} is in use",
                    hint="choose another --port, or leave it out",
                    code="port_in_use",
                )
            return request.port
        if had is not None and ports.is_free(request.host, had):
            return had
        return self._free_port(request.host, taken)

    def _free_port(self, host: str, taken: frozenset[int]) -> int:
        return ports.choose(host, ports.parse_range(self._config.text("port_range")), taken)

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        launch = launch_of(deployment)
        return {
            "argv": list(launch.argv),
            "env": dict(launch.env),
            "secrets": dict(launch.secrets),
            "log_path": deployment.log_path,
        }

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        launch = launch_of(deployment)
        launcher(launch.engine).check(launch, deployment.gpus)
        for reference in launch.secrets.values():
            resolve(reference)
        run_id = spawn.new_run_id()
        started = replace(
            deployment, state=State.STARTING, run_id=run_id, reason=None, health=None, routed=False,
            measured=None, pid=None, pid_started_at=None, started_at=None, restarts=0,
        )  # fmt: skip
        save(started)
        spec = Spec(
            run_id, started.name, launch.argv, launch.embedded, launch.env, launch.secrets,
            restart=started.restart or restarts.NO, idle_s=started.ttl_s, host=launch.address,
            port=launch.port, memory_limit_bytes=launch.limits.memory_bytes,
            nice=launch.limits.nice,
        )  # fmt: skip
        rundir = self.rundir(started.name)
        leave_copy(rundir, started)
        spawn.start(rundir, spec)
        return started

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        asking = exact_launch.ask(deployment)
        running = self._settled(deployment, save, timeout_s, events)
        return exact_launch.note(running, asking)

    def _settled(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        deadline = time.monotonic() + timeout_s
        rundir = self.rundir(deployment.name)
        fixed = (deployment.request or {}).get("port") is not None
        for _ in range(readiness.PORT_ATTEMPTS):
            try:
                return readiness.wait(rundir, deployment, launch_of(deployment), deadline, events)
            except readiness.PortConflict:
                if fixed:
                    raise
                deployment = self._move(deployment, save, events)
        return readiness.wait(rundir, deployment, launch_of(deployment), deadline, events)

    def _move(self, deployment: Deployment, save: Save, events: Events) -> Deployment:
        """Somebody took the port between our test and the engine's bind: take another one."""
        with self._placement() as store:
            launch = launch_of(deployment)
            port = self._free_port(launch.host, store.ports())
            launch = launch.on_port(port)
            moved = replace(
                deployment, port=port, endpoint=endpoint_of(launch), launch=to_json(launch)
            )
            events("port_moved", name=deployment.name, port=port)
            return self.start(moved, save)

    @contextlib.contextmanager
    def _placement(self) -> Iterator[Store]:
        """Under this lock: free memory and ports are looked at and promised."""
        paths = self._config.paths
        with (
            hold(paths.locks_dir / "placement.lock", what="the placement of deployments"),
            Store.open(paths.store_file) as store,
        ):
            yield store

    def _looking(self) -> Store:
        """For a preview: it promises nothing, so it takes no lock and leaves no file behind."""
        return Store.look(self._config.paths.store_file)

    def observe(self, deployment: Deployment) -> Observation:
        rundir = self.rundir(deployment.name)
        if deployment.state not in (State.STARTING, State.RUNNING):
            return Observation(deployment.state, reason=deployment.reason)
        alive = rundir.alive() and _same_run(rundir, deployment)
        if deployment.state is State.STARTING:
            if alive:
                ready = readiness.is_ready(rundir, launch_of(deployment))
                return Observation(State.STARTING, ready=ready)
            return readiness.unstarted(rundir, deployment)
        if not alive:
            return readiness.ended(rundir, deployment)
        if health(readiness.address_of(launch_of(deployment))) == "ok":
            return readiness.observed(rundir, "ok")
        if not rundir.alive():  # it was just ending
            return readiness.ended(rundir, deployment)
        return readiness.observed(rundir, "unhealthy")

    def interrupt(self, deployment: Deployment) -> None:
        spawn.stop(self.rundir(deployment.name))

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        rundir = self.rundir(deployment.name)
        if drain_s > 0 and deployment.launch and rundir.alive():
            launch = launch_of(deployment)
            if rundir.ready_file.exists() or not launch.embedded:
                _drain(launch, drain_s)
        spawn.stop(rundir)

    def remove(self, deployment: Deployment) -> None:
        import shutil

        folder = self.rundir(deployment.name).folder
        if folder.is_dir():
            shutil.rmtree(folder)

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        from modelscan.supervisor import logfile

        rundir = self.rundir(deployment.name)
        if follow:
            return logfile.follow(rundir.log_file, rundir.alive, count=tail)
        return iter(logfile.tail(rundir.log_file, tail))

    def _log_path(self, name: str) -> str:
        return str(self.rundir(name).log_file)

    def rundir(self, name: str) -> RunDir:
        return RunDir(self._config.paths.deployments_dir / name)


def launch_of(deployment: Deployment) -> Launch:
    """How it is started, as it was written down."""
    assert deployment.launch is not None
    return Launch.from_json(deployment.launch)


def endpoint_of(launch: Launch) -> str:
    return f"http://{launch.address}:{launch.port}"


def _describe(name: str, subject: Subject, request: Request, plan: Plan, now: str) -> Deployment:
    """Everything but where it listens and how it is started."""
    return Deployment(
        name=name,
        model=subject.id,
        target="local",
        backend=plan.backend,
        quantization=plan.quantization,
        state=State.PENDING,
        endpoint=None,
        context_tokens=plan.context_tokens,
        gpus=plan.gpus,
        created_at=now,
        updated_at=now,
        served_model=name,
        task=plan.task,
        api_key=request.api_key,
        plan=to_json(plan),
        request=request.fingerprint(),
        route=name if request.route else None,
        restart=request.restart or restarts.ON_FAILURE,
        ttl_s=request.ttl_s,
    )


def _same_run(rundir: RunDir, deployment: Deployment) -> bool:
    """Whoever lives there belongs to this start (None: it has not said so yet)."""
    running = rundir.running()
    return running is None or running.run_id == deployment.run_id


def _drain(launch: Launch, drain_s: float) -> None:
    """Let running requests finish (their route is disabled already), for a while."""
    try:
        address = readiness.address_of(launch, with_key=True)
    except AuthError:
        return  # a stop must work without the key
    deadline = time.monotonic() + drain_s
    while time.monotonic() < deadline and busy_requests(address):
        time.sleep(_DRAIN_POLL_S)
