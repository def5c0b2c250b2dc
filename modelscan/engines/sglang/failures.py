"""Why SGLang did not start, from its error text about its static memory share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.remedy import Remedy
from modelscan.engines.failure_rules import Advice, Rule, after_memory, before_memory, recognise

if TYPE_CHECKING:
    from modelscan.engines.base import EngineFailure

_LARGER_SHARE = Remedy(memory_utilization=0.92)

RULES = (
    *before_memory(),
    Rule("memory", re.compile(r"Not enough memory[^\n]{0,60}try (?:to increase|increasing) "
                              r"[`'-]*mem[-_]fraction[-_]static"),
         Advice(_LARGER_SHARE.text(), _LARGER_SHARE)),
    *after_memory("sglang"),
)  # fmt: skip


def failure(log: str) -> EngineFailure | None:
    """The cause from SGLang's log; None if the log names none."""
    return recognise(RULES, log)
