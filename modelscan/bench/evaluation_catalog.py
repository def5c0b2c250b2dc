"""GenieHive's evaluation catalogs: each of their workloads as a workload of this program. Pure.

A catalog has several workloads for roles, each with cases, checks and a minimum pass rate. The
models that a catalog describes are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest

SCHEMA = "geniehive.evaluation.catalog.v1"
_TOKENS = 120  # of an answer, where a case states no limit
_SYSTEM = "Return only the requested answer."  # where a workload states no prompt
_KEYS = frozenset((
    "workload_id", "role_ids", "dataset_revision", "evaluator", "risk_class", "minimum_pass_rate",
    "hard_failures", "system_prompt", "chat_template_kwargs", "cases",
))  # fmt: skip
_CASE_KEYS = frozenset(
    ("case_id", "prompt", "max_completion_tokens", "checks", "adversarial", "boundary")
)


def is_catalog(value: Any) -> bool:
    """Whether a document is such a catalog."""
    return isinstance(value, Mapping) and value.get("schema_version") == SCHEMA


def chosen_workload(catalog: Mapping[str, Any], name: str | None, where: str) -> dict[str, Any]:
    """A workload of a catalog in the form of a workload file; ``name`` None: its only one.

    Raises UsageError with the names for another one, and for what cannot be done as it is written.
    """
    rows = [one for one in catalog.get("workloads") or () if isinstance(one, Mapping)]
    names = [str(one.get("workload_id")) for one in rows]
    if name is None and len(rows) == 1:
        return _workload(rows[0], where)
    if name is None or name not in names:
        near = nearest(name or "", names) or names
        what = f"has no workload '{name}'" if name else f"has {len(names)} workloads"
        raise UsageError(
            f"{where} {what}: {', '.join(names) or 'it has none'}",
            hint=f"modelscan bench run ROUTE --workload '{where}#{near[0]}'" if near else None,
            code="unknown_workload",
        )
    return _workload(rows[names.index(name)], where)


def _workload(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    _known(row, _KEYS, where)
    switches = row.get("chat_template_kwargs") or {}
    if switches not in ({}, {"enable_thinking": False}):
        raise UsageError(
            f"{where}: chat_template_kwargs can only be {{enable_thinking: false}}",
            code="bad_workload",
        )
    cases = row.get("cases")
    return {
        "name": row.get("workload_id"),
        "description": _description(row),
        "system": row.get("system_prompt", _SYSTEM),
        "minimum_pass_rate": row.get("minimum_pass_rate", 0.8),
        "cases": [_case(one, where) for one in cases] if isinstance(cases, list) else cases,
        **({"thinking": "off"} if switches else {}),
    }


def _description(row: Mapping[str, Any]) -> str:
    roles = ", ".join(map(str, row.get("role_ids") or ())) or "no role"
    return f"{row.get('dataset_revision') or 'no revision'}, for {roles}"


def _case(row: Any, where: str) -> Any:
    if not isinstance(row, Mapping):
        return row
    _known(row, _CASE_KEYS, where)
    return {
        "id": row.get("case_id"),
        "prompt": row.get("prompt"),
        "max_tokens": row.get("max_completion_tokens", _TOKENS),
        "checks": row.get("checks", [{"kind": "nonempty"}]),
    }


def _known(row: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    unknown = sorted(str(key) for key in row if key not in keys)
    if unknown:
        raise UsageError(f"{where}: unknown key '{unknown[0]}'", code="bad_workload")
