"""``modelscan plan``: the best way to run a model on this hardware, or why none exists."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Bar, Block, Document, Fields, Note, Table, Text
from modelscan.cli.export import ExportOption, export_document
from modelscan.cli.framework import single
from modelscan.cli.options import Adapter, Force, ModelArgument, SharedOptions, workload_options
from modelscan.core.errors import EXIT_NOT_DEPLOYABLE
from modelscan.core.plan import ContextTier, Decision, Missing, Plan, Refusal, RequiredHardware
from modelscan.core.units import format_bytes, format_speed, format_tokens
from modelscan.core.verdict import Verdict

if TYPE_CHECKING:
    from modelscan.core.estimate import DeviceEstimate
    from modelscan.deploy.exports.formats import ExportFormat
    from modelscan.deploy.plan_body import ModelBody
    from modelscan.deploy.planning import PlannedModel, Question

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
    gpus: Annotated[
        list[str] | None,
        typer.Option("--gpus", metavar="SPEC", help="A row for this hardware (repeatable)."),
    ] = None,
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
    export: ExportOption = None,
    adapter: Adapter = None,
) -> Document:
    """Find the best way to run a model on this hardware: format, engine, GPUs, context, flags."""
    from modelscan.deploy.planning import Question, needed_gpus, plan_model

    config = current().config
    question = Question(model, shared.workload, shared.gpu, target)
    if export is not None:
        return _export(question, export)
    if output is not None:
        return _body(question, output)
    if gpus:
        return _machines(question, gpus)
    if gpus_needed:
        return _needed(*needed_gpus(question, config))
    return document(plan_model(question, config, everything=everything), everything)


def _export(question: Question, form: ExportFormat) -> Document:
    """``--export``: the plan as a file for another tool."""
    from modelscan.deploy.exports.answers import export_plan

    exported, warnings = export_plan(question, form, current().config)
    return export_document(exported, warnings)


def _machines(question: Question, gpus: list[str]) -> Document:
    """``--gpus A --gpus B``: one row per machine; exit 3 if the model fits none of them."""
    from modelscan.deploy.planning import plan_machines
    from modelscan.models.plan_answer import PlannedMachines

    rows = plan_machines(question, gpus, current().config)
    cells = [
        (
            row.gpu, row.verdict.text, row.quantization, row.backend, row.context_tokens,
            row.total_bytes and format_bytes(row.total_bytes), format_speed(row.tokens_per_s),
            row.reason,
        )
        for row in rows
    ]  # fmt: skip
    header = ("GPUS", "VERDICT", "QUANTIZATION", "BACKEND", "CONTEXT", "TOTAL", "TOKENS/S", "WHY")
    fits = [row.gpu for row in rows if row.verdict is Verdict.FITS]
    return Document(
        "plan.machines", PlannedMachines(question.model, rows),
        [Table(header, cells, numeric=_NUMERIC)], fits,
        exit_code=0 if fits else EXIT_NOT_DEPLOYABLE,
    )  # fmt: skip


def _contexts(tiers: tuple[ContextTier, ...]) -> list[Block]:
    """Memory and speed of the plan at other context lengths."""
    if not tiers:
        return []
    rows = [
        (tier.context_tokens, format_bytes(tier.total_bytes), format_speed(tier.tokens_per_s),
         tier.verdict.text)
        for tier in tiers
    ]  # fmt: skip
    header = ("CONTEXT", "TOTAL", "TOKENS/S", "VERDICT")
    return [Note("\nat other contexts:"), Table(header, rows, numeric=header[:3])]


def _body(question: Question, form: str) -> Document:
    """``-o``: the body that ``deploy`` would send to the server, or to one with this hardware."""
    from modelscan.deploy.plan_body import body_of

    body, warnings = body_of(question, current().config)
    return Document("plan.body", body, [Text(_body_text(body, form))], [body["name"]], warnings)


def _body_text(body: ModelBody, form: str) -> str:
    if form == "json":
        return json.dumps(body, indent=2)
    import yaml

    return str(yaml.safe_dump(dict(body), sort_keys=False, allow_unicode=True)).rstrip("\n")


def document(planned: PlannedModel, everything: bool = False) -> Document:
    """A decision in every output form; exit 3 for every verdict but ``fits``."""
    from modelscan.models.plan_answer import plan_answer

    decision, warnings = planned.decision, list(planned.warnings)
    body = plan_answer(decision, planned.command)
    plan = decision.plan
    if plan is not None:
        warnings += plan.estimate.warnings
        blocks = _fits(plan, decision, everything, planned.engine)
        hint = None if everything else planned.command
        return Document("plan", body, blocks, [plan.repo], warnings, hint=hint)
    assert decision.refusal is not None
    blocks = _does_not_fit(decision.refusal, decision, everything)
    hint = decision.missing[0].command if decision.missing else planned.smaller
    return Document("plan", body, blocks, [], warnings, EXIT_NOT_DEPLOYABLE, hint=hint)


def _fits(
    choice: Plan, decision: Decision, everything: bool, engine: tuple[str, str | None] | None = None
) -> list[Block]:
    margin, reserved = choice.estimate.margin_bytes, reserved_bytes(choice)
    pairs: list[tuple[str, object]] = [
        ("model", choice.model),
        ("quantization", choice.quantization),
        ("backend", _backend(choice)),
        ("from", _where(choice)),
        ("runs on", _devices(choice)),
        ("context", _context(choice, decision.max_context_tokens)),
        ("total", f"{format_bytes(choice.estimate.total_bytes)} (± {format_bytes(margin)})"),
        *((("reserved", f"{format_bytes(reserved)} by {choice.backend}"),) if reserved else ()),
        ("flags", shlex.join(choice.parameters)),
        *((("environment", " ".join(f"{k}={v}" for k, v in choice.env.items())),)
          if choice.env else ()),
        *((("install", engine[0]),) if engine else ()),
        *((("takes", engine[1]),) if engine and engine[1] else ()),
        ("start it", start_line(choice)),
        *(("because", reason) for reason in choice.reasons),
    ]  # fmt: skip
    if everything:
        return [*_comparison((choice, *decision.alternatives)), *_rejected(decision)]
    blocks: list[Block] = [Fields(pairs), *memory_bars(choice), *_contexts(decision.contexts)]
    if decision.alternatives:
        blocks.append(Note("\nalternatives:"))
        blocks += _comparison(decision.alternatives)
    return [*blocks, *_with_missing(decision)]


def _context(choice: Plan, longest: int | None) -> str:
    """The planned context, and how far it could go with the same weights and cache."""
    text = f"{format_tokens(choice.context_tokens)} x {choice.parallel}"
    more = longest is not None and longest > choice.context_tokens
    return f"{text} (up to {format_tokens(longest)} fits)" if more else text


def start_line(choice: Plan) -> str:
    """The plan with the engine's own program, to be pasted on the machine that it is for."""
    from modelscan.engines.registry import engine

    return engine(choice.backend).start_line(choice)


