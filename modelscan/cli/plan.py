"""``modelscan plan``: the best way to run a model on this hardware, or why none exists."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table, Text
from modelscan.cli.framework import single
from modelscan.cli.options import Force, ModelArgument, SharedOptions, workload_options
from modelscan.core.errors import EXIT_NOT_DEPLOYABLE
from modelscan.core.machine import Machine
from modelscan.core.plan import Decision, Plan, Refusal, RequiredHardware, ResolvedModel
from modelscan.core.units import format_bytes, format_speed, format_tokens
from modelscan.core.workload import Workload
from modelscan.engines import ollama

if TYPE_CHECKING:
    from modelscan.deploy.plan_body import ModelBody

_COLUMNS = ("QUANTIZATION", "BACKEND", "GPUS", "CONTEXT", "TOTAL", "TOKENS/S", "FROM")
_NUMERIC = ("CONTEXT", "TOTAL", "TOKENS/S")
_SHOWN_REJECTED = 40


@workload_options
def plan(
    model: ModelArgument,
    shared: SharedOptions,
    everything: Annotated[
        bool, typer.Option("--all", help="List every option that fits, and why the others do not.")
    ] = False,
    gpus_needed: Annotated[
        bool,
        typer.Option("--gpus-needed", help="List the smallest hardware for each quantization."),
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
    """Find the best way to run a model on this hardware: format, engine, GPUs, context, flags."""
    from modelscan.deploy.machine import decide_at, machine_at, place_of
    from modelscan.models.decide import gpus_needed as needed
    from modelscan.models.resolve import load_subject
    from modelscan.targets.request import derive_name

    config, wishes = current().config, shared.workload
    subject = load_subject(model, config, wishes)
    place = place_of(target, wishes.backend, shared.gpu, config)
    if output is not None:
        return _body(place, subject, model, shared, output)
    name = derive_name(subject.id)
    with machine_at(place, config, shared.gpu, name, backend=wishes.backend) as machine:
        if gpus_needed:
            return _needed(subject, needed(machine, subject, wishes))
        decision = decide_at(place, machine, subject, wishes, explain=True, everything=everything)
        decision = with_smaller(decision, subject, machine, wishes)
        if place == "local":
            decision = _with_download(decision, machine, deploy_command(model, shared, None))
    problems = (problem.message for problem in machine.inventory.problems)
    return document(
        decision, [*subject.warnings, *problems], everything,
        command=deploy_command(model, shared, target), smaller=_smaller(subject, shared.gpu),
    )  # fmt: skip


def _with_download(decision: Decision, machine: Machine, command: str) -> Decision:
    """The decision with the weights that this machine lacks among ``missing``."""
    from modelscan.deploy.machine import missing_download

    if decision.plan is None:
        return decision
    fetch = command.replace("modelscan deploy", "modelscan pull", 1)
    gap = missing_download(decision.plan, machine, current().config, fetch)
    return replace(decision, missing=(*decision.missing, gap)) if gap else decision


def with_smaller(
    decision: Decision, subject: ResolvedModel, machine: Machine, wishes: Workload
) -> Decision:
    """A refusal with smaller models of the same makers that fit."""
    if decision.refusal is None:
        return decision
    from modelscan.models.smaller_alternatives import with_smaller_alternatives

    return with_smaller_alternatives(decision, subject, machine, wishes, current().config)


def deploy_command(model: str, shared: SharedOptions, target: str | None) -> str:
    """The ``deploy`` command with the same options."""
    from modelscan.deploy.retry import command
    from modelscan.targets.request import Request

    line = command(Request(model, shared.workload, gpu=shared.gpu))
    return line + (f" --target {shlex.quote(target)}" if target else "")


def _body(
    where: str, subject: ResolvedModel, model: str, shared: SharedOptions, form: str
) -> Document:
    """``-o``: the body that ``deploy`` would send to the server, or to one with this hardware."""
    from modelscan.deploy.plan_body import body_for, body_of_server

    if where in ("local", ollama.NAME):
        from modelscan.gpu.inventory import inventory

        body = body_for(subject, inventory(shared.gpu), shared.workload)
    else:
        body = body_of_server(where, model, shared.workload, shared.gpu, current().config)
    return Document("plan.body", body, [Text(_body_text(body, form))], [body["name"]],
                    subject.warnings)  # fmt: skip


def _body_text(body: ModelBody, form: str) -> str:
    if form == "json":
        return json.dumps(body, indent=2)
    import yaml

    return str(yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True)).rstrip("\n")


def _smaller(subject: ResolvedModel, gpu: str | None) -> str | None:
    """The command that lists models of the same makers that fit."""
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
    choice = decision.plan
    if choice is not None:
        warnings = [*warnings, *choice.estimate.warnings]
        blocks = _fits(choice, decision, everything)
        hint = None if everything else command
        return Document("plan", body, blocks, [choice.repo], warnings, hint=hint)
    assert decision.refusal is not None
    blocks = _does_not_fit(decision.refusal, decision, everything)
    hint = decision.missing[0].command if decision.missing else smaller
    return Document("plan", body, blocks, [], warnings, EXIT_NOT_DEPLOYABLE, hint=hint)


def _fits(choice: Plan, decision: Decision, everything: bool) -> list[Block]:
    margin, reserved = choice.estimate.margin_bytes, reserved_bytes(choice)
    pairs: list[tuple[str, object]] = [
        ("model", choice.model),
        ("quantization", choice.quantization),
        ("backend", _backend(choice)),
        ("from", _where(choice)),
        ("gpus", ",".join(map(str, choice.gpus)) if choice.gpus else "CPU"),
        ("context", f"{format_tokens(choice.context_tokens)} x {choice.parallel}"),
        ("total", f"{format_bytes(choice.estimate.total_bytes)} (± {format_bytes(margin)})"),
        *((("reserved", f"{format_bytes(reserved)} by {choice.backend}"),) if reserved else ()),
        ("flags", shlex.join(choice.parameters)),
        *((("environment", " ".join(f"{k}={v}" for k, v in choice.env.items())),)
          if choice.env else ()),
        *(("because", reason) for reason in choice.reasons),
    ]  # fmt: skip
    if everything:
        return [*_comparison((choice, *decision.alternatives)), *_rejected(decision)]
    blocks: list[Block] = [Fields(pairs)]
    if decision.alternatives:
        blocks.append(Note("\nalternatives:"))
        blocks += _comparison(decision.alternatives)
    return [*blocks, *_with_missing(decision)]


def _with_missing(decision: Decision) -> list[Block]:
    """Plans with engines that are not installed here, and the command that installs each."""
    lines = [
        (gap.name, f"{_in_short(gap.plan)}: {gap.reason} ({gap.command})")
        for gap in decision.missing
        if gap.plan is not None
    ]
    return [Note("\nwith an engine that is not installed:"), Fields(lines)] if lines else []


def _in_short(item: Plan) -> str:
    speed = item.estimate.speed.decode_tokens_per_s if item.estimate.speed else None
    pace = f", {format_speed(speed)} tokens/s" if speed else ""
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
        *(("would fit", _hardware(row)) for row in refusal.required),
        *((("open models", ", ".join(refusal.open_models)),) if refusal.open_models else ()),
    ]
    blocks: list[Block] = [Fields(pairs)]
    if refusal.alternatives:
        blocks.append(Note("\nthese fit:"))
        blocks += _nearest(refusal)
    blocks += _with_missing(decision)
    return [*blocks, *(_rejected(decision) if everything else ())]


def _comparison(plans: tuple[Plan, ...]) -> list[Block]:
    return [Table(_COLUMNS, [_row(item) for item in plans], numeric=_NUMERIC)]


def _nearest(refusal: Refusal) -> list[Block]:
    """The plans that fit, with the model's id where it is another model."""
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
        item.context_tokens,
        format_bytes(item.estimate.total_bytes),
        format_speed(speed),
        _where(item),
    )


