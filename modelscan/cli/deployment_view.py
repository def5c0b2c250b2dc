"""A deployment as rows, fields and JSON: shared by deploy, list, show, start, stop, remove."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Fields, Note, Table
from modelscan.core.deployment import Deployment, Measured, MeasuredParts, State
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from modelscan.deploy.deployments import Deployments

_PUBLIC = (
    "name", "model", "target", "backend", "quantization", "state", "health", "reason", "endpoint",
    "served_model", "task", "context_tokens", "gpus", "port", "pid", "api_key", "route", "managed",
    "restart", "restarts", "ttl_s", "log_path", "created_at", "started_at", "updated_at",
)  # fmt: skip
_PARTS = (
    ("weights", "weights_bytes"), ("kv_cache", "kv_cache_bytes"),
    ("recurrent_state", "recurrent_state_bytes"), ("compute", "compute_bytes"),
    ("output", "output_bytes"), ("kv_pool", "kv_pool_bytes"), ("non_torch", "non_torch_bytes"),
    ("cuda_graphs", "cuda_graph_bytes"),
)  # fmt: skip
COLUMNS = ("NAME", "STATE", "HEALTH", "MODEL", "QUANT", "BACKEND", "CONTEXT", "ENDPOINT", "TARGET")


def service() -> Deployments:
    """The deployments of this command's settings; Ctrl-C does not tear a clean-up."""
    from modelscan.cli.interrupt import undisturbed
    from modelscan.deploy.deployments import Deployments

    return Deployments(current().config, shield=undisturbed)


def as_json(deployment: Deployment) -> dict[str, Any]:
    """What the contract shows of a deployment; the rest of the row is how it is kept."""
    return {name: to_json(getattr(deployment, name)) for name in _PUBLIC}


def table(deployments: Sequence[Deployment]) -> Table:
    """One row each."""
    rows = [
        (
            one.name, one.state, one.health if one.managed else "unmanaged", one.model,
            one.quantization, one.backend,
            format_tokens(one.context_tokens), one.endpoint, one.target,
        )
        for one in deployments
    ]  # fmt: skip
    return Table(COLUMNS, rows, numeric=("CONTEXT",),
                 empty="no deployments yet: modelscan deploy demo")  # fmt: skip


def reasons(deployments: Iterable[Deployment]) -> list[Note]:
    """Why the ones that do not run do not."""
    return [
        Note(f"{one.name}: {one.reason}")
        for one in deployments
        if one.reason and (one.managed or one.state is State.FAILED)
    ]


def fields(deployment: Deployment) -> Fields:
    """The deployment itself, for people."""
    pairs: list[tuple[str, object]] = [
        ("name", deployment.name),
        ("state", deployment.state),
        ("health", deployment.health),
        ("model", deployment.model),
        ("quantization", deployment.quantization),
        ("backend", deployment.backend),
        ("target", deployment.target),
        ("context", format_tokens(deployment.context_tokens)),
        ("gpus", ",".join(map(str, deployment.gpus)) or "none (CPU)"),
        ("endpoint", deployment.endpoint),
        ("route", deployment.route),
        ("pid", deployment.pid),
        ("restart", _restart(deployment)),
        (
            "stops when unused",
            None if deployment.ttl_s is None else f"after {deployment.ttl_s:g} s",
        ),
        ("created", deployment.created_at),
        ("log", deployment.log_path),
    ]
    if deployment.reason:
        pairs.insert(2, ("reason", deployment.reason))
    return Fields(pairs)


def _restart(deployment: Deployment) -> str | None:
    """The policy, and what it came to."""
    if deployment.restart is None:
        return None
    times = f", {deployment.restarts} so far" if deployment.restarts else ""
    return deployment.restart + times


