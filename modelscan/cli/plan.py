"""``modelscan plan``: the best way to run a model on this hardware, or why there is none."""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Any

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table, Text
from modelscan.cli.framework import single
from modelscan.cli.history import measurements
from modelscan.cli.options import Force, ModelArgument, Wanted, workload_options
from modelscan.core.errors import EXIT_NOT_DEPLOYABLE
from modelscan.core.gpu import Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.plan import Decision, Plan, Refusal, RequiredHardware, ResolvedModel
from modelscan.core.units import format_bytes, format_tokens

_COLUMNS = ("QUANTIZATION", "BACKEND", "GPUS", "CONTEXT", "MEMORY", "TOKENS/S", "FROM")
_NUMERIC = ("CONTEXT", "MEMORY", "TOKENS/S")
_SHOWN_REJECTED = 40


@workload_options
def plan(
    model: ModelArgument,
    wanted: Wanted,
    everything: Annotated[
        bool, typer.Option("--all", help="Compare every way that fits, and say why others do not.")
    ] = False,
    gpus_needed: Annotated[
        bool, typer.Option("--gpus-needed", help="The smallest hardware for each quantization.")
    ] = False,
    force: Force = False,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TARGET", help="local, gpustack or auto.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            click_type=click.Choice(("yaml", "json")),
            help="Print the request body for GPUStack instead.",
        ),
    ] = None,
) -> Document:
    """The best way to run a model on this hardware: format, engine, GPUs, context, flags."""
    from modelscan.gpu.inventory import inventory
    from modelscan.models.resolve import load_subject
    from modelscan.planner.decide import decide

    subject = load_subject(model, current().config, wanted.workload)
    where = _where_to(target, wanted)
    if output is not None:
        return _body(where, subject, model, wanted, output)
    if where != "local":
        return _on_cluster(where, subject, wanted, everything, gpus_needed)
    hardware = inventory(wanted.gpu)
    if gpus_needed:
        return _needed(subject, wanted, hardware)
    history = () if hardware.simulated else measurements()
    decision = decide(subject, hardware, wanted.workload, history=history, everything=everything)
    decision = _with_nearest(decision, subject, wanted, hardware)
    warnings = [*subject.warnings, *(problem.message for problem in hardware.problems)]
    return document(decision, warnings, everything, _smaller(subject, wanted.gpu))


def _where_to(target: str | None, wanted: Wanted) -> str:
    """What ``deploy`` would choose; simulated hardware is planned for here."""
    from modelscan.targets.registry import resolve_target

    if target is None and wanted.gpu is not None:
        return "local"
    return resolve_target(target, current().config)


def _on_cluster(
    where: str, subject: ResolvedModel, wanted: Wanted, everything: bool, gpus_needed: bool
) -> Document:
    """The same answer for a cluster's workers."""
    from modelscan.targets.gpustack.plan import cluster_decision

    hardware, decision = cluster_decision(
        where, current().config, subject, wanted.workload, wanted.gpu, everything=everything
    )
    if gpus_needed:
        return _needed(subject, wanted, hardware)
    decision = _with_nearest(decision, subject, wanted, hardware)
    warnings = [*subject.warnings, *(problem.message for problem in hardware.problems)]
    return document(decision, warnings, everything, _smaller(subject, wanted.gpu))


def _with_nearest(
    decision: Decision, subject: ResolvedModel, wanted: Wanted, hardware: Inventory
) -> Decision:
    """Where nothing fits: models of the same makers that do."""
    if decision.refusal is None:
        return decision
    from modelscan.models.smaller_alternatives import with_nearest

    return with_nearest(decision, subject, hardware, wanted.workload, current().config)


def _body(where: str, subject: ResolvedModel, model: str, wanted: Wanted, form: str) -> Document:
    """``-o``: what ``deploy`` sends to the server, or one with this hardware would take."""
    from modelscan.deploy.plan_body import body_for, body_of_server

    if where == "local":
        from modelscan.gpu.inventory import inventory

        body = body_for(subject, inventory(wanted.gpu), wanted.workload)
    else:
        body = body_of_server(where, model, wanted.workload, wanted.gpu, current().config)
    return Document("plan.body", body, [Text(_written(body, form))], [body["name"]],
                    subject.warnings)  # fmt: skip


def _written(body: dict[str, Any], form: str) -> str:
    if form == "json":
        return json.dumps(body, indent=2)
    import yaml

    return str(yaml.safe_dump(body, sort_keys=False, allow_unicode=True)).rstrip("\n")


def _smaller(subject: ResolvedModel, gpu: str | None) -> str | None:
    """The command that finds a model of the same makers that does fit."""
    kind = subject.model and (subject.model.lab or subject.model.family)
    if not kind:
        return None
    simulated = f" --gpu {shlex.quote(gpu)}" if gpu else ""
    return f"modelscan catalog search {shlex.quote(kind)} --fits{simulated}"


def document(
    decision: Decision,
    warnings: list[str],
    everything: bool = False,
    smaller: str | None = None,
) -> Document:
    """A decision in every output form; exit 3 when nothing fits."""
    body = decision_json(decision)
    chosen = decision.plan
    if chosen is not None:
        warnings = [*warnings, *chosen.estimate.warnings]
        shown = _fits(chosen, decision, everything)
        hint = f"modelscan deploy {shlex.quote(chosen.model)}"
        return Document(
            "plan", body, shown, [chosen.repo], warnings, hint=None if everything else hint
        )
    assert decision.refusal is not None
    shown = _does_not_fit(decision.refusal, decision, everything)
    return Document("plan", body, shown, [], warnings, EXIT_NOT_DEPLOYABLE, hint=smaller)


