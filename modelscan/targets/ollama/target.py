"""An Ollama server that runs already, as a target.

A deployment is a model of its own on that server: the base model (pulled from its hub, or a local
GGUF file given to the server) with ``num_ctx`` as a parameter, because the OpenAI path takes none.
``remove`` deletes that model; a base that others may use stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, NotDeployableError, RemoteError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.plan import Plan, Subject
from modelscan.engines.flags import parse
from modelscan.engines.ollama import NAME
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.supervisor.health import Address, verify
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.local.plan import held_bytes, no_fit
from modelscan.targets.ollama.client import Loaded, Ollama, digest_of, same_model
from modelscan.targets.registry import Observation, Save
from modelscan.targets.request import Events, Request, silent

_LOOK_S = 2.0
_HUBS = {"huggingface": "hf.co", "modelscope": "modelscope.cn"}


class OllamaTarget:
    """See ``deploy.targets.Target``."""

    route_type = "openai"

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
        if request.port is not None or request.expose:
            raise UsageError("an Ollama server has its own address: leave out --port and --expose")
        if not request.wait:
            raise UsageError("Ollama fetches and loads while deploy waits: leave out --no-wait")
        server = self._server()
        if not request.dry_run:
            self._refuse_others(name, server)
        plan = self._plan(name, subject, request)
        body = {
            "model": name,
            "base": base_name(plan),
            "files": [] if base_name(plan) else list(_local_files(plan)),
            "parameters": parameters_of(plan),
        }
        deployment = Deployment(
            name=name, model=subject.id, target=NAME, backend=NAME,
            quantization=plan.quantization, state=State.PENDING, endpoint=server.endpoint,
            context_tokens=plan.context_tokens, gpus=plan.gpus, created_at=now, updated_at=now,
            served_model=name, task=plan.task, plan=to_json(plan), request=request.fingerprint(),
            launch=body, route=name if request.route else None, remote=self._made(name),
        )  # fmt: skip
        save(deployment)
        return deployment

    def _made(self, name: str) -> Mapping[str, Any] | None:
        """What stands at the server under that name from before."""
        with Store.open(self._config.paths.store_file) as store:
            own = store.get(name)
        return own.remote if own is not None and own.target == NAME else None

    def _refuse_others(self, name: str, server: Ollama) -> None:
        """A model of the same name that is not ours would be overwritten, later deleted."""
        if self._made(name) is None and server.show(name) is not None:
            raise UsageError(
                f"Ollama at {server.endpoint} has a model '{name}' that is not of modelscan",
                hint=f"choose another --name, or use it: modelscan discover --adopt {name}",
                code="name_taken",
            )

    def _plan(self, name: str, subject: Subject, request: Request) -> Plan:
        from modelscan.gpu.inventory import inventory
        from modelscan.planner.decide import decide

        wanted = replace(request.workload, backend=NAME)
        hardware = inventory(request.gpu)
        with Store.open(self._config.paths.store_file) as store:
            held = held_bytes(store, name)
        decision = decide(subject, hardware, wanted, held=held, explain=False)
        if decision.plan is None:
            raise no_fit(decision)
        if base_name(decision.plan) is None and not decision.plan.files:
            raise NotDeployableError(f"Ollama cannot fetch {decision.plan.repo}")
        return decision.plan

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        body = deployment.launch or {}
        return {"method": "POST", "url": f"{deployment.endpoint}/api/create", "body": dict(body)}

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        self._server().version()
        started = replace(
            deployment, state=State.STARTING, run_id=new_run_id(), reason=None, health=None,
            routed=False, measured=None, started_at=None,
        )  # fmt: skip
        save(started)
        return started

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        """Pull, make the model, load it, ask it for a token, and see where it went."""
        server, begun = self._server(), time.monotonic()
        name = served(deployment)
        made = {"made": dict(deployment.launch or {})}
        if dict(deployment.remote or {}) != made or server.show(name) is None:
            save(replace(deployment, remote={"making": made["made"]}))  # ours, if we are killed
            _make(server, deployment, events)
            deployment = replace(deployment, remote=made)
            save(deployment)
        events("starting", name=name)
        loading = time.monotonic()
        left_s = max(5.0, timeout_s - (loading - begun))
        server.load(name, left_s, embedding=deployment.task == "embedding")
        load_s = time.monotonic() - loading
        events("verifying", name=name)
        address = self._address(server)
        wrong = verify(address, deployment.task, name, timeout_s=left_s)
        if wrong is not None:
            raise RemoteError(
                f"{name} is loaded but gives no answer: {wrong}",
                hint=f"modelscan logs {name}", code="no_answer", details={"reason": wrong},
            )  # fmt: skip
        held = _find(server, name)
        now = now_text()
        return replace(
            deployment, state=State.RUNNING, health="ok", reason=None, started_at=now,
            updated_at=now, measured=measured(held, load_s, server.version()),
            context_tokens=(held and held.context_tokens) or deployment.context_tokens,
        )  # fmt: skip

    def observe(self, deployment: Deployment) -> Observation:
        if deployment.state not in (State.STARTING, State.RUNNING):
            return Observation(deployment.state, reason=deployment.reason)
        try:
            held = _find(self._server(_LOOK_S), served(deployment))
        except ModelscanError as error:
            if deployment.state is State.STARTING:
                return Observation(State.FAILED, reason=error.message)
            return Observation(State.RUNNING, "unhealthy", reason=error.message)
        if deployment.state is State.STARTING:
            if held is not None:
                return Observation(State.STARTING, ready=True)
            return Observation(State.FAILED, reason="interrupted before Ollama had loaded it")
        if held is None:
            return Observation(State.STOPPED, reason="Ollama has unloaded it")
        return Observation(State.RUNNING, "ok")

    def interrupt(self, deployment: Deployment) -> None:
        """A pull that another command waits for goes on at the server; nothing of ours runs."""

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """Out of memory, and seen to be. A server that is away holds nothing."""
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

    def _server(self, timeout_s: float = 20.0) -> Ollama:
        return Ollama(self._config.text("ollama_endpoint"), timeout_s)

    def _address(self, server: Ollama) -> Address:
        from urllib.parse import urlsplit

        parts = urlsplit(server.endpoint)
        return Address(str(parts.hostname), parts.port or 80)


def served(deployment: Deployment) -> str:
    """Its name at the server."""
    return deployment.served_model or deployment.name


def base_name(plan: Plan) -> str | None:
    """What the server pulls: a hub's repository and quantization; None for a local file."""
    hub = _HUBS.get(plan.source)
    if hub is None:
        return None
    tag = f":{plan.quantization}" if plan.quantization else ""
    return f"{hub}/{plan.repo}{tag}"