def memory(deployment: Deployment) -> list[dict[str, Any]]:
    """Estimate beside what the engine says: per part and in total; None where one is unknown."""
    measured = deployment.measured or Measured()
    estimate = deployment.plan.estimate if deployment.plan else None
    guessed: dict[str, int] = to_json(estimate.parts) if estimate else {}
    # What vLLM and SGLang set aside, asked for or not.
    guessed["kv_pool_bytes"] = sum(
        device.kv_pool_bytes or 0 for device in (estimate.per_gpu if estimate else ())
    )
    reported = measured.parts or MeasuredParts()
    rows = [_compare(label, guessed.get(key), getattr(reported, key)) for label, key in _PARTS]
    rows = [row for row in rows if row["estimated_bytes"] or row["measured_bytes"]]
    total = estimate.total_bytes if estimate else None
    return [*rows, _compare("total", total, measured.total_bytes)]


def _compare(part: str, estimated: int | None, measured: int | None) -> dict[str, Any]:
    known = estimated is not None and measured is not None
    difference = measured - estimated if known else None  # type: ignore[operator]
    return {
        "part": part,
        "estimated_bytes": estimated,
        "measured_bytes": measured,
        "difference_bytes": difference,
        "difference_fraction": round(difference / estimated, 4)
        if difference is not None and estimated
        else None,
    }


def memory_table(deployment: Deployment) -> Table:
    """``memory`` for people."""
    rows = [
        (
            row["part"],
            format_bytes(row["estimated_bytes"]),
            format_bytes(row["measured_bytes"]),
            format_bytes(row["difference_bytes"]),
            None if row["difference_fraction"] is None else f"{row['difference_fraction']:+.1%}",
        )
        for row in memory(deployment)
    ]
    columns = ("MEMORY", "ESTIMATED", "MEASURED", "DIFFERENCE", "PERCENT")
    return Table(columns, rows, numeric=columns[1:])


def curl(deployment: Deployment) -> str | None:
    """A command to paste that asks the deployment something."""
    if deployment.endpoint is None:
        return None
    path, body = _REQUESTS.get(deployment.task, _REQUESTS["chat"])
    data = json.dumps({"model": deployment.served_model or deployment.model, **body})
    words = ["curl", f"{deployment.endpoint}{path}", *_key_header(deployment.api_key)]
    words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(data)]
    return " ".join(words)


_REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
    "embedding": ("/v1/embeddings", {"input": "Hello"}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Hello", "Goodbye"]}),
}


def _key_header(reference: str | None) -> list[str]:
    if reference is None:
        return []
    scheme, _, rest = reference.partition(":")
    value = f"${rest}" if scheme == "env" else f"$(cat {shlex.quote(rest)})"
    return ["-H", f'"Authorization: Bearer {value}"']


def chosen(names: Sequence[str] | None, every: bool, verb: str) -> list[str]:
    """NAME… or --all, exactly one of them; raises UsageError otherwise."""
    if every and names:
        raise UsageError("give names or --all, not both", hint=f"modelscan {verb} --all")
    if every:
        return [one.name for one in service().list()]
    if not names:
        raise UsageError("no deployment was named", hint=f"modelscan {verb} NAME, or --all")
    return list(dict.fromkeys(names))


def confirm(question: str, yes: bool, command: str) -> None:
    """Ask on a terminal; without one, ``--yes`` is needed. Raises UsageError for a no."""
    if yes:
        return
    import sys

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{question}: cannot ask for confirmation, standard input is not a terminal",
            hint=f"{command} --yes",
            code="needs_yes",
        )
    import click

    if not click.confirm(question + "?", err=True):
        raise UsageError("nothing was done", code="declined")


def adopt_if_unmanaged(name: str, force: bool | None = None) -> None:
    """``--force``: a cluster's model that modelscan did not make is adopted, then acted on.

    Without (None: the command has no such option), UsageError says where it is.
    """
    if (current().config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import adopt_if_unmanaged as adopt

        adopt(name, service(), force=force)


def each(names: Sequence[str], act: Any) -> tuple[list[Deployment], ModelscanError | None]:
    """Do it to every name; a failure is a warning and does not keep the others from their turn.

    Returns what was done and, when something failed, the first error (raised by the caller if
    nothing else was to be reported).
    """
    done: list[Deployment] = []
    first: ModelscanError | None = None
    for name in names:
        try:
            done.append(act(name))
        except ModelscanError as error:
            if len(names) == 1:
                raise
            current().output.warn(f"{name}: {error.message}")
            first = first or error
    return done, first
