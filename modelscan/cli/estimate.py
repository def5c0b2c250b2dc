"""``modelscan estimate``: how much memory a model takes, itemised per device."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Table
from modelscan.cli.framework import single
from modelscan.cli.options import ModelArgument, Wanted, workload_options
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import GIB, format_bytes, format_tokens

_PARTS = tuple(field.name for field in fields(Parts))


@workload_options
def estimate(
    model: ModelArgument,
    wanted: Wanted,
    exact: Annotated[
        bool, typer.Option("--exact", help="Ask llama.cpp itself (needs xllamacpp).")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Past estimates of MODEL beside what was measured.")
    ] = False,
) -> Document:
    """How much memory a model takes: weights, cache, buffers, per device."""
    if history:
        from modelscan.cli.history import history_document

        return history_document(model)
    from modelscan.deploy.planning import Question, estimate_model

    question = Question(model, wanted.workload, wanted.gpu)
    answer, warnings = estimate_model(question, current().config, exact=exact)
    return document(answer, list(warnings))


def document(found: Estimate, warnings: list[str]) -> Document:
    """An estimate in every output form."""
    return Document("estimate", found, blocks(found), [str(found.total_bytes)], warnings)


def blocks(found: Estimate) -> list[Block]:
    """For people: what was counted, then bytes by part and device."""
    version = f" {found.backend_version}" if found.backend_version else ""
    pairs: list[tuple[str, object]] = [
        ("model", found.model),
        ("quantization", found.quantization),
        ("backend", found.backend + version),
        ("context", f"{format_tokens(found.context_tokens)} x {found.parallel}"),
        ("total", f"{format_bytes(found.total_bytes)} (± {format_bytes(found.margin_bytes)})"),
        ("verdict", _verdict(found)),
        ("capacity", _capacity(found)),
        ("speed", _speed(found)),
        ("basis", found.basis),
    ]
    lines = [("assuming", text) for text in found.assumptions]
    return [Fields([*pairs, *lines]), parts_table(found)]


def _verdict(found: Estimate) -> str | None:
    if found.verdict is None:
        return None
    return found.verdict.text + (" (within the margin)" if found.within_margin else "")


def _capacity(found: Estimate) -> str | None:
    if found.kv_capacity_tokens is None:
        return None
    several = found.max_concurrency
    many = f", {several:.1f} requests of full length" if several is not None else ""
    return f"{found.kv_capacity_tokens} tokens{many}"


def _speed(found: Estimate) -> str | None:
    speed = found.speed
    if speed is None or speed.decode_tokens_per_s is None:
        return None
    text = f"{speed.decode_tokens_per_s:.3g} tokens/s"
    if speed.low is not None and speed.high is not None:
        text += f" ({speed.low:.3g} to {speed.high:.3g})"
    if speed.prefill_tokens_per_s is not None:
        text += f", prompt {speed.prefill_tokens_per_s:.3g} tokens/s"
    return f"{text}; {speed.basis}"


def parts_table(found: Estimate) -> Table:
    """One row per part in GiB, one column per device."""
    devices = _devices(found)
    header = (
        ["PART", "GIB", *(name for name, _ in devices)] if len(devices) > 1 else ["PART", "GIB"]
    )
    rows: list[list[object]] = []
    for part in _PARTS:
        value = getattr(found.parts, part)
        if value:
            rows.append([part.removesuffix("_bytes"), _gib(value), *_each(devices, part)])
    rows.append(["total", _gib(found.total_bytes), *_each(devices, "total_bytes")])
    if any(device.free_bytes is not None for _, device in devices):
        free = [_gib(device.free_bytes) for _, device in devices]
        rows.append(["free", *(free if len(devices) == 1 else ["", *free])])
    return Table(header, rows, numeric=header[1:])


def _devices(found: Estimate) -> list[tuple[str, DeviceEstimate]]:
    devices = [(f"GPU {device.index}", device) for device in found.per_gpu]
    if found.host is not None and (found.host.total_bytes or not devices):
        devices.append(("HOST", found.host))
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