def parameters_of(plan: Plan) -> dict[str, Any]:
    """The plan's options as parameters of the model (``num-ctx`` -> num_ctx)."""
    given = {name.replace("-", "_"): value for name, value in parse(plan.parameters)}
    return {name: int(v) if v and v.lstrip("-").isdigit() else v for name, v in given.items()}


def _local_files(plan: Plan) -> Iterator[str]:
    root = Path(plan.repo)
    for name in plan.files:
        path = Path(name)
        yield str(path if path.is_absolute() else root / path)


def _make(server: Ollama, deployment: Deployment, events: Events) -> None:
    body = deployment.launch or {}
    if body.get("base"):

        def report(what: str, done: int, total: int) -> None:
            share = 100 * done / total if total else None
            events("downloading", name=deployment.name, progress=share, reason=what)

        if server.show(str(body["base"])) is None:
            server.pull(str(body["base"]), report)
        server.create(served(deployment), body["parameters"], base=str(body["base"]))
        return
    files: dict[str, str] = {}
    for text in body["files"]:
        file = Path(text)
        digest = digest_of(file)
        if not server.has_blob(digest):
            events("downloading", name=deployment.name, reason=f"giving {file.name} to the server")
            server.push_blob(file, digest)
        files[file.name] = digest
    server.create(served(deployment), body["parameters"], files=files)


def _find(server: Ollama, name: str) -> Loaded | None:
    return next((one for one in server.loaded() if same_model(one.name, name)), None)


def measured(held: Loaded | None, load_s: float, version: str) -> Mapping[str, Any]:
    """What ``/api/ps`` says the model takes, on GPUs and in all. It is not told part by part."""
    return {
        "source": "ollama_ps" if held else None,
        "parts": None,
        "total_bytes": held.total_bytes if held else None,
        "vram_bytes": held.vram_bytes if held else None,
        "devices": None,
        "load_s": round(load_s, 4),
        "import_s": None,
        "engine_version": version,
        "rss_bytes": None,
    }
