"""The options of ``eval run``, and the tool policy that one of them names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.yaml_reader import YamlProblem, yaml_value
from modelscan.evals.items import SandboxKind
from modelscan.evals.report import Thinking, ToolPolicy


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
class DeniedTools:
    """A tool policy: the patterns of tool names that it denies."""

    policy: ToolPolicy
    denied: tuple[str, ...]


def read_policy(file: Path | None) -> DeniedTools:
    """A YAML file: ``name``, and ``deny``: patterns of tool names. Raises UsageError."""
    if file is None:
        return DeniedTools(ToolPolicy(), ())
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="unreadable") from error
    try:
        value = yaml_value(data.decode("utf-8", "replace"))
    except YamlProblem as error:
        raise UsageError(f"{file}: {error}", hint=error.hint) from error
    denied = value.get("deny") if isinstance(value, Mapping) else None
    if not isinstance(denied, list) or not all(isinstance(one, str) for one in denied):
        raise UsageError(
            f"{file} has no list 'deny' of tool names",
            hint=f"printf 'name: careful\\ndeny: [delete_*, send_mail]\\n' > {file}",
        )
    name = str(value.get("name") or file.stem)
    return DeniedTools(ToolPolicy(name, hashlib.sha256(data).hexdigest()), tuple(denied))
