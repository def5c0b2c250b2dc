"""``modelscan target``: the GPUStack servers that models may be deployed to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document, Fields, Table
from modelscan.cli.framework import command, group
from modelscan.core.errors import EXIT_REMOTE
from modelscan.state import targets
from modelscan.state.targets import TargetConfig

app = group("GPUStack servers that models may be deployed to.")
Name = Annotated[str, typer.Argument(help="The target's name.", metavar="NAME")]


def _row(item: TargetConfig, default: str | None) -> dict[str, Any]:
    return {
        "name": item.name,
        "kind": "gpustack",
        "url": item.url,
        "api_key": item.api_key,
        "ca_file": item.ca_file,
        "cluster": item.cluster,
        "default": item.name == default,
    }


@command(app, "add")
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="The server's root, e.g. https://gpustack.lan")],
    key: Annotated[
        str | None, typer.Option("--key", help="Reference to an API key: env:NAME or file:PATH.")
    ] = None,
    ca_file: Annotated[
        str | None, typer.Option("--ca-file", help="PEM file of the server's own CA.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="A cluster's name or id on that server.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Make it the default.")] = False,
) -> Document:
    """Remember a server (or change it). Sends nothing: see target test."""
    where = current().config.paths
    wanted = targets.absolute(TargetConfig(name, url, key, ca_file, cluster))
    kept = targets.put(where, wanted, default=default)
    row = _row(kept.find(name), kept.default)
    return Document(
        "target.add", {"target": row}, [Fields(list(row.items()))], [name],
        hint=f"modelscan target test {name}",
    )  # fmt: skip


@command(app, "list")
def list_() -> Document:
    """Every configured server."""
    kept = targets.load(current().config.paths)
    rows = [_row(item, kept.default) for item in kept.items]
    table = Table(
        ("NAME", "KIND", "URL", "KEY", "CLUSTER", "DEFAULT"),
        [[r["name"], r["kind"], r["url"], r["api_key"], r["cluster"], r["default"]] for r in rows],
        empty="no servers yet: modelscan target add NAME URL --key env:NAME",
    )
    return Document("target.list", {"default": kept.default, "targets": rows}, [table],
                    [item.name for item in kept.items])  # fmt: skip


@command(app, "use")
def use(name: Name) -> Document:
    """Make a server the one that --target auto and --target gpustack mean."""
    kept = targets.use(current().config.paths, name)
    return Document("target.use", {"default": kept.default}, [Fields([("default", name)])], [name])


@command(app, "remove")
def remove(name: Name) -> Document:
    """Forget a server. Refused while deployments of it are remembered."""
    from modelscan.core.errors import UsageError
    from modelscan.state.store import Store

    paths = current().config.paths
    targets.load(paths).find(name)
    if paths.store_file.exists():
        with Store.open(paths.store_file) as store:
            mine = [row.name for row in store.all() if row.target == name]
        if mine:
            raise UsageError(
                f"{len(mine)} deployment(s) are on {name}: {', '.join(mine)}",
                hint=f"modelscan remove {' '.join(mine)}",
            )
    kept = targets.drop(paths, name)
    body = {"removed": name, "default": kept.default}
    return Document("target.remove", body, [Fields(list(body.items()))], [name])


@command(app, "test")
def test(
    name: Annotated[str | None, typer.Argument(help="A target; none: the default.")] = None,
) -> Document:
    """Ask a server: version, what the key may do, workers and GPUs. Exit 4 or 5 if it fails."""
    from modelscan.targets.gpustack.check import check_server

    kept = targets.load(current().config.paths)
    item = kept.find(name or kept.default or "gpustack")
    result = check_server(item, current().config)
    failed = [check for check in result["checks"] if check["status"] == "error"]
    table = Table(
        ("CHECK", "STATUS", "DETAIL", "HINT"),
        [(c["name"], c["status"], c["detail"], c["hint"]) for c in result["checks"]],
    )
    code = max((int(check.pop("exit_code", EXIT_REMOTE)) for check in failed), default=0)
    for check in result["checks"]:
        check.pop("exit_code", None)
    return Document("target.test", {"target": _row(item, kept.default), **result}, [table],
                    [item.name] if not failed else [], exit_code=code)  # fmt: skip
