"""The options of ``eval run``, and the tool policy that one of them names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.typed_reader import read_as
from modelscan.core.yaml_reader import YamlProblem, yaml_value
from modelscan.evals.items import SandboxKind
from modelscan.evals.report import Thinking, ToolPolicy
from modelscan.routing.table import ToolPolicySpec
from modelscan.routing.tool_format import ToolPolicyFields, spec_of


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """The options of ``eval run``. ``concurrency``: requests at once; None: what is served."""

    route: str
    api_key: str | None = None
    thinking: Thinking = "default"
    limit: int | None = None
    epochs: int = 1
    seed: int = 7
    temperature: float = 0.0
    max_tokens: int | None = None
    sandbox: SandboxKind | None = None
    confirmed: bool = False
    tool_policy: Path | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class ChosenPolicy:
    """A tool policy: as the receipt names it, and what it decides; None: nothing."""

    policy: ToolPolicy = field(default_factory=ToolPolicy)
    spec: ToolPolicySpec | None = None


def read_policy(file: Path | None) -> ChosenPolicy:
    """A YAML file with one policy, as in ``tool_policies`` of a routing file; its name may be left
    out. Raises UsageError."""
    if file is None:
        return ChosenPolicy()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="unreadable") from error
    try:
        value = yaml_value(data.decode("utf-8", "replace"))
    except YamlProblem as error:
        raise UsageError(f"{file}: {error}", hint=error.hint) from error
    findings: list[Finding] = []
    named = {"name": file.stem, **value} if isinstance(value, Mapping) else value
    fields = read_as(ToolPolicyFields, named, "", findings) if named else None
    if fields is None or findings:
        message = findings[0].message.strip() if findings else "it is empty"
        raise UsageError(
            f"{file} is no tool policy: {message}",
            hint=f"printf 'name: careful\\ndeny: [delete_*, send_mail]\\n' > {file}",
        )
    policy = ToolPolicy(fields.name, hashlib.sha256(data).hexdigest())
    return ChosenPolicy(policy, spec_of(fields))
