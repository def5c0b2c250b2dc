"""``modelscan set``: other options for a deployment; planned, restarted, verified, rolled back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.deploy import deployed_document, progress_text
from modelscan.cli.deploy_options import Cluster, Process
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.cli.interrupt import interruptible
from modelscan.cli.option_groups import grouped
from modelscan.cli.options import SharedOptions, workload_options
from modelscan.core.errors import UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.core.limits import Limits
from modelscan.core.units import parse_bytes, parse_seconds
from modelscan.core.workload import Workload

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.targets.request import Request


@dataclass(frozen=True, slots=True)
class NewAddress:
    """Where the engine listens, the options to drop, and how long to wait."""

    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="Its new port.")] = None
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="Require this key: env:NAME or file:PATH."),
    ] = None
    expose: Annotated[
        bool | None,
        typer.Option("--expose/--no-expose", help="Listen on every interface (requires a key)."),
    ] = None
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop-param", metavar="KEY", help="Remove an option of the engine."),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until ready."),
    ] = None


@workload_options
@grouped
def set_(
    name: Annotated[str, typer.Argument(help="The deployment's name.", metavar="NAME")],
    shared: SharedOptions,
    address: NewAddress,
    process: Process,
    cluster: Cluster,
) -> Document:
    """Change a deployment's options: plan it again, restart it, verify it.

    Where the changed engine does not become ready, the previous one is started again.
    """
    view.adopt_if_unmanaged(name)
    service = view.service()
    row = service.recorded(name)
    if isinstance(row.launch, ClusterLaunch):
        from modelscan.cli.update import change_cluster

        _require_cluster_options(row, shared, address, process)
        deployment = change_cluster(
            name, cluster, shared.workload.parameters, address.drop, address.timeout
        )
        return deployed_document(deployment, changed=True)
    if cluster != Cluster():
        raise UsageError(
            f"{name} runs on this machine: --replicas and --env are options of a cluster",
            hint=f"modelscan set {name} --help",
        )

    def edit(request: Request) -> Request:
        return changed(request, shared, address, process)

    with interruptible(), current().output.status(f"planning {name}") as status:
        outcome = service.change(name, edit, lambda event: status.update(progress_text(event)))
    return deployed_document(outcome.deployment, outcome.changed)


def changed(
    request: Request, shared: SharedOptions, address: NewAddress, process: Process
) -> Request:
    """The request with the given options; those that were not given stay."""
    limits = Limits(
        request.limits.memory_bytes
        if process.memory_limit is None
        else parse_bytes(process.memory_limit),
        request.limits.nice if process.nice is None else process.nice,
    )
    new = replace(
        request,
        workload=_workload(request.workload, shared.workload, address.drop or ()),
        gpu=shared.gpu or request.gpu,
        port=address.port or request.port,
        api_key=address.api_key or request.api_key,
        expose=request.expose if address.expose is None else address.expose,
        restart=process.policy or request.restart,
        ttl_s=request.ttl_s if process.ttl is None else parse_seconds(process.ttl),
        limits=limits,
        swap=process.swap_policy(request.swap),
        offline_after_download=process.offline_after_download or request.offline_after_download,
        timeout_s=address.timeout or current().config.start_timeout_s,
    )
    if replace(new, timeout_s=request.timeout_s) == request:
        raise UsageError("no change was given", hint=f"modelscan set {request.name} --context 16k")
    return new


def _workload(old: Workload, typed: Workload, dropped: tuple[str, ...] | list[str]) -> Workload:
    """The old options, overridden by the given ones; a given ``--param`` replaces its namesake."""
    from modelscan.deploy.manifest import merged

    new = merged(replace(old, parameters=()), replace(typed, parameters=()), current().config.goal)
    given = {_option_name(key) for key, _ in typed.parameters}
    removed = {_option_name(key) for key in dropped}
    missing = removed - {_option_name(key) for key, _ in old.parameters}
    if missing:
        raise UsageError(
            f"--{sorted(missing)[0]} is not an option of the deployment: "
            + (" ".join(f"--{key}" for key, _ in old.parameters) or "it has none")
        )
    kept = [(k, v) for k, v in old.parameters if _option_name(k) not in given | removed]
    return replace(new, parameters=(*kept, *typed.parameters))


def _option_name(key: str) -> str:
    return key.lstrip("-").replace("_", "-")


def _require_cluster_options(
    row: Deployment, shared: SharedOptions, address: NewAddress, process: Process
) -> None:
    """Raises UsageError for an option that a cluster's running deployment cannot take."""
    plain = replace(shared.workload, parameters=(), goal=Workload().goal)
    kept = replace(address, drop=None, timeout=None)
    if plain != Workload() or shared.gpu or kept != NewAddress() or process != Process():
        raise UsageError(
            f"{row.name} runs on {row.target}: only --replicas, --param, --drop-param and --env "
            "can be changed there",
            hint=f"modelscan deploy {row.model} --name {row.name} --target {row.target} --replace",
            code="not_on_a_cluster",
        )


app = single(set_)
