"""Find: which models run well on a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelscan.catalog.answers import LeftOut
from modelscan.core.errors import ModelscanError
from modelscan.engines.registry import engines
from modelscan.models.runnable import RunnableModel, RunnableModels
from modelscan.web.visit import View, Visit

PAGE, WIDE = 25, 120
CAN = ("tools", "reasoning", "vision")
ENGINES = (
    ("", "any"),
    *((one.name, one.title) for one in engines() if not one.own_server),
)
USES = (
    ("", "chat"), ("coding", "coding"), ("agents", "agents"), ("vision", "vision"),
    ("embedding", "embedding"), ("rerank", "rerank"), ("math", "mathematics"),
    ("long-context", "long context"), ("transcription", "transcription"),
)  # fmt: skip
CONTEXTS = ((0, "any"), (8192, "8k"), (16384, "16k"), (32768, "32k"), (65536, "64k"),
            (131072, "128k"))  # fmt: skip
SORTS = (
    ("", "best first"), ("speed", "speed"), ("size", "parameters"), ("memory", "least memory"),
    ("context", "context"), ("newest", "newest"),
)  # fmt: skip
_REASONS = {
    "other_task": "are made for another use", "too_large": "are too large",
    "no_engine": "have no engine here", "nothing_known": "have no weights or sizes that are known",
}  # fmt: skip
_ORDER: dict[str, Callable[[RunnableModel], float | str]] = {
    "speed": lambda one: -(one.fit.tokens_per_s or 0),
    "size": lambda one: -(one.parameters or 0),
    "memory": lambda one: one.fit.needed_bytes or 0,
    "context": lambda one: -(one.fit.context_tokens or 0),
}


@dataclass(frozen=True, slots=True)
class FindQuestion:
    """What the form asks, as far as the catalog answers it. ``limit``: models that are planned."""

    gpu: str
    text: str
    use: str
    can: tuple[str, ...]
    limit: int


def question(visit: Visit) -> FindQuestion:
    """The question behind a page."""
    names = tuple(name for name, _ in USES)
    narrow = any(visit.text(name) for name in ("sort", "engine", "context"))
    shown = visit.number("limit", PAGE, 1, WIDE)
    return FindQuestion(
        visit.text("gpu"), visit.text("q"), visit.one_of("use", names),
        tuple(name for name in CAN if visit.flag(name)), WIDE if narrow else shown,
    )  # fmt: skip


def view(visit: Visit, answer: RunnableModels | ModelscanError) -> View:
    """The page; an error is one of the hardware or of the text."""
    values = {
        "title": "Find a model", "uses": USES, "contexts": CONTEXTS, "engines": ENGINES,
        "sorts": SORTS, "can": CAN, "error": None, "rows": (), "more": None, "left_out": (),
        "answer": None,
    }  # fmt: skip
    if isinstance(answer, ModelscanError):
        return View("find.html", {**values, "error": answer}, 400)
    rows = _sorted(_matching(answer.models, visit), visit.text("sort"))
    shown = visit.number("limit", PAGE, 1, WIDE)
    more = visit.link(limit=min(WIDE, shown + PAGE)) if len(rows) >= shown < WIDE else None
    return View("find.html", {
        **values, "answer": answer, "rows": rows[:shown], "more": more,
        "left_out": [(one.count, _REASONS[one.reason.value]) for one in _shown(answer.left_out)],
    })  # fmt: skip


def _shown(groups: Sequence[LeftOut]) -> list[LeftOut]:
    return [one for one in groups if one.count and one.reason.value != "other_task"]


def _matching(models: Sequence[RunnableModel], visit: Visit) -> list[RunnableModel]:
    engine, least = visit.text("engine"), visit.number("context", 0)
    return [
        one
        for one in models
        if (not engine or one.fit.backend == engine) and (one.fit.context_tokens or 0) >= least
    ]


def _sorted(models: list[RunnableModel], by: str) -> list[RunnableModel]:
    if by == "newest":
        return sorted(models, key=lambda one: one.release_date or "", reverse=True)
    return sorted(models, key=_ORDER[by]) if by in _ORDER else models
