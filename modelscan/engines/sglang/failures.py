"""Why SGLang did not start, from its error text about its static memory share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.remedy import Remedy
from modelscan.engines.failure_kinds import after_memory, before_memory
from modelscan.engines.failure_rules import Advice, Rule, changed, number, recognise, rule

if TYPE_CHECKING:
    from modelscan.engines.base import EngineFailure

_LARGER_SHARE = Remedy(memory_utilization=0.92)
_SMALLER_SHARE = 0.8
_NO_GRAPHS = " (the pool leaves no room for CUDA graphs), or with --param disable-cuda-graph"


def _smaller_share(match: re.Match[str]) -> Advice:
    """The share that SGLang itself names as an example; the pool leaves no room for graphs."""
    share = number(match.groupdict().get("to")) or _SMALLER_SHARE
    remedy = Remedy(memory_utilization=share)
    return Advice(remedy.text() + _NO_GRAPHS, remedy)


def _context(match: re.Match[str]) -> Advice:
    remedy = Remedy(context_tokens=int(number(match["to"]) or 0))
    return Advice(remedy.text(), remedy)


RULES = (
    *before_memory(),
    Rule("memory", re.compile(
        r"[Cc]apture (?:the )?cuda graph failed:[^\n]*out of memory(?:[^\n]*?mem-fraction-static "
        r"to a smaller value \(e\.g\.,? (?P<to>0\.\d+))?", re.I), _smaller_share),
    Rule("memory", re.compile(r"out of memory"), _smaller_share,
         calls=re.compile(r"cuda_graph_runner|capture_one_batch|graph_capture")),
    changed("memory", r"Not enough memory[^\n]{0,60}try (?:to increase|increasing) "
            r"[`'-]*mem[-_]fraction[-_]static", _LARGER_SHARE),
    rule("memory", r"memory capacity is unbalanced",
         "other programs use part of a GPU: see modelscan gpu, or choose others with --gpu"),
    Rule("context", re.compile(
        r"context_length \([\d,]+\) is greater than the derived context_length \((?P<to>[\d,]+)\)"),
        _context),
    *after_memory(
        "sglang", "a step took too long: keep the files on a disk of this machine, or give it more "
        "time with --param watchdog-timeout=1800"),
)  # fmt: skip


_BEGINS = re.compile(r"server_args=ServerArgs\(|^usage: ")


def failure(log: str) -> EngineFailure | None:
    """The cause from SGLang's log; None if the log names none."""
    return recognise(RULES, log, _BEGINS)
