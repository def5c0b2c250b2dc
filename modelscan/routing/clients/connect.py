"""``modelscan connect``: a client's configuration printed, written, undone, or tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.net.address import stays_here
from modelscan.routing.clients import files
from modelscan.routing.clients.files import ConnectedFile
from modelscan.routing.clients.offer import FactsOf, offered
from modelscan.routing.clients.registry import client_of, warnings
from modelscan.routing.clients.types import ClientProgram, ServedGateway
from modelscan.routing.file import load

Action = Literal["print", "write", "remove", "check"]
_QUESTION = "Answer with the one word pong."
_CHECK_S = 300.0
_SHOWN = 400


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """One turn of the installed client: its command, whether it ended well, and what it printed."""

    command: tuple[str, ...]
    ok: bool
    exit_code: int | None
    output: str


@dataclass(frozen=True, slots=True)
class ConnectAnswer:
    """A client's files, the command that starts it over ``route``, and the result of a check."""

    client: str
    action: Action
    route: str
    base_url: str
    key: str | None
    files: tuple[ConnectedFile, ...]
    start: str | None
    check: ClientCheck | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectWishes:
    """``key``: a reference such as env:NAME; ``choose``: make the route the client's model."""

    client: str
    action: Action = "print"
    route: str | None = None
    key: str | None = None
    choose: bool = False


def connect(
    wishes: ConnectWishes,
    routing_file: Path,
    records: Path,
    base_url: str,
    facts: FactsOf,
    environ: Mapping[str, str] | None = None,
) -> ConnectAnswer:
    """Carry out the wishes; ``records`` keeps what clients' files were before.

    Raises UsageError for an unknown client or route, or a file that cannot be edited.
    """
    environ = os.environ if environ is None else environ
    client = client_of(wishes.client)
    variable = _key_variable(wishes.key)
    offer = offered(load(routing_file), base_url.rstrip("/"), wishes.route, variable, facts)
    done: list[ConnectedFile] = []
    check = None
    if wishes.action == "write":
        done = files.write(client, offer, records, environ, choose=wishes.choose)
    elif wishes.action == "remove":
        done = files.undo(client, offer, records, environ)
    elif wishes.action == "check":
        check = try_client(client, offer, environ)
    else:
        done = files.printed(client, offer, environ)
    return ConnectAnswer(
        client=client.name,
        action=wishes.action,
        route=offer.chosen.name,
        base_url=offer.base_url,
        key=wishes.key,
        files=tuple(done),
        start=client.start(offer) if client.start else None,
        check=check,
        warnings=tuple(_warnings(client, offer, environ)),
    )


def _key_variable(reference: str | None) -> str | None:
    if reference is None:
        return None
    kind, _, name = reference.partition(":")
    if kind == "env" and name.isidentifier():
        return name
    raise UsageError(
        "a client reads its key from an environment variable",
        hint="--key env:MODELSCAN_API_KEY, and set that variable",
        code="key_reference",
    )


def _warnings(client: ClientProgram, offer: ServedGateway, environ: Mapping[str, str]) -> list[str]:
    found = warnings(client, offer.chosen)
    if offer.key_variable and not environ.get(offer.key_variable):
        found.append(f"the variable {offer.key_variable} is not set in this shell")
    if not stays_here(offer.base_url) and offer.base_url.startswith("http://"):
        found.append(f"{offer.base_url} is not encrypted: the key travels in clear text")
    return found


def try_client(
    client: ClientProgram, offer: ServedGateway, environ: Mapping[str, str]
) -> ClientCheck:
    """One turn of the installed client, with a configuration of its own in a temporary home."""
    if client.turn is None:
        raise UsageError(
            f"{client.title} has no command for one turn",
            hint=f"modelscan connect {client.name}",
            code="no_check",
        )
    with tempfile.TemporaryDirectory(prefix="modelscan-connect-") as folder:
        home = {"HOME": folder, "XDG_CONFIG_HOME": f"{folder}/.config"}
        own = {key: value for key, value in environ.items() if not _is_theirs(key)} | home
        written = files.write(client, offer, Path(folder) / "records", own, choose=True)
        command = client.turn(offer, _QUESTION, [one.path for one in written if one.path])
        if shutil.which(command[0], path=environ.get("PATH")) is None:
            raise UsageError(
                f"{command[0]} is not installed", hint=client.install, code="client_missing"
            )
        if offer.key_variable is None:
            own |= {"OPENAI_API_KEY": "none"}
        return _run(command, own, folder)


def _is_theirs(variable: str) -> bool:
    """Whether a variable would lead the client to the person's own configuration or provider."""
    return variable.startswith(("ANTHROPIC_", "OPENAI_", "CODEX_", "CLAUDE_", "AIDER_", "LLM_"))


def _run(command: list[str], environ: Mapping[str, str], folder: str) -> ClientCheck:
    try:
        done = subprocess.run(
            command, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=_CHECK_S, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ClientCheck(tuple(command), False, None, f"no answer within {_CHECK_S:g} s")
    except OSError as error:
        raise ModelscanError(f"{command[0]} cannot be started: {error}") from error
    ok = done.returncode == 0 and bool(done.stdout.strip())
    text = (done.stdout if ok else done.stderr or done.stdout).strip()
    return ClientCheck(tuple(command), ok, done.returncode, text[-_SHOWN:])
