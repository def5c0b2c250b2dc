"""``modelscan plan``: the best way to run a model on this hardware, or why there is none."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Annotated, Any

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table, Text
from modelscan.cli.framework import single
from modelscan.cli.options import Force, ModelArgument, Wanted, workload_options
from modelscan.core.errors import EXIT_NOT_DEPLOYABLE
from modelscan.core.machine import Machine
from modelscan.core.plan import Decision, Plan, Refusal, RequiredHardware, ResolvedModel
from modelscan.core.units import format_bytes, format_tokens
from modelscan.core.workload import Workload
from modelscan.engines import ollama

_COLUMNS = ("QUANTIZATION", "BACKEND", "GPUS", "CONTEXT", "TOTAL", "TOKENS/S", "FROM")
_NUMERIC = ("CONTEXT", "TOTAL", "TOKENS/S")
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
    from modelscan.deploy.machine import decide_at, machine_at, place_of
    from modelscan.models.decide import gpus_needed as needed
    from modelscan.models.resolve import load_subject
    from modelscan.targets.request import derive_name

    config, wishes = current().config, wanted.workload
    subject = load_subject(model, config, wishes)
    place = place_of(target, wishes.backend, wanted.gpu, config)
    if output is not None:
        return _body(place, subject, model, wanted, output)
    name = derive_name(subject.id)
    with machine_at(place, config, wanted.gpu, name, backend=wishes.backend) as machine:
        if gpus_needed:
            return _needed(subject, needed(machine, subject, wishes))
        decision = decide_at(place, machine, subject, wishes, explain=True, everything=everything)
        decision = with_smaller(decision, subject, machine, wishes)
        if place == "local":
            decision = _with_download(decision, machine, deploy_command(model, wanted, None))
    problems = (problem.message for problem in machine.inventory.problems)
    return document(
        decision, [*subject.warnings, *problems], everything,
        command=deploy_command(model, wanted, target), smaller=_smaller(subject, wanted.gpu),
    )  # fmt: skip


def _with_download(decision: Decision, machine: Machine, command: str) -> Decision:
    """With the weights that are not on this machine yet."""
    from modelscan.deploy.machine import missing_download

    if decision.plan is None:
        return decision
    fetch = command.replace("modelscan deploy", "modelscan pull", 1)
    gap = missing_download(decision.plan, machine, current().config, fetch)
    return replace(decision, missing=(*decision.missing, gap)) if gap else decision


def with_smaller(
    decision: Decision, subject: ResolvedModel, machine: Machine, wishes: Workload
) -> Decision:
    """Where nothing fits: models of the same makers that do."""
    if decision.refusal is None:
        return decision
    from modelscan.models.smaller_alternatives import with_smaller_alternatives

    return with_smaller_alternatives(decision, subject, machine, wishes, current().config)


def deploy_command(model: str, wanted: Wanted, target: str | None) -> str:
    """The line that deploys what was planned: the same words."""
    from modelscan.deploy.command_text import command
    from modelscan.targets.request import Request

    line = command(Request(model, wanted.workload, gpu=wanted.gpu))
    return line + (f" --target {shlex.quote(target)}" if target else "")


def _body(where: str, subject: ResolvedModel, model: str, wanted: Wanted, form: str) -> Document:
    """``-o``: what ``deploy`` sends to the server, or one with this hardware would take."""
    from modelscan.deploy.plan_body import body_for, body_of_server

    if where in ("local", ollama.NAME):
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
    *,
    command: str | None = None,
    smaller: str | None = None,
) -> Document:
    """A decision in every output form; exit 3 for every verdict but ``fits``."""
    from modelscan.models.plan_answer import plan_answer

    body = plan_answer(decision, command)
    chosen = decision.plan
    if chosen is not None:
        warnings = [*warnings, *chosen.estimate.warnings]
        shown = _fits(chosen, decision, everything)
        hint = None if everything else command
        return Document("plan", body, shown, [chosen.repo], warnings, hint=hint)
    assert decision.refusal is not None
    shown = _does_not_fit(decision.refusal, decision, everything)
    hint = decision.missing[0].command if decision.missing else smaller
    return Document("plan", body, shown, [], warnings, EXIT_NOT_DEPLOYABLE, hint=hint)


def _fits(chosen: Plan, decision: Decision, everything: bool) -> list[Block]:
    margin, reserved = chosen.estimate.margin_bytes, reserved_bytes(chosen)
    pairs: list[tuple[str, object]] = [
        ("model", chosen.model),
        ("quantization", chosen.quantization),
        ("backend", _backend(chosen)),
        ("from", _where(chosen)),
        ("gpus", ",".join(map(str, chosen.gpus)) if chosen.gpus else "CPU"),
        ("context", f"{format_tokens(chosen.context_tokens)} x {chosen.parallel}"),
        ("total", f"{format_bytes(chosen.estimate.total_bytes)} (± {format_bytes(margin)})"),
        *((("reserved", f"{format_bytes(reserved)} by {chosen.backend}"),) if reserved else ()),
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
    return [*found, *_with_missing(decision)]


def _with_missing(decision: Decision) -> list[Block]:
    """What an engine that is not here would allow, and what brings it."""
    lines = [
        (gap.name, f"{_in_short(gap.plan)}: {gap.reason} ({gap.command})")
        for gap in decision.missing
        if gap.plan is not None
    ]
    return [Note("\nwith an engine that is not here:"), Fields(lines)] if lines else []


def _in_short(item: Plan) -> str:
    speed = item.estimate.speed.decode_tokens_per_s if item.estimate.speed else None
    pace = f", {speed:.3g} tokens/s" if speed else ""
    gpus = f"GPU {','.join(map(str, item.gpus))}" if item.gpus else "the CPU"
    return (
        f"{item.quantization or item.format} on {gpus}, context "
        f"{format_tokens(item.context_tokens)}{pace}"
    )


def _does_not_fit(refusal: Refusal, decision: Decision, everything: bool) -> list[Block]:
    pairs: list[tuple[str, object]] = [
        ("model", refusal.model),
        ("verdict", refusal.verdict.text),
        ("needed", refusal.needed_bytes and format_bytes(refusal.needed_bytes)),
        ("free", format_bytes(refusal.available_bytes)),
        *(("because", reason) for reason in refusal.reasons),
        *(
            ("missing", f"{gap.reason} ({gap.command})")
            for gap in decision.missing
            if gap.plan is None
        ),
        *(("would do", _hardware(row)) for row in refusal.required),
        *((("open models", ", ".join(refusal.open_models)),) if refusal.open_models else ()),
    ]
    found: list[Block] = [Fields(pairs)]
    if refusal.alternatives:
        found.append(Note("\nwhat fits here:"))
        found += _nearest(refusal)
    found += _with_missing(decision)
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
        format_bytes(item.estimate.total_bytes),
        None if speed is None else f"{speed:.3g}",
        _where(item),
    )


def _rejected(decision: Decision) -> list[Block]:
    rows = [(what, why) for what, why in decision.rejected[:_SHOWN_REJECTED]]
    return [Note("\nleft out:"), Table(("OPTION", "REASON"), rows)] if rows else []


def _needed(subject: ResolvedModel, rows: tuple[RequiredHardware, ...]) -> Document:
    from modelscan.models.plan_answer import hardware_answer

    body = hardware_answer(subject.id, rows)
    cells = [(f"{r.count} x {r.name}", format_bytes(r.memory_bytes), r.reason) for r in rows]
    empty = "none of the usual GPUs, eight at most, would do"
    table = Table(("GPUS", "MEMORY EACH", "RUNS"), cells, numeric=("MEMORY EACH",), empty=empty)
    return Document("plan", body, [table], [f"{r.count}x {r.name}" for r in rows], subject.warnings)


def _hardware(row: RequiredHardware) -> str:
    return f"{row.count} x {row.name} ({row.reason})" if row.reason else f"{row.count} x {row.name}"


def _backend(chosen: Plan) -> str:
    return chosen.backend + (f" {chosen.backend_version}" if chosen.backend_version else "")


def reserved_bytes(chosen: Plan) -> int | None:
    """What an engine with a pool sets aside, whatever is asked of it; None for other engines."""
    budgets = [device.budget_bytes for device in chosen.estimate.per_gpu]
    known = [budget for budget in budgets if budget]
    return sum(known) if known and len(known) == len(budgets) else None


def _where(chosen: Plan) -> str:
    prefix = {"huggingface": "hf:", "modelscope": "ms:"}.get(chosen.source, "")
    return prefix + chosen.repo


app = single(plan)
