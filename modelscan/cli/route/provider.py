"""``modelscan route provider add``: entries by kind of server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.cli.route.edited import DryRun, edited
from modelscan.core.workload import Backend

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
    8080 for llama.cpp unless --base-url says otherwise.
    """
    from modelscan.routing.edits import add_provider

    fields = _hosted(what) if kind == "hosted" else _local(what, base_url, model)
    given = {"name": name, "base_url": base_url, "model": model, "api_key": key}
    fields |= {field: value for field, value in given.items() if value is not None}
    answer = add_provider(context.config.routing_file, fields, dry_run=dry_run)
    entry = str(fields["name"])
    return edited("provider.add", answer, [entry], f"modelscan route test {entry}")


def _hosted(what: str) -> dict[str, Any]:
    from modelscan.routing.presets import required_preset

    preset = required_preset(what)
    return {"name": preset.name, "type": "openai", "preset": preset.name}


def _local(what: str, base_url: str | None, model: str | None) -> dict[str, Any]:
    """The fields of an engine's server; raises UsageError for an unknown engine or no model."""
    from modelscan.core.errors import UsageError
    from modelscan.engines.registry import engine

    backend: Backend = engine(what).name
    if model is None:
        raise UsageError(
            "an entry for a local server needs its model",
            hint=f"modelscan route provider add local {what} --model MODEL",
        )
    address = base_url or f"http://127.0.0.1:{engine(what).default_port}"
    own = engine(what).own_server
    fields: dict[str, Any] = {"name": what, "type": backend if own else "local"}
    return {**fields, "base_url": address, **({} if own else {"engine": backend})}
