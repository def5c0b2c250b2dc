"""``modelscan node cert``: an authority of one's own and its certificates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.gateway.node.certificates import CertificateFolder, CertificateShown

app = group("Make and renew the certificates of a cluster (mutual TLS).")
Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The folder (default: next to the settings)."),
]  # fmt: skip
Days = Annotated[int | None, typer.Option("--days", min=1, max=7300, help="Days that it is valid.")]


@command(app, "init")
def init(
    context: Context,
    name: Annotated[
        str, typer.Option("--name", help="The authority's name.")
    ] = "modelscan cluster",
    days: Days = None,
    folder: Dir = None,
) -> Document[Any]:
    """Make the certificate authority of a cluster."""
    from modelscan.gateway.node.certificates import CA_DAYS

    answer = _folder(context, folder).init(name, days or CA_DAYS)
    blocks: list[Block] = [
        Fields([("ca", answer.ca_file), ("key", answer.certificates[0].key_file)]),
        Note("ca.pem goes to every machine; ca.key stays here: who has it can join the cluster"),
    ]
    hint = "modelscan node cert issue gpu1 --host gpu1.lan"
    return Document("node.cert.init", answer, blocks, [answer.ca_file], hint=hint)


@command(app, "issue")
def issue(
    context: Context,
    name: Annotated[str, typer.Argument(help="Of the machine or the client, e.g. gpu1")],
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="A name or address that others connect to; repeatable."),
    ] = None,
    client: Annotated[
        bool, typer.Option("--client", help="For a client only: it cannot be a server's.")
    ] = False,
    days: Days = None,
    folder: Dir = None,
) -> Document[Any]:
    """Issue a certificate for a control plane, node or client."""
    from modelscan.gateway.node.certificates import DAYS

    use: Literal["node", "client"] = "client" if client else "node"
    answer = _folder(context, folder).issue(name, host or [], use=use, days=days or DAYS)
    pairs = [
        ("name", answer.name), ("use", answer.use), ("hosts", ", ".join(answer.hosts) or None),
        ("expires_at", answer.expires_at), ("cert", answer.cert_file), ("key", answer.key_file),
    ]  # fmt: skip
    note = Note(f"copy both files and ca.pem to {name}: only the owner may read the key")
    return Document("node.cert.issue", answer, [Fields(pairs), note], [answer.cert_file])


@command(app, "renew")
def renew(
    context: Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Names (default: all).", metavar="[NAME...]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also those with more than a third of their time left.")
    ] = False,
    folder: Dir = None,
) -> Document[Any]:
    """Renew certificates that expire soon; running servers take the new files."""
    answer = _folder(context, folder).renew(names or [], force=force)
    empty = f"none is due: {', '.join(answer.kept)}" if answer.kept else "there are none"
    table = _table(answer.renewed, empty)
    return Document("node.cert.renew", answer, [table], [one.name for one in answer.renewed])


@command(app, "show")
def show(
    context: Context,
    name: Annotated[str | None, typer.Argument(help="One of them (default: all).")] = None,
    folder: Dir = None,
) -> Document[Any]:
    """List the certificates: hosts, days left, problems."""
    answer = _folder(context, folder).show(name)
    table = _table(answer.certificates, "there are no certificates: modelscan node cert init")
    return Document("node.cert.show", answer, [table], [one.name for one in answer.certificates])


def _table(rows: Sequence[CertificateShown], empty: str) -> Table:
    return Table(
        ("NAME", "USE", "DAYS", "EXPIRES", "HOSTS", "PROBLEM"),
        [
            (c.name, c.use, c.days_left, c.expires_at, ", ".join(c.hosts) or None, c.problem)
            for c in rows
        ],
        numeric=("DAYS",),
        optional=("EXPIRES",),
        whole=("USE",),
        folded=("HOSTS",),
        below=("PROBLEM",),
        empty=empty,
    )


def _folder(context: Context, folder: Path | None) -> CertificateFolder:
    from modelscan.state.server.extra import require_package

    require_package("modelscan node cert", "cryptography")
    from modelscan.gateway.node.certificates import CertificateFolder

    return CertificateFolder(folder or context.config.paths.config / "certificates")
