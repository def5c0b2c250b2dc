"""A running Ollama server as a target.

A deployment is its own model on that server: the base model (pulled from its hub, or an uploaded
local GGUF file) with ``num_ctx`` as a parameter, because the OpenAI path has none. ``remove``
deletes that model; a base model, which others may use, stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.deployment import Deployment, Measured, OllamaRecord
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.launch import OllamaLaunch
from modelscan.core.plan import Plan, ResolvedModel
from modelscan.engines.flags import parse
from modelscan.engines.ollama import NAME
from modelscan.engines.registry import engine
from modelscan.models.decide import planned
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.supervisor.health import Address, verify
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.base import (
    Controls,
    Effects,
    NewDeployment,
    Observation,
    RequestPreview,
    StartFailed,
    as_recorded,
)
from modelscan.targets.events import Downloading, Events, Starting, Verifying
from modelscan.targets.ollama.client import Loaded, OllamaClient, digest_of, same_model
from modelscan.targets.ollama.machine import base_name, fetchable, ollama_machine
from modelscan.targets.request import Request

_LOOK_S = 2.0


class OllamaTarget:
    """See ``targets.base.Target``."""

    route_type = "openai"
    controls: Controls = "server"

    def __init__(self, config: Config) -> None:
        self._config = config

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        name, request = new.name, new.request
        if request.port is not None or request.expose:
            raise UsageError("an Ollama server has its own address: remove --port and --expose")
        if not request.wait:
            raise UsageError("Ollama fetches and loads while deploy waits: remove --no-wait")
        server = self._server()
        if not request.dry_run:
            self._refuse_others(name, server, take_over=request.replace)
        plan = self._plan(name, new.subject, request)
        base = base_name(plan, new.subject)
        files = () if base else tuple(_local_files(plan))
        deployment = Deployment(
            name=name, model=new.subject.id, target=NAME, backend=NAME,
            quantization=plan.quantization, state=State.PENDING, endpoint=server.endpoint,
            context_tokens=plan.context_tokens, gpus=plan.gpus, created_at=new.created_at,
            updated_at=effects.now(), served_model=name, task=plan.task, plan=plan,
            request=request.record(), launch=OllamaLaunch(name, base, files, parameters_of(plan)),
            route=name if request.route else None, remote=self._made(name),
        )  # fmt: skip
        effects.save(deployment)
        return deployment

    def _made(self, name: str) -> OllamaRecord | None:
        """The record of the deployment of that name on this server, if there is one."""
        with Store.open(self._config.paths.store_file) as store:
            own = store.get(name)
        return record_of(own) if own is not None and own.target == NAME else None

    def _refuse_others(self, name: str, server: OllamaClient, *, take_over: bool) -> None:
        """Raises UsageError for a model of that name that modelscan did not create and would
        overwrite.
        """
        if not take_over and self._made(name) is None and server.show(name) is not None:
            raise UsageError(
                f"Ollama at {server.endpoint} has a model '{name}' that modelscan did not create",
                hint=f"modelscan discover --adopt {name}   (or another --name, or --replace)",
                code="name_taken",
            )

    def _plan(self, name: str, model: ResolvedModel, request: Request) -> Plan:
        with Store.look(self._config.paths.store_file) as store:
            machine = ollama_machine(self._config, store, request.gpu, name)
        return planned(machine, fetchable(model, request.workload.quantization), request.workload)

    def preview(self, deployment: Deployment) -> RequestPreview:
        body = to_json(launch_of(deployment))
        del body["kind"]
        return RequestPreview(f"{deployment.endpoint}/api/create", body)

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        self._server().version()
        started = replace(
            deployment, state=State.STARTING, run_id=new_run_id(), reason=None, end_cause=None,
            health=None, routed=False, measured=None, started_at=None,
        )  # fmt: skip
        effects.save(started)
        return started

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        """Pull, create the model, load it, request a token, and read where it is in memory."""
        server, begun = self._server(), time.monotonic()
        name = served(deployment)
        deployment = self._with_model(server, deployment, effects)
        effects.events(Starting(name))
        loading = time.monotonic()
        left_s = max(5.0, timeout_s - (loading - begun))
        with _explained():
            server.load(name, left_s, embedding=deployment.task == "embedding")
        load_s = time.monotonic() - loading
        effects.events(Verifying(name))
        address = self._address(server)
        wrong = verify(address, deployment.task, name, timeout_s=left_s)
        if wrong is not None:
            raise StartFailed(
                f"{name} is loaded but does not answer a test request: {wrong}",
                cause=EndCause.NO_ANSWER, reason=wrong, hint="journalctl -u ollama -e",
                code="no_answer", details={"reason": wrong},
            )  # fmt: skip
        held, now = _find(server, name), effects.now()
        return replace(
            deployment, state=State.RUNNING, health="ok", reason=None, end_cause=None,
            started_at=now, updated_at=now, measured=measured(held, load_s, server.version()),
            context_tokens=(held and held.context_tokens) or deployment.context_tokens,
        )  # fmt: skip

    def _with_model(
        self, server: OllamaClient, deployment: Deployment, effects: Effects
    ) -> Deployment:
        """The model created on the server, unless it already exists as recorded."""
        launch = launch_of(deployment)
        if record_of(deployment).made == launch and server.show(served(deployment)) is not None:
            return deployment
        begun = replace(deployment, remote=OllamaRecord(making=launch))
        effects.save(begun)  # recorded first, so that it is found even if this process is killed
        with _explained():
            _make(server, begun, launch, effects.events)
        created = replace(deployment, remote=OllamaRecord(made=launch))
        effects.save(created)
        return created

    def observe(self, deployment: Deployment) -> Observation:
        if deployment.state not in (State.STARTING, State.RUNNING, State.STOPPING):
            return as_recorded(deployment)
        try:
            held = _find(self._server(_LOOK_S), served(deployment))
        except ModelscanError as error:
            if deployment.state is State.STARTING:
                return Observation(State.FAILED, reason=error.message, cause=EndCause.FAILED)
            if deployment.state is State.STOPPING and error.code == "no_server":
                return Observation(State.STOPPED, reason=error.message, cause=EndCause.NOT_SERVED)
            return Observation(State.RUNNING, "unhealthy", reason=error.message)
        if deployment.state is State.STARTING:
            if held is not None:
                return Observation(State.STARTING, ready=True)
            return Observation(
                State.FAILED, reason="interrupted before Ollama had loaded it",
                cause=EndCause.INTERRUPTED,
            )  # fmt: skip
        if held is None:
            reason = "Ollama has unloaded it"
            return Observation(State.STOPPED, reason=reason, cause=EndCause.IDLE)
        return Observation(State.RUNNING, "ok")

    def check_stop(self, deployment: Deployment) -> None:
        """Raises RemoteError where the server answers, but not as one."""
        try:
            self._server(_LOOK_S).version()
        except RemoteError as error:
            if error.code != "no_server":
                raise

    def check_start(self, deployment: Deployment) -> None:
        self._server().version()

    def interrupt(self, deployment: Deployment) -> None:
        """Does nothing: a pull of another command continues on the server."""

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """Unload it and verify that. A server that does not answer has nothing in memory."""
        server, name = self._server(), served(deployment)
        try:
            if _find(server, name) is None:
                return
            server.unload(name)
            deadline = time.monotonic() + max(5.0, drain_s)
            while _find(server, name) is not None:
                if time.monotonic() > deadline:
                    raise RemoteError(f"Ollama at {server.endpoint} keeps {name} in memory")
                time.sleep(0.1)
        except RemoteError as error:
            if error.code != "no_server":
                raise

    def remove(self, deployment: Deployment) -> None:
        if deployment.remote is not None:
            self._server().delete(served(deployment))

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        raise UsageError(
            "an Ollama server keeps its own log", hint="journalctl -u ollama -e", code="no_log"
        )

    def _server(self, timeout_s: float = 20.0) -> OllamaClient:
        return OllamaClient(self._config.ollama_endpoint, timeout_s, offline=self._config.offline)

    def _address(self, server: OllamaClient) -> Address:
        from urllib.parse import urlsplit

        parts = urlsplit(server.endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Address(str(parts.hostname), port, scheme=parts.scheme, prefix=parts.path)


@contextmanager
def _explained() -> Iterator[None]:
    """The server's errors with their kind and remedy, where they are known."""
    try:
        yield
    except RemoteError as error:
        reason = error.details.get("reason")
        failure = engine(NAME).failure(f"Error: {reason}") if reason else None
        if failure is None or failure.kind is None:
            raise
        memory = failure.kind == "memory"
        raise StartFailed(
            error.message, cause=EndCause.OUT_OF_MEMORY if memory else EndCause.FAILED_TO_START,
            reason=str(reason), kind=failure.kind, remedy=failure.remedy,
            hint=failure.hint or error.hint, code=error.code,
            details={**error.details, "kind": failure.kind},
        ) from error  # fmt: skip


