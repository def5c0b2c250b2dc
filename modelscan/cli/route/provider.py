"""``modelscan route provider add``: entries by kind of server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.cli.route.edited import DryRun, edited

app = group("Add an entry by the kind of its server.")


@command(app, "add")
def add(
    context: Context,
    kind: Annotated[
        Literal["local", "hosted"],
        typer.Argument(help="local: an engine on this machine; hosted: a preset.", metavar="KIND"),
    ],
    what: Annotated[
        str, typer.Argument(help="An engine (vllm, sglang, ollama, …) or a preset.", metavar="WHAT")
    ],
    model: Annotated[str | None, typer.Option("--model", help="The model that it serves.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The entry's name.")] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Default: the engine's port on 127.0.0.1.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Reference to a key: env:NAME or file:PATH.")
    ] = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Add an entry for a server that runs already, or for a hosted provider.

    A local engine needs no key; its port is 8000 for vLLM, 30000 for SGLang, 11434 for Ollama and
    8080 for llama.cpp unless --base-url says otherwise. Without --model, its server's list of
    models decides; the models of a list of several are requested as NAME/MODEL.
    """
    from modelscan.routing.edits import add_provider

    fields = _hosted(what) if kind == "hosted" else _local(what, base_url, model, name)
    given = {"name": name, "base_url": base_url, "model": model, "api_key": key}
    fields |= {field: value for field, value in given.items() if value is not None}
    answer = add_provider(context.config.routing_file, fields, dry_run=dry_run)
    entry = str(fields["name"])
    return edited("provider.add", answer, [entry], f"modelscan route test {entry}")


def _hosted(what: str) -> dict[str, Any]:
    from modelscan.routing.presets import required_preset

    preset = required_preset(what)
    return {"name": preset.name, "type": "openai", "preset": preset.name}


def _local(what: str, base_url: str | None, model: str | None, name: str | None) -> dict[str, Any]:
    """The fields of an engine's server; raises UsageError for an unknown engine."""
    from modelscan.engines.registry import engine

    one = engine(what)
    address = base_url or f"http://127.0.0.1:{one.default_port}"
    fields: dict[str, Any] = {"name": what, "type": one.name if one.own_server else "local"}
    fields["base_url"] = address
    if not one.own_server:
        fields["engine"] = one.name
        model = model or _only_model(name or what, address)
        fields |= {"model": model} if model else {"type": "openai"}
    return fields


def _only_model(name: str, address: str) -> str | None:
    """The model of a server that answers and lists one; None: it does not."""
    from modelscan.core.errors import ModelscanError
    from modelscan.core.route import Route
    from modelscan.net.address import stays_here
    from modelscan.routing.probe import probe_route

    if not stays_here(address):
        return None
    try:
        route = Route(name, "openai", address, None)
        probe = probe_route(route, chat=False, timeout_s=2.0, offline=True)
    except ModelscanError:
        return None
    return probe.models[0] if probe.models and len(probe.models) == 1 else None
