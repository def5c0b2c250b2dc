"""After a start that failed for a known reason: the next best plan.

What the engine itself says would fit comes first. Where it only says that memory ran out, or that
it does not know the model or its format, the planner is asked again: for smaller weights, another
format, another engine.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import Subject
from modelscan.core.workload import Workload
from modelscan.formats.quantization import bits_per_weight, canonical
from modelscan.state.config import Config
from modelscan.supervisor.launch.registry import LAUNCHERS
from modelscan.targets.request import Request

ATTEMPTS = 2  # changed requests after the first; each takes a whole start
_SMALLER = 0.9  # of what did not fit: less of a difference would fail again
_LEAST_CONTEXT = 2048


def next_request(
    request: Request,
    error: ModelscanError,
    config: Config | None = None,
    first: Request | None = None,
) -> tuple[Request, str] | None:
    """The request to try next and the options that make it another; None where nothing is known.

    Never the same twice: a change that the request has already is no change. Without ``config``
    only what the engine said is used. ``first``: what the user asked, where ``request`` is a change
    of ours already.
    """
    said = _as_said(request, error)
    if said is not None or config is None:
        return said
    failed = error.details.get("plan")
    if not failed or request.target != "local":
        return None
    asked = (first or request).workload.quantization
    wishes = replace(request, workload=replace(request.workload, quantization=asked))
    return _replanned(wishes, str(error.details.get("kind")), failed, config)


def _as_said(request: Request, error: ModelscanError) -> tuple[Request, str] | None:
    options = [str(word) for word in error.details.get("retry") or ()]
    wanted = request.workload
    for name, value in zip(options[::2], options[1::2], strict=False):
        if name == "--context":
            wanted = replace(wanted, context_tokens=int(value))
        elif name == "--memory-utilization":
            wanted = replace(wanted, memory_utilization=float(value))
        elif name == "--param":
            key, _, setting = value.partition("=")
            wanted = replace(wanted, parameters=(*wanted.parameters, (key, setting or None)))
    if wanted == request.workload or _grows(request, wanted.context_tokens):
        return None
    return replace(request, workload=wanted, replace=True), " ".join(options)


def _replanned(
    request: Request, kind: str, failed: Mapping[str, Any], config: Config
) -> tuple[Request, str] | None:
    """The first change that this machine has a plan for."""
    from modelscan.models.resolve import load_deployable
    from modelscan.state.store import Store
    from modelscan.targets.local.plan import plan_here

    try:
        subject = load_deployable(request.model, config, request.workload)
    except ModelscanError:
        return None
    for wanted, options in _changes(kind, request.workload, failed, subject):
        changed = replace(request, workload=wanted, replace=True)
        try:
            with Store.look(config.paths.store_file) as store:
                plan = plan_here(failed["name"], subject, changed, config, store)
        except ModelscanError:
            continue
        if kind != "memory" or plan.estimate.total_bytes < _SMALLER * failed["total_bytes"]:
            return changed, options
    return None


def _changes(
    kind: str, asked: Workload, failed: Mapping[str, Any], subject: Subject
) -> Iterator[tuple[Workload, str]]:
    """What may help, best first; nothing that the user asked for is taken back."""
    if kind == "memory":
        yield from _formats(asked, failed, subject, smaller=True)
        half = int(failed["context_tokens"] or 0) // 2
        if half >= _LEAST_CONTEXT:
            yield replace(asked, context_tokens=half), f"--context {half}"
    elif kind == "quantization":
        yield from _formats(asked, failed, subject, smaller=False)
    if kind in ("quantization", "architecture") and not (asked.backend or asked.parameters):
        for name in LAUNCHERS:
            if name != failed["backend"]:
                yield replace(asked, backend=name), f"--backend {name}"


def _formats(
    asked: Workload, failed: Mapping[str, Any], subject: Subject, *, smaller: bool
) -> Iterator[tuple[Workload, str]]:
    """The model's other formats, most bits first; of them only those with fewer bits."""
    if asked.quantization is not None:
        return
    tried = failed["quantization"]
    limit = bits_per_weight(tried) or 16.0
    names = dict.fromkeys(c.variant.quantization for c in subject.candidates)
    sized = [(bits_per_weight(name) or 0.0, name) for name in names if name]
    for bits, name in sorted(sized, reverse=True):
        if canonical(name) != canonical(tried) and (bits < limit or not smaller):
            yield replace(asked, quantization=name), f"--quantization {name}"


def _grows(request: Request, context_tokens: int | None) -> bool:
    asked = request.workload.context_tokens
    return asked is not None and context_tokens is not None and context_tokens > asked


def command(request: Request, options: str) -> str:
    """The same as a command to paste: what was asked for, with the change over it."""
    wanted = request.workload
    asked = [
        ("--backend", wanted.backend), ("--quantization", wanted.quantization),
        ("--context", wanted.context_tokens), ("--parallel", wanted.parallel),
        ("--tensor-parallel", wanted.tensor_parallel),
        ("--memory-utilization", wanted.memory_utilization),
        *(("--adapter", name) for name in wanted.adapters),
        *(("--param", key if value is None else f"{key}={value}")
          for key, value in wanted.parameters),
        ("--gpu", request.gpu), ("--name", request.name), ("--port", request.port),
    ]  # fmt: skip
    changed = options.split()
    words = ["modelscan", "deploy", request.model]
    for flag, value in asked:
        repeatable = flag in ("--param", "--adapter")
        if value is not None and (repeatable or flag not in changed):
            words += [flag, str(value)]
    words += ["--allow-unsafe"] if wanted.allow_unsafe else []
    words += ["--force"] if wanted.force else []
    return " ".join([*map(shlex.quote, words), options])
