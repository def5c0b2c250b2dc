"""Which model ROUTE means, where it answers, and everything a receipt can state about it.

ROUTE is a deployment, an entry of the routing file, a role (which
``modelscan serve`` answers), or URL#MODEL.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelscan.bench.place import BenchPlace, find_place
from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.foreign import mapping, rows, text, whole
from modelscan.core.tls import TlsFiles
from modelscan.deploy.deployments import Deployments
from modelscan.hub import checksums
from modelscan.net.address import in_own_network, stays_here
from modelscan.net.client import HttpClient
from modelscan.net.errors import HttpError
from modelscan.net.exchange import HttpSettings, json_body
from modelscan.net.local import LocalTransport
from modelscan.net.transport import transport_for
from modelscan.routing.answers import find_route
from modelscan.routing.built_in import role_named
from modelscan.routing.file import load
from modelscan.routing.table import Tier
from modelscan.state.config import Config
from modelscan.traces.existing import existing_database

_ASK_S = 10.0
_COMMAND = "eval run tools --route"  # in hints


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
    entry: str | None = None  # of the routing file
    tier: Tier | None = None
    gateway: bool = False  # whether requests go to a modelscan serve, which keeps receipts
    socket_path: str | None = None  # of a server on a unix socket
    tls: TlsFiles | None = None  # of https to a server with certificates of one's own

    @property
    def local(self) -> bool:
        """Whether its server is on this machine."""
        return self.socket_path is not None or stays_here(self.endpoint)


def find_subject(
    name: str, config: Config, api_key: str | None = None, *, through_gateway: bool = False
) -> EvalSubject:
    """The model that ROUTE means; the server answered.

    ``api_key``: a reference, for URL#MODEL. ``through_gateway``: a running ``modelscan serve`` of
    this user answers for a route, with its policies and receipts, where it lists the name without a
    key; else, and for deployments without a route, requests go to the server itself. A role is
    always requested from ``modelscan serve``. Raises UsageError for an unknown name, AuthError
    where a key is missing, RemoteError where nothing answers, OfflineError for other machines.
    """
    if "://" in name:
        return _observed(_of_place(name, find_place(name, api_key, config, _COMMAND)), config)
    role = _is_role(name, config)
    root = running_gateway(config) if role or through_gateway else None
    if role and root is None:
        url = f"http://127.0.0.1:{config.serve_port}#{name}"
        return _observed(_of_place(name, find_place(url, None, config, _COMMAND)), config)
    subject = _of_place(name, find_place(name, api_key, config, _COMMAND))
    return _observed(_behind(subject, root, required=role), config)


def _behind(subject: EvalSubject, root: str | None, *, required: bool) -> EvalSubject:
    """The same model, requested from a gateway that serves the name."""
    if root is None or subject.entry is None:
        return subject
    behind = replace(
        subject, endpoint=root, model=subject.route, api_key=None, gateway=True, socket_path=None,
        tls=None,
    )  # fmt: skip
    served = (row.get("id") for row in rows(_try(behind, "/v1/models").get("data")))
    return behind if required or subject.route in served else subject


def running_gateway(config: Config) -> str | None:
    """The root of a gateway of this user that runs here, as its own database knows it."""
    try:
        with existing_database(config) as database:
            if database is None:
                return None
            from modelscan.state.server.status import running_gateways

            with database.reading() as connection:
                gateways = running_gateways(connection)
    except ModelscanError:  # the commands about the server report it
        return None
    here = (one.address for one in gateways if one.host == socket.gethostname())
    return next((one for one in here if one.startswith("http://") and stays_here(one)), None)


def _is_role(name: str, config: Config) -> bool:
    file = load(config.routing_file)
    if file.route(name) is not None or role_named(file, name) is None:
        return False
    return _deployment(name, config) is None


def _of_place(name: str, place: BenchPlace) -> EvalSubject:
    engine = place.engine_name if place.engine is not None else None
    subject = EvalSubject(
        name, place.root, place.model, place.provider or ("local" if place.is_here else "url"),
        place.key, context_tokens=place.context_tokens,
        known_model=place.model_id if place.service else None,
        engine=f"{engine} {place.engine_version}" if engine and place.engine_version else engine,
        entry=place.service, tier=place.tier or _tier_of(place), socket_path=place.socket_path,
        tls=place.tls,
    )  # fmt: skip
    return _with_deployment(subject, place.deployment) if place.deployment else subject


def _tier_of(place: BenchPlace) -> Tier:
    if place.is_here:
        return "local"
    return "self_hosted" if in_own_network(urlsplit(place.root).hostname or "") else "third_party"


def of_entry(subject: EvalSubject, entry: str, config: Config) -> EvalSubject:
    """The subject with the facts of the entry that answered for it."""
    route = load(config.routing_file).route(entry)
    plain = replace(
        subject, entry=entry, deployment=None, engine=None, quantization=None, sha256=None,
        revision=None, parallel=None, memory_bytes=None, known_model=None,
    )  # fmt: skip
    if route is None:
        return replace(plain, provider=entry)
    known = replace(plain, provider=route.type, known_model=route.model, tier=route.tier)
    deployment = _deployment(route.deployment, config) if route.deployment else None
    return _with_deployment(known, deployment) if deployment is not None else known


def _deployment(name: str, config: Config) -> Deployment | None:
    return next((one for one in Deployments(config).list() if one.name == name), None)


def _with_deployment(subject: EvalSubject, deployment: Deployment) -> EvalSubject:
    plan = deployment.plan
    measured = deployment.measured
    version = (measured.engine_version if measured else None) or (plan and plan.backend_version)
    return replace(
        subject,
        deployment=deployment,
        known_model=deployment.model,
        context_tokens=deployment.context_tokens or subject.context_tokens,
        engine=f"{deployment.backend} {version}" if version else deployment.backend,
        quantization=deployment.quantization,
        sha256=_weights_sha256(plan.files if plan else ()),
        revision=plan.revision if plan else None,
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


def _observed(subject: EvalSubject, config: Config) -> EvalSubject:
    """With what the server itself reports. Raises RemoteError where it does not answer."""
    answer = ask(subject, "/v1/models")
    listed = {str(row.get("id")): row for row in rows(answer.get("data"))}
    row = mapping(listed.get(subject.model))
    if "modelscan" in row and not subject.gateway:
        subject = replace(_behind_gateway(subject, config), gateway=True)
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
    if not subject.local:
        return subject
    try:
        route, _ = find_route(config.routing_file, subject.model)
    except UsageError:
        return subject
    subject = replace(subject, provider=route.type, entry=route.name, tier=route.tier)
    deployment = _deployment(route.deployment, config) if route.deployment else None
    return _with_deployment(subject, deployment) if deployment is not None else subject


def ask(subject: EvalSubject, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object from the subject's server. Raises RemoteError or AuthError."""
    settings = HttpSettings(timeout_s=_ASK_S if body is None else 600.0, pauses_s=())
    settings = settings.with_files(subject.tls)
    headers, data = json_body(body) if body is not None else ({}, None)
    if subject.api_key:
        headers["Authorization"] = f"Bearer {subject.api_key}"
    url = subject.endpoint + path
    transport = (
        LocalTransport(subject.socket_path) if subject.socket_path else transport_for(url, settings)
    )
    with HttpClient(settings, transport) as client:
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
