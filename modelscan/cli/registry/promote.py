"""``modelscan registry promote|rollback``: a version becomes what a route serves, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Note, Table
from modelscan.cli.framework import command
from modelscan.core.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from modelscan.promotion.run import Promoter
    from modelscan.promotion.types import CanaryOptions, PromotionShown


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "promote")(promote)
    command(app, "rollback")(rollback)


def promote(
    context: Context,
    version: Annotated[
        str, typer.Argument(metavar="SLUG@V", help="A version, or an alias of one.")
    ],
    route: Annotated[
        str,
        typer.Option("--route", metavar="NAME", help="A deployment's entry, a role or a new name."),
    ],
    gate: Annotated[
        list[str] | None,
        typer.Option(
            "--gate",
            metavar="SUITE>=N",
            help="A score to reach: a suite of eval suites, or a workload's file; repeatable.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            min=0,
            max=1,
            metavar="N",
            help="How much worse than now it may be shown to be.",
        ),
    ] = 0.02,
    canary: Annotated[
        str | None,
        typer.Option("--canary", metavar="SHARE", help="First a share of the requests: 0.1, 10%."),
    ] = None,
    canary_for: Annotated[
        str | None, typer.Option("--for", metavar="T", help="How long: 10m, 2h (default: 10m).")
    ] = None,
    keep_previous: Annotated[
        str | None,
        typer.Option(
            "--keep-previous", metavar="T", help="Keep what is served now running for so long."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="S", help="Seconds to wait for an engine.")
    ] = 600.0,
) -> Document[Any]:
    """Deploy a version, evaluate it, try it, and let a route lead to it; else nothing changes.

    The same command continues a promotion that was cut off.
    """
    from modelscan.core.units import parse_seconds
    from modelscan.promotion.gates import parse_gate
    from modelscan.promotion.promote import promote as promoted
    from modelscan.promotion.types import PromotionOptions

    options = PromotionOptions(
        gates=tuple(map(parse_gate, gate or ())),
        margin=margin,
        canary=_canary(canary, canary_for),
        keep_s=0.0 if keep_previous is None else parse_seconds(keep_previous),
        timeout_s=timeout,
    )
    with _promoter(context) as promoter:
        answer = promoted(promoter, version, route, options)
    return _document(answer)


def rollback(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The route.")],
) -> Document[Any]:
    """Let a route lead to what it led to before its last promotion."""
    from modelscan.promotion.promote import rollback as rolled_back

    with _promoter(context) as promoter:
        answer = rolled_back(promoter, name)
    return _document(answer, done=True)


@contextmanager
def _promoter(context: Context) -> Iterator[Promoter]:
    from modelscan.cli.deployment_view import service
    from modelscan.cli.interrupt import interruptible
    from modelscan.state.server.extra import require_extra

    require_extra("promoting a model")
    from modelscan.promotion.run import Promoter
    from modelscan.state.server.audit import local_user
    from modelscan.state.server.database import open_server

    with (
        open_server(context.config) as database,
        context.output.status("looking up the version") as status,
        interruptible(),
    ):
        yield Promoter(context.config, database, service(), local_user(), status.update)


def _canary(share: str | None, seconds: str | None) -> CanaryOptions | None:
    from modelscan.core.units import parse_seconds
    from modelscan.promotion.types import CanaryOptions

    if share is None:
        if seconds is not None:
            raise UsageError("--for says how long, --canary which share", hint="--canary 0.1")
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", share.strip())
    number = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < number < 1:
        raise UsageError(f"'{share}' is no share: above 0 and below 1", hint="--canary 0.1")
    length = parse_seconds(seconds or "10m")
    if length <= 0:
        raise UsageError("a canary of no time shows nothing", hint="--canary 0.1 --for 10m")
    return CanaryOptions(number, length)


def _document(answer: PromotionShown, *, done: bool = False) -> Document[Any]:
    """The steps; a promotion that did not reach its end is no success."""
    pairs = [
        ("version", answer.version), ("route", answer.route), ("state", answer.state),
        ("candidate", answer.candidate), ("serves now", answer.current),
        ("before", answer.previous), ("evaluation", answer.eval_id),
    ]  # fmt: skip
    rows = [(one.step, one.state, one.at, one.reason) for one in answer.steps]
    table = Table(
        ("STEP", "STATE", "AT", "REASON"), rows, optional=("AT",), folded=("REASON",)
    )  # fmt: skip
    notes = [] if answer.changed else [Note(f"{answer.route} serves {answer.version} already")]
    failed = not done and answer.state != "promoted"
    return Document(
        "registry.promote", answer, [Fields([p for p in pairs if p[1] is not None]), table, *notes],
        [answer.route], answer.warnings, exit_code=EXIT_FAILED if failed else 0,
        hint=_shown_by(answer.eval_id) if failed and answer.eval_id else None,
    )  # fmt: skip


def _shown_by(report: str) -> str:
    """The command that shows a gate's report: of a suite, or of a workload."""
    return f"modelscan {'eval' if report.startswith('e-') else 'bench'} show {report}"
