"""Which model ROUTE means, where it answers, and everything a receipt can state about it.

ROUTE is a deployment, an entry of the routing file, a role (which
``modelscan serve`` answers), or URL#MODEL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.errors import OfflineError, RemoteError, UsageError
from modelscan.core.foreign import mapping, rows, text, whole
from modelscan.core.route import Route
from modelscan.deploy.deployments import Deployments
from modelscan.hub import checksums
from modelscan.net.address import stays_here
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.transport import transport_for
from modelscan.routing.answers import find_route
from modelscan.routing.built_in import role_named
from modelscan.routing.file import load
from modelscan.routing.keys import read_key
from modelscan.state.config import Config
from modelscan.state.secrets import resolve

_ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class EvalSubject:
    """A model at an endpoint. ``endpoint`` is the server's root; ``api_key`` a secret."""

    route: str
    endpoint: str
    model: str  # as requests name it
    provider: str
    api_key: str | None = None
    deployment: Deployment | None = None
    known_model: str | None = None
    context_tokens: int | None = None
    engine: str | None = None
    quantization: str | None = None
    sha256: str | None = None
    revision: str | None = None
    parallel: int | None = None
    memory_bytes: int | None = None  # of the engine: measured, else planned

    @property
    def local(self) -> bool:
        """Whether its server is on this machine."""
        return stays_here(self.endpoint)


def find_subject(name: str, config: Config, api_key: str | None = None) -> EvalSubject:
    """The model that ROUTE means; the server answered.

    ``api_key``: a reference, for URL#MODEL. Raises UsageError for an unknown name, AuthError where
    a key is missing, RemoteError where nothing answers, OfflineError for other machines.
    """
    subject = _from_url(name, api_key) if "#" in name and "://" in name else _named(name, config)
    if config.offline and not subject.local:
        raise OfflineError(
            f"{subject.endpoint} is not on this machine and --offline is set",
            hint="modelscan list",
        )
    return _observed(subject, config)


def _from_url(text_: str, api_key: str | None) -> EvalSubject:
    url, _, model = text_.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise UsageError(
            f"'{text_}' is not URL#MODEL",
            hint="modelscan eval run tools --route http://127.0.0.1:8900#coder",
        )
    root = url.rstrip("/").removesuffix("/v1")
    key = resolve(api_key) if api_key else None
    return EvalSubject(text_, root, model, "local" if stays_here(root) else "url", key)


def _named(name: str, config: Config) -> EvalSubject:
    deployment = _deployment(name, config)
    if deployment is not None:
        return _of_deployment(name, deployment)
    file = load(config.routing_file)
    if file.route(name) is None and role_named(file, name) is not None:
        url = f"http://127.0.0.1:{config.serve_port}"
        return EvalSubject(name, url, name, "modelscan")
    route, _ = find_route(config.routing_file, name)
    return _of_route(name, route, config)


def _deployment(name: str, config: Config) -> Deployment | None:
    deployments = Deployments(config)
    if name not in {one.name for one in deployments.list()}:
        return None
    return deployments.show(name)


def _of_deployment(name: str, deployment: Deployment) -> EvalSubject:
    if deployment.state is not State.RUNNING or deployment.endpoint is None:
        raise UsageError(
            f"{deployment.name} is {deployment.state.value}",
            hint=f"modelscan start {deployment.name}",
            code="not_running",
        )
    key = resolve(deployment.api_key) if deployment.api_key else None
    return _with_deployment(
        EvalSubject(
            name, deployment.endpoint.rstrip("/"), deployment.served_model or deployment.model,
            deployment.target, key,
        ),
        deployment,
    )  # fmt: skip


def _with_deployment(subject: EvalSubject, deployment: Deployment) -> EvalSubject:
    plan = deployment.plan
    measured = deployment.measured
    version = (measured.engine_version if measured else None) or (plan and plan.backend_version)
    return replace(
        subject,
        deployment=deployment,
        known_model=deployment.model,
        context_tokens=deployment.context_tokens,
        engine=f"{deployment.backend} {version}" if version else deployment.backend,
        quantization=deployment.quantization,
        sha256=_weights_sha256(plan.files if plan else ()),
        revision=None,
        parallel=plan.parallel if plan else None,
        memory_bytes=(measured.total_bytes if measured else None)
        or (plan.estimate.total_bytes if plan else None),
    )


def _weights_sha256(files: tuple[str, ...]) -> str | None:
    """Of a model in one local file; None for several or none."""
    existing = [Path(file) for file in files if Path(file).is_file()]
    if len(existing) != 1 or len(files) != 1:
        return None
    try:
        return checksums.sha256(existing[0])
    except OSError:
        return None


def _of_route(name: str, route: Route, config: Config) -> EvalSubject:
    key = read_key(route)
    subject = EvalSubject(
        name, route.base_url.rstrip("/"), route.sent_model or name, route.preset or route.type,
        None if key is None else key[1], known_model=route.model,
        context_tokens=route.context_tokens,
    )  # fmt: skip
    deployment = _deployment(route.deployment, config) if route.deployment else None
    return _with_deployment(subject, deployment) if deployment is not None else subject


def _observed(subject: EvalSubject, config: Config) -> EvalSubject:
    """With what the server itself reports. Raises RemoteError where it does not answer."""
    answer = ask(subject, "/v1/models")
    listed = {str(row.get("id")): row for row in rows(answer.get("data"))}
    row = mapping(listed.get(subject.model))
    if "modelscan" in row and subject.deployment is None:
        subject = _behind_gateway(subject, config)
    reported = whole(mapping(row.get("meta")).get("n_ctx")) or whole(row.get("max_model_len"))
    context = whole(mapping(mapping(row.get("modelscan")).get("context")).get("tokens"))
    engine = subject.engine
    if engine is None and subject.local:
        build = text(_try(subject, "/props").get("build_info"))
        engine = f"llama.cpp {build}" if build else None
    tokens = subject.context_tokens or context or reported
    return replace(subject, context_tokens=tokens, engine=engine)


def _behind_gateway(subject: EvalSubject, config: Config) -> EvalSubject:
    """The facts of the deployment that this machine's gateway serves under the name."""
    try:
        route, _ = find_route(config.routing_file, subject.model)
    except UsageError:
        return subject
    deployment = _deployment(route.deployment, config) if route.deployment else None
    return _with_deployment(subject, deployment) if deployment is not None else subject


def ask(subject: EvalSubject, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object from the subject's server. Raises RemoteError or AuthError."""
    settings = HttpSettings(timeout_s=_ASK_S if body is None else 600.0, pauses_s=())
    headers, data = json_body(body) if body is not None else ({}, None)
    if subject.api_key:
        headers["Authorization"] = f"Bearer {subject.api_key}"
    url = subject.endpoint + path
    with HttpClient(settings, transport_for(url, settings)) as client:
        answer = client.send("GET" if body is None else "POST", url, headers=headers, body=data)
    try:
        return dict(mapping(answer.json()))
    except ValueError as error:
        raise RemoteError(f"{url} answered with something else than JSON") from error


def _try(subject: EvalSubject, path: str) -> dict[str, Any]:
    try:
        return ask(subject, path)
    except (HttpError, RemoteError):
        return {}


def host_load() -> float | None:
    """The load of the last minute per processor; None where the system has none."""
    try:
        return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
    except OSError:
        return None
