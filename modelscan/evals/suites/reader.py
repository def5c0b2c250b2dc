"""Reads the data files of the suites, which are part of the package."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modelscan.core.yaml_reader import yaml_value
from modelscan.evals.items import EvalItem, EvalSuite

_QUOTES = "`'\"* \u2018\u2019\u201c\u201d\u00ab\u00bb"
FOLDER = Path(__file__).parent / "data"


@functools.cache
def read_data(name: str) -> dict[str, Any]:
    """The content of ``data/NAME.yaml``."""
    data: dict[str, Any] = yaml_value((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


def suite_of(data: dict[str, Any], items: Iterable[EvalItem]) -> EvalSuite:
    """The suite with the head of its data file."""
    head = (data["name"], data["version"], data["system"], data["max_tokens"])
    return EvalSuite(*head, tuple(items))


def one_line(text: str) -> str:
    """An answer of one value: without fences, quotation marks, a closing full stop and case."""
    lines = [line.strip() for line in text.strip().splitlines()]
    lines = [line for line in lines if line and not line.startswith("```")]
    if len(lines) != 1:
        return ""
    return lines[0].strip(_QUOTES).removesuffix(".").strip(_QUOTES).casefold()