def decision_json(decision: Decision) -> dict[str, Any]:
    """The body of the ``plan`` document."""
    refusal = decision.refusal
    others = decision.alternatives if refusal is None else refusal.alternatives
    model = decision.plan.model if decision.plan else refusal.model if refusal else None
    return {
        "verdict": "fits" if decision.plan else "does_not_fit",
        "model": model,
        "plan": plan_json(decision.plan) if decision.plan else None,
        "alternatives": [plan_json(other) for other in others],
        "required": {"gpus": to_json(refusal.required if refusal else ())},
        "reasons": list(
            refusal.reasons if refusal else decision.plan.reasons if decision.plan else ()
        ),
        "needed_bytes": refusal.needed_bytes if refusal else None,
        "available_bytes": refusal.available_bytes if refusal else None,
        "rejected": [{"option": what, "reason": why} for what, why in decision.rejected],
    }


def plan_json(chosen: Plan) -> dict[str, Any]:
    """The JSON of one plan."""
    body: dict[str, Any] = to_json(chosen)
    return body


def _fits(chosen: Plan, decision: Decision, everything: bool) -> list[Block]:
    pairs: list[tuple[str, object]] = [
        ("model", chosen.model),
        ("quantization", chosen.quantization),
        ("backend", _backend(chosen)),
        ("from", _where(chosen)),
        ("gpus", ",".join(map(str, chosen.gpus)) if chosen.gpus else "CPU"),
        ("context", f"{format_tokens(chosen.context_tokens)} x {chosen.parallel}"),
        ("memory", _memory(chosen)),
        ("flags", shlex.join(chosen.parameters)),
        *((("environment", " ".join(f"{k}={v}" for k, v in chosen.env.items())),)
          if chosen.env else ()),
        *(("because", reason) for reason in chosen.reasons),
    ]  # fmt: skip
    if everything:
        return [*_comparison((chosen, *decision.alternatives)), *_rejected(decision)]
    found: list[Block] = [Fields(pairs)]
    if decision.alternatives:
        found.append(Note("\nalternatives:"))
        found += _comparison(decision.alternatives)
    return found


def _does_not_fit(refusal: Refusal, decision: Decision, everything: bool) -> list[Block]:
    pairs: list[tuple[str, object]] = [
        ("model", refusal.model),
        ("verdict", "does not fit"),
        ("needed", refusal.needed_bytes and format_bytes(refusal.needed_bytes)),
        ("free", format_bytes(refusal.available_bytes)),
        *(("because", reason) for reason in refusal.reasons),
        *(("would do", _hardware(row)) for row in refusal.required),
    ]
    found: list[Block] = [Fields(pairs)]
    if refusal.alternatives:
        found.append(Note("\nwhat fits here:"))
        found += _nearest(refusal)
    return [*found, *(_rejected(decision) if everything else ())]


def _comparison(plans: tuple[Plan, ...]) -> list[Block]:
    return [Table(_COLUMNS, [_row(item) for item in plans], numeric=_NUMERIC)]


def _nearest(refusal: Refusal) -> list[Block]:
    """What does fit: named where it is another model."""
    plans = refusal.alternatives
    if all(plan.model == refusal.model for plan in plans):
        return _comparison(plans)
    rows = [(plan.model, *_row(plan)) for plan in plans]
    return [Table(("MODEL", *_COLUMNS), rows, numeric=_NUMERIC)]


def _row(item: Plan) -> tuple[object, ...]:
    speed = item.estimate.speed.decode_tokens_per_s if item.estimate.speed else None
    return (
        item.quantization,
        item.backend,
        ",".join(map(str, item.gpus)) if item.gpus else "CPU",
        format_tokens(item.context_tokens),
        _memory(item),
        None if speed is None else f"{speed:.3g}",
        _where(item),
    )


def _rejected(decision: Decision) -> list[Block]:
    rows = [(what, why) for what, why in decision.rejected[:_SHOWN_REJECTED]]
    return [Note("\nleft out:"), Table(("OPTION", "REASON"), rows)] if rows else []


def _needed(subject: ResolvedModel, wanted: Wanted, hardware: Inventory) -> Document:
    from modelscan.planner.hardware import needed

    rows = needed(subject, wanted.workload, hardware)
    body: dict[str, Any] = {
        "verdict": None,
        "model": subject.id,
        "plan": None,
        "alternatives": [],
        "required": {"gpus": to_json(rows)},
        "reasons": [],
        "needed_bytes": None,
        "available_bytes": None,
        "rejected": [],
    }
    cells = [(f"{r.count} x {r.name}", format_bytes(r.memory_bytes), r.reason) for r in rows]
    empty = "none of the usual GPUs, eight at most, would do"
    table = Table(("GPUS", "MEMORY EACH", "RUNS"), cells, numeric=("MEMORY EACH",), empty=empty)
    return Document("plan", body, [table], [f"{r.count}x {r.name}" for r in rows], subject.warnings)


def _hardware(row: RequiredHardware) -> str:
    return f"{row.count} x {row.name} ({row.reason})" if row.reason else f"{row.count} x {row.name}"


def _backend(chosen: Plan) -> str:
    return chosen.backend + (f" {chosen.backend_version}" if chosen.backend_version else "")


def _memory(chosen: Plan) -> str:
    """What will be taken: an engine with a pool fills its budget, whatever is asked of it."""
    budgets = [device.budget_bytes for device in chosen.estimate.per_gpu]
    reserved = sum(budget for budget in budgets if budget)
    return format_bytes(
        reserved if reserved and None not in budgets else chosen.estimate.total_bytes
    )


def _where(chosen: Plan) -> str:
    prefix = {"huggingface": "hf:", "modelscope": "ms:"}.get(chosen.source, "")
    return prefix + chosen.repo


app = single(plan)
