"""Whether a catalog recipe applies to a device: vendor, compute capability, variant. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.gpu import Gpu

_CLAUSE = re.compile(r"^(>=|<=|==|!=|>|<|~=)?\s*(\d+(?:\.\d+)*)$")


def reject(filters: Mapping[str, Any], gpu: Gpu) -> str | None:
    """Why the recipe does not apply to this device; None if it applies."""
    vendors = filters.get("vendor")
    if vendors is not None:
        names = [vendors] if isinstance(vendors, str) else [str(name) for name in vendors]
        if gpu.vendor not in [name.lower() for name in names]:
            return f"the recipe is for {' or '.join(names)}, {gpu.name} is {gpu.vendor}"
    required = filters.get("compute_capability")
    if required is not None:
        if gpu.compute_capability is None:
            return f"the recipe needs compute capability {required}, that of {gpu.name} is unknown"
        if not satisfies(gpu.compute_capability, str(required)):
            return f"compute capability {gpu.compute_capability} is not {required}"
    variant = filters.get("vendor_variant")
    if variant is not None and str(variant).lower() not in gpu.name.lower():
        return f"the recipe is for {variant}, not for {gpu.name}"
    return None


def satisfies(version: str, specifier: str) -> bool:
    """``8.9`` against ``>=8.9,<10``: compared number by number, so 10.0 is above 9.0."""
    clauses = [clause.strip() for clause in specifier.split(",") if clause.strip()]
    return all(_clause(version, clause) for clause in clauses)


def _clause(version: str, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    if not match:
        return False
    left, right = _numbers(version), _numbers(match[2])
    width = max(len(left), len(right))
    left, right = left + (0,) * (width - len(left)), right + (0,) * (width - len(right))
    return {
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
        "==": left == right,
        "!=": left != right,
        "~=": left >= right and left[0] == right[0],
    }[match[1] or "=="]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
