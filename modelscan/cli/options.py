"""The options that estimate, plan, pull and deploy share, and their Workload.

    @workload_options
    def plan(model: ModelArgument, shared: SharedOptions) -> Document: ...

The decorator replaces the parameter ``shared`` by the options of ``_options``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import click
import typer

from modelscan.cli.context import current
from modelscan.core.errors import UsageError
from modelscan.core.units import parse_tokens
from modelscan.core.workload import BACKENDS, GOALS, MODES, SOURCES, Backend, Workload
from modelscan.engines.option_values import ranks

_VERSION = re.compile(r"[vb]?\d+(\.\d+)*([.+_-]?[a-z][\w.+-]*|[+_-][\w.+-]+)?", re.I | re.A)
_LONGEST = 4096  # characters of --param

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A catalog name, hf:ORG/REPO, ms:ORG/REPO, a .gguf file or a folder.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Deploy even if the planner rejects it.")]
Adapter = Annotated[
    list[str] | None,
    typer.Option("--adapter", metavar="PATH", help="Load this LoRA adapter (repeatable)."),
]


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """The shared options: the workload, and the text of ``--gpu``."""

    workload: Workload
    gpu: str | None


def workload_from(
    *,
    quantization: str | None = None,
    backend: str | None = None,
    backend_version: str | None = None,
    context: str | None = None,
    parallel: int | None = None,
    kv_cache: str | None = None,
    flash_attention: str | None = None,
    ubatch: int | None = None,
    embedding: bool = False,
    param: Sequence[str] | None = None,
    tensor_parallel: int | None = None,
    memory_utilization: float | None = None,
    goal: str | None = None,
    mode: str | None = None,
    source: str | None = None,
    adapters: Sequence[str] = (),
    force: bool = False,
    allow_unsafe: bool = False,
) -> Workload:
    """The Workload of the options; raises UsageError for an invalid value."""
    keys, values = kv_types(kv_cache)
    check_version(backend_version)
    ranks(tensor_parallel, None)
    parameters = tuple(engine_parameter(text) for text in param or ())
    return Workload(
        quantization=quantization,
        backend=cast("Backend | None", backend),
        backend_version=backend_version,
        context_tokens=None if context is None else parse_tokens(context),
        parallel=parallel,
        kv_cache_k=keys,
        kv_cache_v=values,
        flash_attention=flash_attention,
        ubatch=ubatch,
        embedding=True if embedding else None,
        parameters=parameters,
        tensor_parallel=tensor_parallel,
        memory_utilization=memory_utilization,
        goal=goal or current().config.goal,
        mode=mode or "standard",
        source=source,
        adapters=tuple(adapters),
        force=force,
        allow_unsafe=allow_unsafe,
    )


def with_ram(gpu: str | None, ram: str | None) -> str | None:
    """``--gpu`` with the memory of ``--ram`` in its own notation: ``RTX 4090, 64GB RAM``.

    Raises UsageError without simulated hardware or for a size that is none.
    """
    if ram is None:
        return gpu
    from modelscan.gpu.inventory import are_indices
    from modelscan.gpu.simulate import split_ram

    if gpu is None or are_indices(gpu):
        raise UsageError(
            "--ram is the host memory of simulated hardware, which --gpu names",
            hint=f"--gpu 'RTX 4090' --ram {ram}",
        )
    devices, _ = split_ram(gpu)
    spec = f"{devices}, {ram} RAM"
    if split_ram(spec)[1] is None:
        raise UsageError(f"'{ram}' is not a memory size", hint="write it like --ram 64GB")
    return spec


def kv_types(text: str | None) -> tuple[str | None, str | None]:
    """The types of keys and values in ``--kv-cache TYPE[,TYPE]``; raises UsageError otherwise."""
    if text is None:
        return None, None
    types = [part.strip().lower() for part in text.split(",")]
    if not all(types) or len(types) > 2:
        raise UsageError(
            f"'{text}' is not a cache type", hint="write --kv-cache q8_0, or f16,q8_0 for K,V"
        )
    return types[0], types[-1]


def check_version(text: str | None) -> None:
    """Raises UsageError where ``--backend-version`` is not digits, dots and a suffix."""
    if text is not None and (len(text) > 64 or not _VERSION.fullmatch(text)):
        raise UsageError(
            f"'{text[:64]}' is not a version", hint="write --backend-version 0.11.0, or 0.11.0rc1"
        )


def engine_parameter(text: str) -> tuple[str, str | None]:
    """``KEY`` or ``KEY=VALUE`` of ``--param``, with or without dashes; raises UsageError."""
    if len(text) > _LONGEST:
        raise UsageError(
            f"--param {text[:40]}… has {len(text):,} characters; the limit is {_LONGEST:,}",
            hint="write --param KEY[=VALUE]",
        )
    key, equals, value = text.strip().partition("=")
    name = key.lstrip("-").strip()
    if not name or any(character.isspace() for character in name):
        raise UsageError(f"'{text}' is not an engine option", hint="write --param KEY[=VALUE]")
    return name, value if equals else None


def _option(annotation: Any, *names: str, **settings: Any) -> Any:
    return Annotated[annotation, typer.Option(*names, **settings)]


def _choice(name: str, choices: Sequence[str], text: str) -> Any:
    kind = click.Choice(list(choices), case_sensitive=False)
    return _option(str | None, name, click_type=kind, help=text)


def _options() -> dict[str, tuple[Any, Any]]:
    """Parameter name -> (annotation, default), in the order of the help."""
    positive = {"min": 1, "metavar": "N"}
    return {
        "quantization": (_option(str | None, "--quantization", "--quant", metavar="Q",
            help="Use weights of this format, e.g. Q4_K_M, FP8, INT4."), None),
        "backend": (_choice("--backend", BACKENDS, "Use this engine."), None),
        "backend_version": (_option(str | None, "--backend-version", metavar="V",
            help="Version of the engine."), None),
        "context": (_option(str | None, "--context", metavar="TOKENS",
            help="Context length of one request, e.g. 32k."), None),
        "parallel": (_option(int | None, "--parallel", help="Requests served at once.",
            **positive), None),
        "kv_cache": (_option(str | None, "--kv-cache", metavar="TYPE[,TYPE]",
            help="Type of the KV cache, or of K,V: f16 q8_0 q4_0 fp8."), None),
        "flash_attention": (_choice("--flash-attention", ("on", "off", "auto"),
            "Use flash attention."), None),
        "ubatch": (_option(int | None, "--ubatch", help="Tokens per compute step (llama.cpp).",
            **positive), None),
        "embedding": (_option(bool, "--embedding", help="Serve as an embedding model."), False),
        "param": (_option(list[str] | None, "--param", metavar="KEY[=VALUE]",
            help="Pass an option to the engine (repeatable)."), None),
        "tensor_parallel": (_option(int | None, "--tensor-parallel",
            help="Split each layer over N GPUs.", **positive), None),
        "gpu": (_option(str | None, "--gpu", metavar="SPEC",
            help="Simulated hardware ('2x H100 80GB', '24GiB') or device indices (0,1)."), None),
        "ram": (_option(str | None, "--ram", metavar="SIZE",
            help="Host memory of the simulated hardware, e.g. 64GB (default: by class)."), None),
        "memory_utilization": (_option(float | None, "--memory-utilization", min=0.05, max=1.0,
            metavar="F", help="Share of each GPU's memory that the engine may use."), None),
        "goal": (_choice("--goal", GOALS, "What to optimize (default: quality)."), None),
        "mode": (_choice("--mode", MODES, "Optimize for throughput or latency."), None),
        "source": (_choice("--source", SOURCES, "Use weights from this source."), None),
        "allow_unsafe": (_option(bool, "--allow-unsafe",
            help="Accept pickle files and repository code, which can run anything."), False),
    }  # fmt: skip


def workload_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a command's parameter ``shared: SharedOptions`` by the shared options.

    ``force`` and ``adapter``, where the command declares them, are part of the workload as well.
    """
    options = _options()

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        texts = {name: values.pop(name) for name in options}
        gpu = with_ram(texts.pop("gpu"), texts.pop("ram"))
        workload = workload_from(
            **texts, force=bool(values.get("force")), adapters=values.get("adapter") or ()
        )
        return function(shared=SharedOptions(workload, gpu), **values)

    parameters = inspect.signature(function, eval_str=True).parameters.values()
    kept = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters if p.name != "shared"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]
    del vars(command)["__wrapped__"]  # so that Typer reads the new signature
    vars(command)["__signature__"] = inspect.Signature([*kept, *added])
    command.__annotations__ = {p.name: p.annotation for p in [*kept, *added]}
    return command
