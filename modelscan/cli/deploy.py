"""``modelscan deploy``: run a model, verify it, route to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.deploy_options import Cluster, How, Place, Process
from modelscan.cli.document import Block, Document, Fields, Note
from modelscan.cli.framework import single
from modelscan.cli.interrupt import interruptible
from modelscan.cli.option_groups import grouped
from modelscan.cli.options import Adapter, Force, SharedOptions, workload_options
from modelscan.core.deployment import Deployment
from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.swap_policy import SwapPolicy
from modelscan.core.units import format_tokens, parse_bytes, parse_seconds
from modelscan.deploy.answers import Deployed, curl_line, memory_rows, speed_rows
from modelscan.deploy.rows import deployment_row

if TYPE_CHECKING:
    from modelscan.core.evaluation import Evaluation
    from modelscan.deploy.manifest import Manifest
    from modelscan.targets.base import Preview
    from modelscan.targets.events import Event
    from modelscan.targets.request import Request

OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A catalog name, hf:ORG/REPO, ms:ORG/REPO, a .gguf file or a folder; none with -f.",
        show_default=False,
    ),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option("-f", "--file", metavar="FILE", help="A deployment.yaml; options override it."),
]


@workload_options
@grouped
def deploy(
    shared: SharedOptions,
    place: Place,
    process: Process,
    cluster: Cluster,
    how: How,
    model: OptionalModel = None,
    file: ManifestFile = None,
    adapter: Adapter = None,
    force: Force = False,
) -> Document | None:
    """Run a model with the best plan for this hardware, verify that it answers, and route to it."""
    manifest = read_manifest(model, file, shared)
    request = _request(manifest, shared.gpu, place, process, how)
    request = replace(request, cluster=cluster_options(manifest.cluster, cluster))
    _warn_of_cluster_options(request)
    if how.bench and (how.dry_run or not how.wait):
        raise UsageError(
            "--bench measures a deployment that answers: not with --dry-run or --no-wait",
            hint=f"modelscan deploy {request.model} --bench",
        )
    if how.dry_run:
        return _dry_run(request)
    return _deploy(request, how)


def _warn_of_cluster_options(request: Request) -> None:
    """Options without an effect are named: an engine here has the variables of its shell."""
    from modelscan.targets.registry import TARGETS

    if request.target in TARGETS and request.cluster:
        names = ", ".join(request.cluster)
        current().output.warn(f"only clusters have {names}: left out on {request.target}")


def read_manifest(model: str | None, file: Path | None, shared: SharedOptions) -> Manifest:
    """The file with the options of the command line over it, or those options alone."""
    from modelscan.deploy.manifest import Manifest, merged, read

    if file is None:
        if model is None:
            raise UsageError("no model was given", hint="modelscan deploy MODEL, or -f FILE")
        return Manifest(model, shared.workload)
    manifest = read(file)
    workload = merged(manifest.workload, shared.workload, current().config.goal)
    return replace(manifest, model=model or manifest.model, workload=workload)


def _request(
    manifest: Manifest, gpu: str | None, place: Place, process: Process, how: How
) -> Request:
    """The request of command line and file; the command line has precedence."""
    from modelscan.core.limits import Limits
    from modelscan.deploy.machine import place_of
    from modelscan.targets.request import Request

    config, options = current().config, manifest.request
    file_gpu = options.get("gpu")
    gpu = gpu or (None if file_gpu is None else str(file_gpu))
    target = place.target or options.get("target")
    timeout_s = options.get("timeout") if how.timeout is None else how.timeout
    limit = None if process.memory_limit is None else parse_bytes(process.memory_limit)
    return Request(
        model=manifest.model,
        workload=manifest.workload,
        target=place_of(target, manifest.workload.backend, gpu, config),
        name=place.name or options.get("name"),
        gpu=gpu,
        port=options.get("port") if place.port is None else place.port,
        expose=place.expose or bool(options.get("expose")),
        api_key=place.api_key or options.get("api_key"),
        route=not place.no_route and bool(options.get("route", True)),
        wait=how.wait,
        timeout_s=config.start_timeout_s if timeout_s is None else timeout_s,
        replace=how.replace or how.yes,
        dry_run=how.dry_run,
        restart=process.policy,
        ttl_s=options.get("ttl") if process.ttl is None else parse_seconds(process.ttl),
        swap=process.swap_policy(_swap_policy(options)),
        limits=Limits(limit, process.nice or 0),
        offline_after_download=process.offline_after_download
        or bool(options.get("offline_after_download")),
        runtime=place.container_runtime or options.get("runtime"),
        image=place.image or options.get("image"),
    )


def _swap_policy(options: Mapping[str, Any]) -> SwapPolicy:
    """That of a deployment.yaml."""
    pin, priority = bool(options.get("pin")), int(options.get("priority", 0))
    return SwapPolicy(pin, priority, options.get("group") or None)


def cluster_options(manifest: Mapping[str, Any], options: Cluster) -> dict[str, Any]:
    """The options of a cluster deployment; the command line overrides the file."""
    from modelscan.cli.update import variables

    merged = dict(manifest)
    if options.replicas is not None:
        merged["replicas"] = options.replicas
    if options.env:
        merged["env"] = {**merged.get("env", {}), **variables(options.env)}
    return merged


def _dry_run(request: Request) -> Document:
    service = view.service()
    deployment = service.preview(request)
    return deployed_document(deployment, changed=True, preview=service.launch_preview(deployment))


def _deploy(request: Request, how: How) -> Document | None:
    from modelscan.deploy.retry import deploy_retrying
    from modelscan.targets.events import event_fields, event_name

    output, stream = current().output, how.progress and current().flags.as_json
    with interruptible(), output.status(f"reading the facts of {request.model}") as status:

        def show(event: Event) -> None:
            if stream:
                output.event(event_name(event), **event_fields(event))
            view.report_cut(event)
            text = event_text(event)
            if text is not None:
                status.update(text)

        outcome = deploy_retrying(view.service(), request, show, output.note, retry=how.retry_plan)
    if how.bench:
        from modelscan.cli.bench.after_deploy import bench_deployment

        bench_deployment(outcome.deployment, current().config)
    document = deployed_document(outcome.deployment, outcome.changed)
    if not stream:
        return document
    from modelscan.cli.output import envelope

    output.event("done", **envelope(document, output.warnings))
    return None


def event_text(event: Event) -> str | None:
    """An event as a progress text; None for an event without one."""
    from modelscan.core.deployment_state import State
    from modelscan.targets.events import (
        AtServer,
        Downloading,
        Planning,
        PortMoved,
        Starting,
        Verifying,
    )

    name = event.name
    if isinstance(event, Planning):
        return f"planning {name}"
    if isinstance(event, Downloading):
        return f"downloading the weights of {name}{_progress(event.progress)}{_because(event)}"
    if isinstance(event, Starting):
        return f"starting {name}" + (f" on port {event.port}" if event.port else "")
    if isinstance(event, PortMoved):
        return f"the port is in use: starting {name} on port {event.port}"
    if isinstance(event, Verifying):
        return f"verifying {name}: requesting a first token"
    if not isinstance(event, AtServer):
        return None
    texts = {
        State.PENDING: f"{name} is waiting for a worker",
        State.DOWNLOADING: f"downloading the weights of {name}{_progress(event.progress)}",
        State.STARTING: f"starting {name}",
        State.RUNNING: f"verifying {name}: requesting a first token",
    }
    text = texts.get(event.state)
    return None if text is None else text + _because(event)


def progress_text(event: Event) -> str:
    """An event as a progress text; a general one for an event without."""
    return event_text(event) or f"running {event.name}"


def _progress(percent: float | None) -> str:
    return "" if percent is None else f" ({percent:.0f} %)"


def _because(event: Any) -> str:
    return f": {event.reason}" if event.reason else ""


def deployed_document(
    deployment: Deployment, changed: bool, preview: Preview | None = None
) -> Document:
    """The document of ``deploy`` and of the commands that end like it."""
    plan = deployment.plan
    body = Deployed(
        deployment=deployment_row(deployment),
        plan=plan,
        route=view.service().route_of(deployment),
        measured=deployment.measured,
        memory=memory_rows(deployment),
        speed=speed_rows(deployment, view.measured_speeds()),
        curl=curl_line(deployment),
        changed=changed,
        dry_run=preview is not None,
        launch=preview,
    )
    warnings = plan.estimate.warnings if plan else ()
    return Document("deploy", body, _blocks(deployment, changed, preview),
                    [deployment.name], [*warnings, *_cluster_warnings(deployment)])  # fmt: skip


def _cluster_warnings(deployment: Deployment) -> list[str]:
    """Warnings of a cluster: a different evaluation of memory, replicas that do not run."""
    if deployment.target == "local":
        return []
    from modelscan.targets.gpustack.evaluate import disagreement

    return [text for text in (disagreement(deployment), deployment.reason) if text]


def _blocks(deployment: Deployment, changed: bool, preview: Preview | None) -> list[Block]:
    pairs: list[tuple[str, object]] = [
        ("name", deployment.name),
        ("state", "not started (dry run)" if preview is not None else deployment.state),
        ("model", deployment.model),
        ("quantization", deployment.quantization),
        ("backend", deployment.backend),
        ("context", format_tokens(deployment.context_tokens)),
        ("endpoint", deployment.endpoint),
        ("route", deployment.route),
    ]
    if preview is not None:
        return [Fields([*pairs, *_launch_pairs(preview)])]
    blocks: list[Block] = [Fields(pairs)]
    if deployment.measured:
        blocks.append(view.memory_table(deployment))
    speeds = view.measured_speeds()
    speed = view.speed_table(deployment, speeds)
    if speed is not None and any(one.deployment == deployment.name for one in speeds):
        blocks.append(speed)
    if not changed:
        blocks.append(Note(f"{deployment.name} runs already with these options"))
    return [*blocks, *view.request_notes(deployment)]


def _evaluation(evaluation: Evaluation | None) -> list[tuple[str, object]]:
    """The cluster's own evaluation of the request."""
    if evaluation is None:
        return []
    verdict = "compatible" if evaluation.compatible else "not compatible"
    return [("server's evaluation", "; ".join([verdict, *evaluation.messages]))]


def _launch_pairs(preview: Preview) -> list[tuple[str, object]]:
    import shlex

    from modelscan.targets.base import ProcessPreview, RequestPreview

    if isinstance(preview, RequestPreview):
        body = json.dumps(to_json(preview.body), indent=2, ensure_ascii=False)
        request = f"{preview.method} {preview.url}"
        return [("request", request), ("body", body), *_evaluation(preview.evaluation)]
    assert isinstance(preview, ProcessPreview)
    values = [f"{name}={shlex.quote(value)}" for name, value in preview.env.items()]
    values += [f"{name}=<{reference}>" for name, reference in preview.secrets.items()]
    words = [shlex.quote(word) for word in preview.argv]
    install = [("install first", preview.install)] if preview.install else []
    if preview.env_file is None:
        return [*install, ("launch", " ".join([*values, *words]))]
    variables = [("variables", value) for value in values]
    return [*install, ("launch", " ".join(words)), *variables]


app = single(deploy)
