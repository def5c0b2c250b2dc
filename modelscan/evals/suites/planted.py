"""The scripted answers that prove a suite: the reference passes, everything else must fail."""

from __future__ import annotations

from modelscan.evals.items import EvalItem, ModelAnswer, ToolRequest
from modelscan.evals.suites.registry import SuiteKind

REFERENCE = "reference"
STUB = "stub"


def planted_answers(kind: SuiteKind, item: EvalItem) -> list[tuple[str, ModelAnswer]]:
    """(label, answer): ``reference``, ``stub`` (a model that can do nothing), ``wrong-N``."""
    wrong = [(f"wrong-{number}", answer) for number, answer in enumerate(item.wrong, 1)]
    return [(REFERENCE, item.reference), (STUB, stub(item)), *wrong]


def stub(item: EvalItem) -> ModelAnswer:
    """No text; where tools are offered, a call of the first one without arguments."""
    calls = tuple(ToolRequest(tool.name) for tool in item.tools[:1])
    return ModelAnswer("", calls)
