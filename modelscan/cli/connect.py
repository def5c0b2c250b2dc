"""``modelscan connect``: configure an assistant, an editor or a library to use the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Text
from modelscan.cli.framework import single
from modelscan.core.errors import EXIT_REMOTE

if TYPE_CHECKING:
    from modelscan.routing.clients.connect import Action, ConnectAnswer


def connect(
    context: Context,
    client: Annotated[
        str,
        typer.Argument(
            metavar="CLIENT",
            help="opencode, codex, claude-code, continue, aider, zed, open-webui, litellm, "
            "llama-swap, llm, env.",
        ),
    ],
    route: Annotated[
        str | None,
        typer.Option(
            "--route", metavar="NAME", help="A route, alias or role (default: the default)."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="env:NAME", help="The variable that has the caller's key."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="The endpoint (default: this machine's)."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Merge it into the client's own file, with a backup.")
    ] = False,
    default: Annotated[
        bool, typer.Option("--default", help="With --write: also make it the client's model.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Undo what --write did.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Run one turn of the installed client over the route.")
    ] = False,
) -> Document[Any]:
    """Print or write a client's configuration for the endpoint."""
    from modelscan.routing.clients.connect import ConnectWishes
    from modelscan.routing.clients.connect import connect as run

    config = context.config
    wishes = ConnectWishes(client, _action(write, remove, check), route, key, default)
    base_url = (url or f"http://127.0.0.1:{config.serve_port}").removesuffix("/v1")
    records = config.paths.state / "clients"
    with context.output.status(f"configuring {client}"):
        answer = run(wishes, config.routing_file, records, base_url, _facts)
    code = EXIT_REMOTE if answer.check is not None and not answer.check.ok else 0
    return Document("connect", answer, _blocks(answer), [], answer.warnings, exit_code=code)


def _facts(route: Any) -> Any:
    from modelscan.net.address import stays_here
    from modelscan.routing.clients.offer import NOT_REPORTED, served_facts

    return served_facts(route) if stays_here(route.base_url) else NOT_REPORTED


def _action(write: bool, remove: bool, check: bool) -> Action:
    from modelscan.core.errors import UsageError

    wanted: list[Action] = []
    if write:
        wanted.append("write")
    if remove:
        wanted.append("remove")
    if check:
        wanted.append("check")
    if len(wanted) > 1:
        names = " and ".join(f"--{one}" for one in wanted)
        raise UsageError(f"{names} cannot be combined", hint=f"use --{wanted[0]} alone")
    return wanted[0] if wanted else "print"


def _blocks(answer: ConnectAnswer) -> list[Block]:
    blocks: list[Block] = []
    for file in answer.files:
        if file.text is not None:
            if file.path is not None:
                blocks.append(Note(f"{file.path}:"))
            blocks.append(Text(file.text.rstrip("\n")))
        else:
            pairs: list[tuple[str, object]] = [(file.state, file.path)]
            blocks.append(Fields(pairs + ([("backup", file.backup)] if file.backup else [])))
    if answer.check is not None:
        pairs = [("command", " ".join(answer.check.command)), ("works", answer.check.ok)]
        blocks += [Fields(pairs), Text(answer.check.output)]
    return blocks + _notes(answer)


def _notes(answer: ConnectAnswer) -> list[Block]:
    notes: list[Block] = []
    if answer.action == "print" and any(file.path for file in answer.files):
        notes.append(Note(f"write it: modelscan connect {answer.client} --write"))
    if answer.action == "remove" and not answer.files:
        notes.append(Note("there was nothing to remove"))
    if answer.start and answer.action in ("print", "write"):
        notes.append(Note(f"start it: {answer.start}"))
    return notes


app = single(connect)
