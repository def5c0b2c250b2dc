"""After a start that failed for a known reason: the same request with what may help changed."""

from __future__ import annotations

from dataclasses import replace

from modelscan.core.errors import ModelscanError
from modelscan.deploy.request import Request

ATTEMPTS = 2  # changed requests after the first; each takes a whole start


def next_request(request: Request, error: ModelscanError) -> tuple[Request, str] | None:
    """The request to try next and the options that make it another; None where nothing is known.

    Never the same twice: a change that the request has already is no change.
    """
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


def _grows(request: Request, context_tokens: int | None) -> bool:
    asked = request.workload.context_tokens
    return asked is not None and context_tokens is not None and context_tokens > asked


def command(request: Request, options: str) -> str:
    """The same as a command to paste."""
    name = f" --name {request.name}" if request.name else ""
    backend = f" --backend {request.workload.backend}" if request.workload.backend else ""
    return f"modelscan deploy {request.model}{backend}{name} {options}"
