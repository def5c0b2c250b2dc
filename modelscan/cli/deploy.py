"""``modelscan deploy``: run a model, verify it, route to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note
from modelscan.cli.framework import single
from modelscan.cli.interrupt import interruptible
from modelscan.cli.options import Adapter, Force, Wanted, workload_options
from modelscan.core.deployment import Deployment
from modelscan.core.errors import UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_tokens, parse_bytes, parse_seconds

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.deploy.manifest import Manifest
    from modelscan.targets.request import Request

_DOING = {
    "planning": "planning {name}",
    "pending": "{name} waits for a place{because}",
    "downloading": "downloading the weights of {name}{percent}{because}",
    "starting": "starting {name}{on_port}{because}",
    "port_moved": "the port was taken: starting {name} on port {port}",
    "verifying": "{name} is loaded: asking it for a first token",
}


OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A catalog name, hf:ORG/REPO, ms:ORG/REPO, a .gguf file or a folder; none with -f.",
        show_default=False,
    ),
]


@workload_options
def deploy(
    wanted: Wanted,
    model: OptionalModel = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", metavar="FILE", help="A deployment.yaml; options win over it."
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, metavar="N", help="Instances (cluster).")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME=VALUE", help="A variable of the engine (cluster)."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The deployment's name (default: the model's).")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="local, ollama, gpustack or auto."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", help="Listen there.")
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Listen on every interface (needs --api-key).")
    ] = False,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="Require this key: env:NAME or file:PATH."),
    ] = None,
    adapter: Adapter = None,
    no_route: Annotated[
        bool, typer.Option("--no-route", help="Leave the routing file alone.")
    ] = False,
    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            click_type=click.Choice(("no", "on-failure", "always")),
            help="Start a crashed engine again, at most 5 times (default: on-failure).",
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="Stop it after so long unused, e.g. 600, 10m."),
    ] = None,
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="SIZE", help="Host memory it may allocate."),
    ] = None,
    nice: Annotated[
        int | None, typer.Option("--nice", min=0, max=19, help="Yield the CPU to others.")
    ] = None,
    offline_after_download: Annotated[
        bool,
        typer.Option("--offline-after-download", help="Tell the engine to ask no hub."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print exactly what would be started.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it answers, or at once.")
    ] = True,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="For it to become ready.")
    ] = None,
    force: Force = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer yes to every question.")] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="With --json: a line per event, then the answer.")
    ] = False,
    retry_plan: Annotated[
        bool, typer.Option("--retry-plan", help="If it fails for memory, try what would fit.")
    ] = False,
) -> Document | None:
    """Run a model on the best plan for this hardware, verify that it answers, and route to it."""
    from modelscan.engines.base import Limits
    from modelscan.targets.registry import resolve_target
    from modelscan.targets.request import Request

    config = current().config
    asked = written_down(model, file, wanted)
    said = asked.request
    seconds = said.get("timeout") if timeout is None else timeout
    request = Request(
        model=asked.model,
        workload=asked.workload,
        target=resolve_target(target or said.get("target") or _place(asked.workload), config),
        name=name or said.get("name"),
        gpu=wanted.gpu or (None if said.get("gpu") is None else str(said["gpu"])),
        port=said.get("port") if port is None else port,
        expose=expose or bool(said.get("expose")),
        api_key=api_key or said.get("api_key"),
        route=not no_route and bool(said.get("route", True)),
        wait=wait,
        timeout_s=config.number("start_timeout_s") if seconds is None else seconds,
        replace=force or yes,
        dry_run=dry_run,
        restart=restart,
        ttl_s=None if ttl is None else parse_seconds(ttl),
        limits=Limits(None if memory_limit is None else parse_bytes(memory_limit), nice or 0),
        offline_after_download=offline_after_download or bool(said.get("offline_after_download")),
        cluster=cluster_wishes(asked.cluster, replicas, env),
    )
    if dry_run:
        return _dry_run(request)
    return _deploy(request, progress and current().flags.as_json, retry_plan)


def written_down(model: str | None, file: Path | None, wanted: Wanted) -> Manifest:
    """The file with the command line over it, or the command line alone."""
    from modelscan.deploy.manifest import Manifest, merged, read

    if file is None:
        if model is None:
            raise UsageError("no model was named", hint="modelscan deploy MODEL, or -f FILE")
        return Manifest(model, wanted.workload)
    found = read(file)
    workload = merged(found.workload, wanted.workload, current().config.text("goal"))
    return replace(found, model=model or found.model, workload=workload)


def cluster_wishes(
    said: Mapping[str, Any], replicas: int | None, env: list[str] | None
) -> dict[str, Any]:
    """What only a cluster knows: the file's, then the options'."""
    from modelscan.cli.update import variables

    wishes = dict(said)
    if replicas is not None:
        wishes["replicas"] = replicas
    if env:
        wishes["env"] = {**wishes.get("env", {}), **variables(env)}
    return wishes


def _place(workload: Workload) -> str | None:
    """An engine with a server of its own (Ollama) is a target, not an engine that we start."""
    from modelscan.engines.registry import engine

    backend = workload.backend
    return backend if backend and engine(backend).own_server else None


def _dry_run(request: Request) -> Document:
    from modelscan.deploy.lifecycle import preview
    from modelscan.targets.registry import find_target

    deployment = preview(request, current().config)
    launch = find_target(deployment.target, current().config).preview(deployment)
    return _document(deployment, changed=True, dry_run=launch)


def _deploy(request: Request, stream: bool, retry_plan: bool) -> Document | None:
    output = current().output
    with interruptible(), output.status(f"reading {request.model}") as status:

        def events(event: str, /, **values: Any) -> None:
            if stream:
                output.event(event, **values)
            if event in _DOING:
                status.update(_DOING[event].format_map(_words(values)))

        outcome = _run(request, events, retry_plan)
    document = _document(outcome.deployment, outcome.changed)
    if not stream:
        return document
    from modelscan.cli.output import envelope

    output.event("done", **envelope(document, output.warnings))
    return None


def _run(request: Request, events: Any, retry_plan: bool) -> Any:
    """Deploy; after a failure that says what would help, tell it or (``--retry-plan``) do it."""
    from modelscan.core.errors import ModelscanError
    from modelscan.deploy.lifecycle import deploy as run
    from modelscan.deploy.retry import ATTEMPTS, command, next_request

    first = request
    for attempt in range(ATTEMPTS + 1):
        try:
            return run(request, current().config, events)
        except ModelscanError as error:
            again = next_request(request, error, current().config, first)
            if again is None:
                raise
            if not retry_plan or attempt == ATTEMPTS:
                error.hint = command(request, again[1])
                raise
            current().output.note(f"{error.message}; trying again with {again[1]}")
            request = again[0]
    raise AssertionError("unreachable")


def _words(values: Mapping[str, Any]) -> Mapping[str, str]:
    """What an event says, as parts of a sentence; what it does not say is left out."""
    port, reason, progress = (values.get(key) for key in ("port", "reason", "progress"))
    return {
        "name": str(values.get("name", "")),
        "port": str(port),
        "on_port": f" on port {port}" if port else "",
        "because": f": {reason}" if reason else "",
        "percent": f" ({progress:.0f} %)" if progress is not None else "",
    }


def _document(
    deployment: Deployment, changed: bool, dry_run: Mapping[str, Any] | None = None
) -> Document:
    body = {
        "deployment": view.as_json(deployment),
        "plan": deployment.plan,
        "route": route_json(deployment),
        "measured": deployment.measured,
        "memory": view.memory(deployment),
        "curl": view.curl(deployment),
        "changed": changed,
        "dry_run": dry_run is not None,
        "launch": dry_run,
    }
    warnings = ((deployment.plan or {}).get("estimate") or {}).get("warnings") or ()
    return Document("deploy", to_json(body), _blocks(deployment, changed, dry_run),
                    [deployment.name], [*warnings, *_differences(deployment)])  # fmt: skip


def _differences(deployment: Deployment) -> list[str]:
    """Where the cluster's own evaluation sees it otherwise; that not every replica runs."""
    if deployment.target == "local":
        return []
    from modelscan.targets.gpustack.evaluate import disagreement

    return [text for text in (disagreement(deployment), deployment.reason) if text]