def _devices(choice: Plan) -> str:
    if not choice.gpus:
        return "the CPU"
    return f"GPU {', '.join(map(str, choice.gpus))}"


def memory_bars(choice: Plan) -> list[Bar]:
    """What each device holds by purpose, and how much of it stays free."""
    estimate = choice.estimate
    devices = (*estimate.per_gpu, *((estimate.host,) if estimate.host and choice.gpus else ()))
    return [
        Bar("host" if one.index is None else f"GPU {one.index}", _purposes(one), room)
        for one in devices
        if (room := one.free_bytes or one.memory_bytes)
    ]


def _purposes(device: DeviceEstimate) -> list[tuple[str, int]]:
    parts = device.parts
    cache = device.kv_pool_bytes or parts.kv_cache_bytes + parts.recurrent_state_bytes
    rest = device.total_bytes - parts.weights_bytes - parts.kv_cache_bytes
    rest -= parts.recurrent_state_bytes
    named = (("weights", parts.weights_bytes), ("KV cache", cache), ("buffers", max(0, rest)))
    return [(name, size) for name, size in named if size]


def _with_missing(decision: Decision) -> list[Block]:
    """Plans with engines that are not installed here, and the command that installs each."""
    lines = [
        (gap.name, f"{_in_short(gap.plan)}: {_way(gap)}")
        for gap in decision.missing
        if gap.plan is not None
    ]
    return [Note("\nwith an engine that is not installed:"), Fields(lines)] if lines else []


def _way(gap: Missing) -> str:
    """What is missing, and the command with the download, time and disk that it takes."""
    if gap.download_bytes is None or gap.disk_bytes is None:
        return f"{gap.reason} ({gap.command})"
    from modelscan.supervisor.engines.offer import effort

    return f"{gap.reason} ({gap.command}: {effort(gap.download_bytes, gap.disk_bytes)})"


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
        *(("missing", _way(gap)) for gap in decision.missing if gap.plan is None),
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
    return (
        [Note("\nrejected:"), Table(("OPTION", "REASON"), rows, folded=("REASON",))] if rows else []
    )


def _needed(model: str, rows: tuple[RequiredHardware, ...]) -> Document:
    from modelscan.models.plan_answer import hardware_answer

    body = hardware_answer(model, rows)
    cells = [(f"{r.count} x {r.name}", format_bytes(r.memory_bytes), r.reason) for r in rows]
    empty = "not even eight of the largest known GPUs are enough"
    table = Table(("GPUS", "MEMORY EACH", "RUNS"), cells, numeric=("MEMORY EACH",), empty=empty)
    return Document("plan", body, [table], [f"{r.count}x {r.name}" for r in rows])


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
