"""``modelscan estimate``: the memory that a model needs, by part and device."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Table
from modelscan.cli.framework import single
from modelscan.cli.options import Adapter, ModelArgument, SharedOptions, workload_options
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import GIB, format_bytes, format_speed, format_tokens
from modelscan.core.verdict import Verdict

if TYPE_CHECKING:
    from modelscan.core.plan import ContextTier, Sizes
    from modelscan.models.plan_answer import ContextCurves

_PARTS = tuple(field.name for field in fields(Parts))


@workload_options
def estimate(
    model: ModelArgument,
    shared: SharedOptions,
    exact: Annotated[
        bool, typer.Option("--exact", help="Measure with llama.cpp's dry run (requires xllamacpp).")
    ] = False,
    contexts: Annotated[
        bool,
        typer.Option("--contexts", help="Context against memory for each type of KV cache."),
    ] = False,
    files: Annotated[
        bool,
        typer.Option("--files", help="Every published file: memory, quality, speed, and its fit."),
    ] = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="Compare past estimates of MODEL with measured memory."),
    ] = False,
    adapter: Adapter = None,
) -> Document:
    """Estimate the memory that a model needs: weights, cache and buffers, per device."""
    if history:
        from modelscan.cli.history import history_document

        return history_document(model)
    from modelscan.deploy.planning import Question, estimate_model

    question = Question(model, shared.workload, shared.gpu)
    if contexts:
        from modelscan.deploy.planning import context_curves

        return curves(context_curves(question, current().config))
    if files:
        from modelscan.deploy.planning import size_model

        sized = size_model(question, current().config)
        return file_table(sized.sizes, list(sized.warnings))
    answer, warnings = estimate_model(question, current().config, exact=exact)
    return document(answer, list(warnings))


def document(answer: Estimate, warnings: list[str]) -> Document:
    """An estimate in every output form."""
    return Document("estimate", answer, blocks(answer), [str(answer.total_bytes)], warnings)


def curves(answer: ContextCurves) -> Document:
    """The curves of ``--contexts``: a row per context, a column per type of KV cache."""
    lengths = sorted({point.context_tokens for curve in answer.curves for point in curve.points})
    totals = [{p.context_tokens: p for p in curve.points} for curve in answer.curves]
    rows = [[tokens, *(_total(points.get(tokens)) for points in totals)] for tokens in lengths]
    header = ["CONTEXT", *(curve.kv_cache.upper() for curve in answer.curves)]
    pairs: list[tuple[str, object]] = [
        ("model", answer.model),
        ("quantization", answer.quantization),
        ("backend", answer.backend),
        ("free", answer.free_bytes and format_bytes(answer.free_bytes)),
    ]
    table = Table(header, rows, numeric=header)
    return Document("estimate.contexts", answer, [Fields(pairs), table], [answer.model])


_STATES = {"fits": "fits", "tight": "tight", "too_big": "too big"}


def file_table(answer: Sizes, warnings: list[str]) -> Document:
    """The files of ``--files``, the best quality first."""
    rows = [
        (
            one.quantization or one.format, one.runs.engine,
            one.estimate and format_bytes(one.estimate.total_bytes),
            _STATES[one.estimate.state] if one.estimate else "cannot run" if not one.runs.ok
            else None,
            (one.perplexity_percent is not None and f"{one.perplexity_percent:.3g} %") or None,
            format_speed(one.estimate.tokens_per_s) if one.estimate else None,
            one.repo if one.runs.ok else one.runs.reason,
        )
        for one in answer.files
    ]  # fmt: skip
    header = ("FILE", "ENGINE", "TOTAL", "FIT", "LOSS", "TOKENS/S", "FROM")
    pairs: list[tuple[str, object]] = [
        ("model", answer.model),
        ("on", answer.where),
        ("context", format_tokens(answer.context_tokens)),
        ("longest", answer.max_context_tokens and format_tokens(answer.max_context_tokens)),
    ]
    table = Table(header, rows, numeric=("TOTAL", "LOSS", "TOKENS/S"), folded=("FROM",),
                  empty="no file of this model is known")  # fmt: skip
    return Document("sizes", answer, [Fields(pairs), table], [answer.model], warnings)


def _total(point: ContextTier | None) -> str | None:
    if point is None:
        return None
    text = format_bytes(point.total_bytes)
    return text if point.verdict is Verdict.FITS else f"{text} (no)"


def blocks(answer: Estimate) -> list[Block]:
    """What was estimated, then memory by part and device."""
    version = f" {answer.backend_version}" if answer.backend_version else ""
    pairs: list[tuple[str, object]] = [
        ("model", answer.model),
        ("quantization", answer.quantization),
        ("backend", answer.backend + version),
        ("context", f"{format_tokens(answer.context_tokens)} x {answer.parallel}"),
        ("total", f"{format_bytes(answer.total_bytes)} (± {format_bytes(answer.margin_bytes)})"),
        ("verdict", _verdict(answer)),
        ("capacity", _capacity(answer)),
        ("speed", _speed(answer)),
        ("basis", answer.basis),
    ]
    lines = [("assumption", text) for text in answer.assumptions]
    return [Fields([*pairs, *lines]), parts_table(answer)]


def _verdict(answer: Estimate) -> str | None:
    if answer.verdict is None:
        return None
    return answer.verdict.text + (" (within the margin)" if answer.within_margin else "")


def _capacity(answer: Estimate) -> str | None:
    if answer.kv_capacity_tokens is None:
        return None
    several = answer.max_concurrency
    many = f", {several:.1f} requests of full length" if several is not None else ""
    return f"{answer.kv_capacity_tokens:,} tokens{many}"


def _speed(answer: Estimate) -> str | None:
    speed = answer.speed
    if speed is None or speed.decode_tokens_per_s is None:
        return None
    text = f"{format_speed(speed.decode_tokens_per_s)} tokens/s"
    if speed.low is not None and speed.high is not None:
        text += f" ({format_speed(speed.low)} to {format_speed(speed.high)})"
    if speed.prefill_tokens_per_s is not None:
        text += f", prompt {format_speed(speed.prefill_tokens_per_s)} tokens/s"
    return f"{text}; {speed.basis}"


def parts_table(answer: Estimate) -> Table:
    """One row per part in GiB, one column per device."""
    devices = _devices(answer)
    header = (
        ["PART", "GIB", *(name for name, _ in devices)] if len(devices) > 1 else ["PART", "GIB"]
    )
    rows: list[list[object]] = []
    for part in _PARTS:
        value = getattr(answer.parts, part)
        if value:
            rows.append([part.removesuffix("_bytes"), _gib(value), *_each(devices, part)])
    rows.append(["total", _gib(answer.total_bytes), *_each(devices, "total_bytes")])
    if any(device.free_bytes is not None for _, device in devices):
        free = [_gib(device.free_bytes) for _, device in devices]
        rows.append(["free", *(free if len(devices) == 1 else ["", *free])])
    return Table(header, rows, numeric=header[1:])


def _devices(answer: Estimate) -> list[tuple[str, DeviceEstimate]]:
    devices = [(f"GPU {device.index}", device) for device in answer.per_gpu]
    if answer.host is not None and (answer.host.total_bytes or not devices):
        devices.append(("HOST", answer.host))
    return devices


def _each(devices: list[tuple[str, DeviceEstimate]], part: str) -> list[object]:
    if len(devices) < 2:
        return []
    return [
        _gib(device.total_bytes if part == "total_bytes" else getattr(device.parts, part))
        for _, device in devices
    ]


def _gib(value: int | None) -> str | None:
    return None if value is None else f"{value / GIB:.3f}"


app = single(estimate)