def launch_of(deployment: Deployment) -> OllamaLaunch:
    """The recorded model definition. Raises ModelscanError if the record lacks it."""
    launch = deployment.launch
    if not isinstance(launch, OllamaLaunch):
        raise ModelscanError(
            f"the record of {deployment.name} has no model definition",
            hint=f"modelscan deploy {deployment.model} --name {deployment.name} --replace",
            code="no_launch",
        )
    return launch


def record_of(deployment: Deployment) -> OllamaRecord:
    """The record of the server's side."""
    remote = deployment.remote
    return remote if isinstance(remote, OllamaRecord) else OllamaRecord()


def served(deployment: Deployment) -> str:
    """Its name on the server."""
    return deployment.served_model or deployment.name


def parameters_of(plan: Plan) -> dict[str, Any]:
    """The plan's options as parameters of the model (``num-ctx`` -> num_ctx)."""
    parameters = {name.replace("-", "_"): value for name, value in parse(plan.parameters)}
    return {
        name: int(v) if v and v.lstrip("-").isdecimal() else v for name, v in parameters.items()
    }


def _local_files(plan: Plan) -> Iterator[str]:
    root = Path(plan.repo)
    for name in plan.files:
        path = Path(name)
        yield str(path if path.is_absolute() else root / path)


def _make(
    server: OllamaClient, deployment: Deployment, launch: OllamaLaunch, events: Events
) -> None:
    name = deployment.name
    if launch.base is not None:

        def report(what: str, done: int, total: int) -> None:
            share = 100 * done / total if total else None
            events(Downloading(name, share, what))

        if server.show(launch.base) is None:
            server.pull(launch.base, report)
        server.create(served(deployment), dict(launch.parameters), base=launch.base)
        return
    files: dict[str, str] = {}
    for text in launch.files:
        file = Path(text)
        digest = digest_of(file)
        if not server.has_blob(digest):
            events(Downloading(name, reason=f"uploading {file.name} to the server"))
            server.push_blob(file, digest)
        files[file.name] = digest
    server.create(served(deployment), dict(launch.parameters), files=files)


def _find(server: OllamaClient, name: str) -> Loaded | None:
    return next((one for one in server.loaded() if same_model(one.name, name)), None)


def measured(held: Loaded | None, load_s: float, version: str) -> Measured:
    """The memory that ``/api/ps`` reports, on GPUs and in all; it reports no parts."""
    return Measured(
        source="ollama_ps" if held else None,
        total_bytes=held.total_bytes if held else None,
        vram_bytes=held.vram_bytes if held else None,
        load_s=round(load_s, 4),
        engine_version=version,
    )
