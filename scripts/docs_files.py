"""Reference pages from types and rules: the files that people write, the kinds of failed starts."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any

from modelscan.deploy import manifest_format
from modelscan.engines.base import KINDS
from modelscan.engines.failure_rules import Advice, Rule
from modelscan.registry import policy_format
from modelscan.routing import format as routing_format
from modelscan.routing import role_format

_COMPUTED = "a change with the number that the engine names"
_ENGINES = ("llamacpp", "vllm", "sglang")
_FILES = (
    ("deployment.yaml", "deployment", manifest_format,
     ("DeploymentDocument", "DeploymentFields")),
    ("The routing file", "routing", routing_format,
     ("RoutingDocument", "RoutingFields", "DirectFields", "ProviderFields", "ProxyFields",
      "EmbeddedFields", "PortsFields", "LimitsFields", "BudgetFields")),
    ("Roles and policies of the routing file", "routing", role_format,
     ("RoleFields", "PromptFields", "PolicyFields", "SelectionFields", "AutomaticFields",
      "RuleFields")),
    ("The policies of tags", "curation", policy_format,
     ("PolicyDocument", "TagPolicyFields", "GateFields")),
)  # fmt: skip


def files_page() -> str:
    """The keys of ``deployment.yaml`` and of the routing file."""
    parts = [
        "# Files\n\nThe files that you write. Both are YAML; unknown keys, keys that occur twice, "
        "tabs and values of another kind are errors with file and line. An editor with a YAML "
        "language server completes and checks them with `# yaml-language-server: "
        "$schema=FOLDER/files/deployment.json`, or `routing.json`, where `modelscan config path` "
        "prints FOLDER (`schemas_dir`); a routing file that modelscan creates has that line.\n"
    ]
    for title, _, room, kinds in _FILES:
        parts.append(f"## {title}\n")
        parts += ["\n".join(_table(getattr(room, kind))) + "\n" for kind in kinds]
    return "\n".join(parts)


def _table(kind: type[Any]) -> Iterator[str]:
    yield f"### {kind.__name__}\n"
    yield f"{' '.join(str(kind.__doc__).split())}\n"
    yield "| key | value | meaning |"
    yield "|---|---|---|"
    for one in dataclasses.fields(kind):
        type_text = str(one.type).replace("|", "\\|")
        yield f"| `{one.name}` | `{type_text}` | {one.metadata['help']} |"


def failures_page() -> str:
    """The kinds of failed starts, with the hints of their rules."""
    rows = [f"| `{kind}` | {text} | {'<br>'.join(_hints(kind))} |" for kind, text in KINDS.items()]
    return (
        "# Failed starts\n\nWhat `deploy`, `show` and `explain LOG` say of an engine that did not "
        "start: the last error of its deepest process, whole, and a hint for its kind. An error "
        "that no rule recognises is shown without a kind.\n\n"
        "| kind | meaning | hints |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _hints(kind: str) -> list[str]:
    """The hints of the rules of a kind; those with numbers are computed from the log."""
    hints: dict[str, None] = {}
    for one in _rules():
        if one.kind == kind:
            text = one.advice.hint if isinstance(one.advice, Advice) else _COMPUTED
            hints[" ".join(text.split())] = None
    return list(hints)


def _rules() -> Iterator[Rule]:
    for name in _ENGINES:
        yield from importlib.import_module(f"modelscan.engines.{name}.failures").RULES
