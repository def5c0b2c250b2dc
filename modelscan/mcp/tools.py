"""The tools: their commands, arguments, documents, and what they change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec

from modelscan.core.errors import UsageError
from modelscan.mcp.arguments import (
    BenchListArguments,
    BoardArguments,
    ChangeArguments,
    DeployArguments,
    ExplainArguments,
    GpuArguments,
    InfoArguments,
    NameArguments,
    PlanArguments,
    ResolveArguments,
    SearchArguments,
    StopArguments,
    ToolArguments,
    TraceArguments,
    WorkloadArguments,
)
from modelscan.state.bundled import schemas_dir

Effect = Literal["read", "change", "destroy"]
_LONGEST_PROBLEM = 500


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool. ``schema``: of its document; ``positional``: the fields that are no options;
    ``always``: words that every call has; ``progress``: it prints a line per event.
    """

    command: str
    schema: str
    description: str
    arguments: type[ToolArguments] = ToolArguments
    effect: Effect = "read"
    positional: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    idempotent: bool = False
    progress: bool = False

    @property
    def name(self) -> str:
        """The command with ``_`` for its spaces."""
        return self.command.replace(" ", "_")

    def parse(self, values: Mapping[str, Any]) -> ToolArguments:
        """The arguments; raises UsageError where one is unknown, missing or of the wrong kind."""
        try:
            return msgspec.convert(dict(values), self.arguments)
        except msgspec.ValidationError as error:
            fields = [one.encode_name for one in msgspec.structs.fields(self.arguments)]
            known = ", ".join(fields) or "none"
            text = f"{self.name}: {error}"[:_LONGEST_PROBLEM]
            raise UsageError(text, hint=f"arguments of {self.name}: {known}") from None

    def words(self, arguments: ToolArguments) -> list[str]:
        """The command line, without the program. Values never look like options."""
        options: list[str] = []
        operands: list[str] = []
        for one in msgspec.structs.fields(type(arguments)):
            value = getattr(arguments, one.name)
            if value in (None, False, "") or one.name == "confirm":
                continue
            if one.name in self.positional:
                operands.append(str(value))
                continue
            option = f"--{one.encode_name.replace('_', '-')}"
            options.append(option if value is True else f"{option}={value}")
        rest = ["--", *operands] if operands else []
        return [*self.command.split(), *options, *self.always, "--json", *rest]


TOOLS: tuple[ToolRow, ...] = (
    ToolRow(
        "catalog search", "catalog.search",
        "Find models: words, filters, and with `fits` only those that run on this machine.",
        SearchArguments, positional=("text",),
    ),
    ToolRow(
        "catalog info", "catalog.info",
        "Every fact about a model with its source, and whether it fits this machine.",
        InfoArguments, positional=("model",),
    ),
    ToolRow("gpu", "gpu", "The GPUs and the memory of this machine.", GpuArguments),
    ToolRow(
        "estimate", "estimate",
        "The memory that an engine allocates for a model, by part and device, in bytes.",
        WorkloadArguments, positional=("model",),
    ),
    ToolRow(
        "plan", "plan",
        "The best way to run a model here (format, engine, GPUs, context), or why there is none.",
        PlanArguments, positional=("model",),
    ),
    ToolRow("list", "list", "Every deployment with its state and memory."),
    ToolRow(
        "show", "show", "One deployment: plan, estimated and measured memory, its address.",
        NameArguments, positional=("name",),
    ),
    ToolRow("bench list", "bench.list", "Stored results of benchmarks.", BenchListArguments),
    ToolRow("route list", "route.list", "Every entry of the routing file with its state."),
    ToolRow(
        "route explain", "route.explain",
        "Where a request for a name would go, and why. Nothing is sent.",
        ExplainArguments, positional=("name",),
    ),
    ToolRow(
        "trace show", "trace.show",
        "The receipt of one request: route, reasons, tokens, cost, what left the machine.",
        TraceArguments, positional=("id",),
    ),
    ToolRow(
        "registry resolve", "registry.resolve",
        "Which weights a curated name means: version, revision, checksum, memory.",
        ResolveArguments, positional=("reference",),
    ),
    ToolRow("eval board", "eval.board", "Results of evaluations, side by side.", BoardArguments),
    ToolRow(
        "deploy", "deploy",
        "Download a model's weights where needed, run it, verify it and route to it.",
        DeployArguments, "change", positional=("model",), always=("--progress",),
        idempotent=True, progress=True,
    ),
    ToolRow(
        "start", "start", "Start a stopped deployment and wait until it answers.",
        ChangeArguments, "change", positional=("name",), idempotent=True,
    ),
    ToolRow(
        "stop", "stop", "Stop a deployment; its record and its weights are kept.",
        StopArguments, "destroy", positional=("name",), idempotent=True,
    ),
    ToolRow(
        "remove", "remove", "Stop a deployment and delete its route, logs and record.",
        ChangeArguments, "destroy", positional=("name",), always=("--yes",),
    ),
)  # fmt: skip
BY_NAME: Mapping[str, ToolRow] = {row.name: row for row in TOOLS}


@cache
def input_schema(kind: type[ToolArguments]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments. What may be left out is not called null: models and
    their servers read plain types best."""
    _, definitions = msgspec.json.schema_components([kind])
    schema = definitions[kind.__name__]
    properties = {name: _plain(value) for name, value in schema["properties"].items()}
    return {
        "type": "object",
        "properties": properties,
        "required": schema["required"],
        "additionalProperties": False,
    }


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without null as a value and as a default."""
    plain = {key: value for key, value in schema.items() if key != "anyOf"}
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        plain |= choices[0]
    elif choices:
        plain["anyOf"] = choices
    if "enum" in plain:
        plain = {"type": "string", **plain, "enum": [one for one in plain["enum"] if one]}
    return {key: value for key, value in plain.items() if (key, value) != ("default", None)}


@cache
def output_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, as it is published."""
    schema: dict[str, Any] = json.loads((schemas_dir() / f"{name}.json").read_bytes())
    return schema
