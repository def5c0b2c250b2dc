"""``modelscan node list|show|drain|undrain|remove``: the nodes of this control plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command

if TYPE_CHECKING:
    from modelscan.gateway.control.nodes.answers import ListedNode, ListedService
    from modelscan.state.server.database import ServerDatabase

Names = Annotated[list[str], typer.Argument(help="Names of nodes.", metavar="NODE...")]
_EMPTY = "no node has registered: modelscan node join URL, on the machine with the GPUs"


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "list")(list_)
    command(app, "show")(show)
    command(app, "drain")(drain)
    command(app, "undrain")(undrain)
    command(app, "remove")(remove)


def list_(context: Context) -> Document[Any]:
    """List the nodes: state, last sign of life, GPUs and services."""
    with node_database(context, "modelscan node list") as database:
        from modelscan.gateway.control.nodes.answers import list_nodes

        answer = list_nodes(database)
    return Document(
        "node.list", answer, [nodes_table(answer.nodes)], [n.name for n in answer.nodes]
    )


def nodes_table(nodes: Sequence[ListedNode]) -> Table:
    """The nodes as a table."""
    rows = [
        (one.name, one.state, _age(one.silent_s), gpus_text(one), len(one.services), one.address)
        for one in nodes
    ]
    return Table(
        ("NAME", "STATE", "SEEN", "GPUS", "SERVICES", "ADDRESS"),
        rows,
        numeric=("SERVICES",),
        optional=("ADDRESS", "GPUS"),
        whole=("STATE", "SEEN"),
        empty=_EMPTY,
    )


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit} ago"
    return f"{seconds:.0f}s ago"


def gpus_text(node: ListedNode) -> str | None:
    """``2x NVIDIA H100, RTX 4090``."""
    names = [one.name for one in node.gpus]
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{n}x {name}" if n > 1 else name for name, n in counts.items()) or None


def show(
    context: Context, name: Annotated[str, typer.Argument(help="A node's name.", metavar="NODE")]
) -> Document[Any]:
    """Show one node: devices, services, their figures and problems."""
    with node_database(context, "modelscan node show") as database:
        from modelscan.gateway.control.nodes.answers import show_node

        answer = show_node(database, name)
    node = answer.node
    blocks: list[Block] = [Fields(_pairs(node)), services_table(node.services)]
    blocks += [Note(problem) for problem in node.problems]
    return Document("node.show", answer, blocks, [node.name])


def _pairs(node: ListedNode) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = [
        ("name", node.name), ("display_name", node.display_name), ("state", node.state),
        ("last_seen", f"{node.last_seen} ({_age(node.silent_s)})"),
        ("heartbeat", f"every {node.interval_s:g} s"), ("address", node.address),
        ("key", node.key), ("version", node.version),
        ("labels", ", ".join(f"{key}={value}" for key, value in node.labels.items())),
        ("gpus", gpus_text(node)),
    ]  # fmt: skip
    return [(key, value) for key, value in pairs if value]


def services_table(services: Sequence[ListedService]) -> Table:
    """A node's services as a table."""
    rows = [
        (one.name, one.health, one.kind, ", ".join(one.models), one.context_tokens, one.loaded,
         one.p50_latency_ms, one.tokens_per_s, one.queue)
        for one in services
    ]  # fmt: skip
    return Table(
        ("SERVICE", "HEALTH", "KIND", "MODELS", "CONTEXT", "LOADED", "P50 MS", "TOK/S", "QUEUE"),
        rows,
        numeric=("CONTEXT", "P50 MS", "TOK/S", "QUEUE"),
        optional=("KIND", "LOADED", "P50 MS", "TOK/S", "QUEUE", "CONTEXT", "MODELS"),
        whole=("HEALTH",),
        empty="it reports no services",
    )


def drain(context: Context, names: Names) -> Document[Any]:
    """Give nodes no new requests; requests under way end as usual."""
    return _drained(context, names, True)


def undrain(context: Context, names: Names) -> Document[Any]:
    """Let drained nodes take requests again."""
    return _drained(context, names, False)


def _drained(context: Context, names: list[str], drained: bool) -> Document[Any]:
    word = "drain" if drained else "undrain"
    with node_database(context, f"modelscan node {word}") as database:
        from modelscan.gateway.control.nodes.answers import drain_nodes

        answer = drain_nodes(database, names, drained)
    table = Table(("NAME", "STATE"), [(one.name, one.state) for one in answer.nodes])
    return Document(f"node.{word}", answer, [table], [one.name for one in answer.nodes])


def remove(context: Context, names: Names) -> Document[Any]:
    """Forget nodes and their services; a node that is alive registers again."""
    with node_database(context, "modelscan node remove") as database:
        from modelscan.gateway.control.nodes.answers import remove_nodes

        answer = remove_nodes(database, names)
    rows = [(name, "removed") for name in answer.removed]
    return Document("node.remove", answer, [Table(("NAME", "STATE"), rows)], list(answer.removed))


@contextmanager
def node_database(context: Context, what: str) -> Iterator[ServerDatabase]:
    """The server's database, for a command that needs its packages."""
    from modelscan.state.server.extra import require_extra

    require_extra(what)
    from modelscan.state.server.database import open_server

    with open_server(context.config) as database:
        yield database