def _rejected(decision: Decision) -> list[Block]:
    rows = [(what, why) for what, why in decision.rejected[:_SHOWN_REJECTED]]
    return [Note("\nrejected:"), Table(("OPTION", "REASON"), rows)] if rows else []


def _needed(subject: ResolvedModel, rows: tuple[RequiredHardware, ...]) -> Document:
    from modelscan.models.plan_answer import hardware_answer

    body = hardware_answer(subject.id, rows)
    cells = [(f"{r.count} x {r.name}", format_bytes(r.memory_bytes), r.reason) for r in rows]
    empty = "not even eight of the largest known GPUs are enough"
    table = Table(("GPUS", "MEMORY EACH", "RUNS"), cells, numeric=("MEMORY EACH",), empty=empty)
    return Document("plan", body, [table], [f"{r.count}x {r.name}" for r in rows], subject.warnings)


def _hardware(row: RequiredHardware) -> str:
    return f"{row.count} x {row.name} ({row.reason})" if row.reason else f"{row.count} x {row.name}"


def _backend(choice: Plan) -> str:
    return choice.backend + (f" {choice.backend_version}" if choice.backend_version else "")


def reserved_bytes(choice: Plan) -> int | None:
    """The bytes that an engine with a memory pool reserves at start; None for other engines."""
    budgets = [device.budget_bytes for device in choice.estimate.per_gpu]
    sizes = [budget for budget in budgets if budget]
    return sum(sizes) if sizes and len(sizes) == len(budgets) else None


def _where(choice: Plan) -> str:
    prefix = {"huggingface": "hf:", "modelscope": "ms:"}.get(choice.source, "")
    return prefix + choice.repo


app = single(plan)