def route_json(deployment: Deployment) -> Any:
    """Its entry in the routing file, as written; None where there is none."""
    from modelscan.deploy.routes import route_of
    from modelscan.targets.registry import find_target

    kind = find_target(deployment.target, current().config).route_type
    return to_json(route_of(deployment, kind))


def _blocks(
    deployment: Deployment, changed: bool, dry_run: Mapping[str, Any] | None
) -> list[Block]:
    pairs: list[tuple[str, object]] = [
        ("name", deployment.name),
        ("state", "would be started" if dry_run is not None else deployment.state),
        ("model", deployment.model),
        ("quantization", deployment.quantization),
        ("backend", deployment.backend),
        ("context", format_tokens(deployment.context_tokens)),
        ("endpoint", deployment.endpoint),
        ("route", deployment.route),
    ]
    if dry_run is not None:
        return [Fields([*pairs, *_launch_pairs(dry_run)])]
    blocks: list[Block] = [Fields(pairs)]
    if deployment.measured:
        blocks.append(view.memory_table(deployment))
    if not changed:
        blocks.append(Note(f"{deployment.name} was running already with these options"))
    line = view.curl(deployment)
    return [*blocks, Note(f"\nask it: {line}")] if line else blocks


def _opinion(evaluation: Mapping[str, Any] | None) -> list[tuple[str, object]]:
    """What the cluster's own evaluation says of the request."""
    if evaluation is None:
        return []
    verdict = "compatible" if evaluation["compatible"] else "not compatible"
    return [("server says", "; ".join([verdict, *evaluation["messages"]]))]


def _launch_pairs(launch: Mapping[str, Any]) -> list[tuple[str, object]]:
    import shlex

    if "body" in launch:
        body = json.dumps(launch["body"], indent=2, ensure_ascii=False)
        return [("request", f"{launch['method']} {launch['url']}"), ("body", body),
                *_opinion(launch.get("evaluation"))]  # fmt: skip
    values = [f"{name}={shlex.quote(value)}" for name, value in launch.get("env", {}).items()]
    values += [f"{name}=<{reference}>" for name, reference in launch.get("secrets", {}).items()]
    words = [shlex.quote(word) for word in launch.get("argv", [])]
    return [("launch", " ".join([*values, *words]))]


app = single(deploy)
