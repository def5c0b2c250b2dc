"""The arguments of the tools: each field is an option of the command with the same name."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from modelscan.core.workload import Backend

_Text = Annotated[str, Meta(min_length=1, max_length=500)]
_Message = Annotated[str, Meta(max_length=20_000)]
_Port = Annotated[int, Meta(ge=1, le=65535)]
_Gibibytes = Annotated[float, Meta(gt=0, le=1_000_000)]
_Count = Annotated[int, Meta(ge=1, le=100_000_000)]

Model = Annotated[
    _Text,
    Meta(description="A catalog name (qwen3-8b), hf:ORG/REPO, ms:ORG/REPO, or a local file."),
]
Hardware = Annotated[
    _Text | None,
    Meta(description="Simulated hardware instead of this machine: 'RTX 4090', '2x H100 80GB'."),
]
DeploymentName = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="The deployment's name, as in `list`."),
]
Rows = Annotated[int, Meta(ge=1, le=200, description="At most this many rows.")]
Confirmed = Annotated[
    bool, Meta(description="True: the user agreed to exactly this. Ask the user first.")
]


class ToolArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a tool without arguments."""


class SearchArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``catalog_search``."""

    text: Annotated[str, Meta(max_length=500, description="Words to find; none: every model.")] = ""
    fits: Annotated[bool, Meta(description="Only models that fit this machine (or `gpu`).")] = False
    gpu: Hardware = None
    use: Annotated[
        _Text | None, Meta(description="Best scores first for: coding, agents, rag, vision, math.")
    ] = field(name="for", default=None)
    open_weights: Annotated[bool, Meta(description="Only downloadable weights.")] = False
    family: Annotated[_Text | None, Meta(description="For example qwen.")] = None
    license: Annotated[_Text | None, Meta(description="For example apache-2.0.")] = None
    modality: Annotated[_Text | None, Meta(description="For example text,image.")] = None
    tools: Annotated[bool, Meta(description="Only models with tool calling.")] = False
    reasoning: Annotated[bool, Meta(description="Only reasoning models.")] = False
    min_context: Annotated[_Count | _Text | None, Meta(description="Tokens, for example 32k.")] = (
        None
    )
    max_vram: Annotated[
        _Gibibytes | None, Meta(description="Only models that run in this much memory (GiB).")
    ] = None
    sort: Literal["relevance", "release", "params", "context", "downloads"] | None = None
    limit: Rows = 20


class InfoArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``catalog_info``."""

    model: Model
    gpu: Hardware = None


class GpuArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``gpu``."""

    gpu: Hardware = None


class WorkloadArguments(ToolArguments, frozen=True, kw_only=True):
    """What a model is run for."""

    model: Model
    quantization: Annotated[_Text | None, Meta(description="For example Q4_K_M, FP8.")] = None
    context: Annotated[
        _Count | _Text | None, Meta(description="Tokens of one request, e.g. 32k.")
    ] = None
    parallel: Annotated[_Count | None, Meta(description="Requests served at once.")] = None
    kv_cache: Annotated[_Text | None, Meta(description="Its type, for example q8_0.")] = None
    backend: Annotated[Backend | None, Meta(description="The engine (default: the best).")] = None
    goal: Annotated[
        Literal["quality", "speed", "context"] | None, Meta(description="What to optimize.")
    ] = None
    gpu: Hardware = None


class PlanArguments(WorkloadArguments, frozen=True, kw_only=True):
    """Of ``plan``."""

    target: Annotated[_Text | None, Meta(description="local, a cluster's name, or auto.")] = None
    everything: Annotated[bool, Meta(description="List every option that fits.")] = field(
        name="all", default=False
    )


class DeployArguments(WorkloadArguments, frozen=True, kw_only=True):
    """Of ``deploy``; ``gpu`` selects devices here ("0,1")."""

    gpu: Annotated[_Text | None, Meta(description="Indexes of GPUs to use, for example 0,1.")] = (
        None
    )
    name: Annotated[_Text | None, Meta(description="Its name (default: the model's).")] = None
    target: Annotated[_Text | None, Meta(description="local, a cluster's name, or auto.")] = None
    port: _Port | None = None
    ttl: Annotated[_Text | None, Meta(description="Sleep after this time unused: 30m.")] = None
    confirm: Confirmed = False


class NameArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``show``."""

    name: DeploymentName


class ChangeArguments(NameArguments, frozen=True, kw_only=True):
    """Of ``start`` and ``remove``."""

    confirm: Confirmed = False


class StopArguments(ChangeArguments, frozen=True, kw_only=True):
    """Of ``stop``."""

    sleep: Annotated[bool, Meta(description="A request through the gateway wakes it.")] = False


class BenchListArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``bench_list``."""

    route: _Text | None = None
    workload: _Text | None = None
    limit: Rows = 50


class ExplainArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``route_explain``."""

    name: Annotated[
        _Text | None, Meta(description="A model, alias or role (none: the default).")
    ] = None
    text: Annotated[_Message | None, Meta(description="The message, for rules on texts.")] = None


class TraceArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``trace_show``."""

    id: Annotated[_Text, Meta(description="The request's id: X-Request-Id, `trace list`.")]


class ResolveArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``registry_resolve``."""

    reference: Annotated[_Text, Meta(description="SLUG, SLUG@VERSION or SLUG@ALIAS.")]


class BoardArguments(ToolArguments, frozen=True, kw_only=True):
    """Of ``eval_board``."""

    suite: Annotated[_Text | None, Meta(description="Only this suite, for example coding.")] = None
