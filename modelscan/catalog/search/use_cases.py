"""What models are used for (``--for``), and how models are ranked for it.

Models with a named public score come first, by the first score of the use case that they have; the
others follow by size class and release date. Scores of different benchmarks are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.query import Query

GENERAL = ("Artificial Analysis Intelligence Index", "LiveBench")
# Parameters from which a model is of a larger class; classes are compared, not sizes.
CLASS_SIZES = (1_500_000_000, 5_000_000_000, 15_000_000_000, 60_000_000_000, 200_000_000_000)


@dataclass(frozen=True, slots=True)
class UseCase:
    """A use: the task and abilities that it needs, the scores that rank it, best first.

    ``tag``: the tag of models made for it, which precede others without a score.
    """

    name: str
    task: str = "chat"
    tools: bool = False
    vision: bool = False
    min_context_tokens: int | None = None
    scores: tuple[str, ...] = ()
    tag: str | None = None
    by_context: bool = False


USE_CASES = {
    use.name: use
    for use in (
        UseCase(
            "coding", tag="coding",
            scores=(
                "SWE-Bench Verified", "SWE-Bench Pro", "Artificial Analysis Coding Index",
                "LiveCodeBench", "Aider Polyglot", *GENERAL,
            ),
        ),
        UseCase(
            "agents", tools=True,
            scores=(
                "Terminal-Bench 2.1", "Terminal-Bench", "Terminal-Bench Hard",
                "Artificial Analysis Coding Agent Index", *GENERAL,
            ),
        ),
        UseCase("chat", scores=GENERAL),
        UseCase("vision", vision=True, scores=("CharXiv Reasoning",)),
        UseCase("embedding", task="embedding"),
        UseCase("rerank", task="rerank"),
        UseCase("transcription", task="speech_to_text"),
        UseCase("math", tag="math", scores=GENERAL),
        UseCase(
            "long-context", min_context_tokens=256_000, by_context=True,
            scores=("MRCRv2", "Long Context Reasoning"),
        ),
    )
}  # fmt: skip


def for_use(query: Query) -> Query:
    """The query with the filters of its use case. Raises UsageError for an unknown use."""
    if query.use is None:
        return query
    use = USE_CASES.get(query.use)
    if use is None:
        raise UsageError(
            f"there is no use '{query.use}': the uses are {', '.join(USE_CASES)}",
            hint="modelscan catalog search --for chat",
            code="unknown_use",
        )
    context = max(query.min_context_tokens or 0, use.min_context_tokens or 0)
    return query._replace(
        task=use.task,
        tools=query.tools or use.tools,
        vision=query.vision or use.vision,
        min_context_tokens=context or None,
    )


def order_by(use: UseCase) -> str:
    """The SQL order of models without a score: context if the use asks for it, class, date."""
    size_class = " + ".join(f"(COALESCE(f.parameters, 0) >= {size})" for size in CLASS_SIZES)
    context = "f.context DESC, " if use.by_context else ""
    return f"{context}{size_class} DESC, f.release DESC, f.rowid"


class Score(NamedTuple):
    """A public score: benchmark, value, the day it was published or read, and the publisher."""

    name: str
    value: float
    date: str | None
    source: str | None


def ranked(index: Index, use: UseCase, numbers: Sequence[int]) -> list[tuple[int, Score | None]]:
    """The rows, best for the use first, each with the score that placed it.

    ``numbers`` are in the order of size class and release date.
    """
    scores = scores_of(index, use.scores)
    made_for = index.with_word(use.tag) if use.tag else frozenset()
    order = {name: position for position, name in enumerate(use.scores)}

    def place(number: int) -> tuple[int, float, bool]:
        score = scores.get(number)
        if score is None:
            return len(order), 0.0, number not in made_for
        return order[score.name], -score.value, False

    return [(number, scores.get(number)) for number in sorted(numbers, key=place)]


def scores_of(index: Index, names: Sequence[str]) -> dict[int, Score]:
    """Row -> the first of these scores that the model has; of several, the newest."""
    found: dict[int, Score] = {}
    for name in reversed(names):
        for number, score in index.scores(name):
            found[number] = score
    return found


def reason(use: UseCase, shown: Sequence[Score | None]) -> str:
    """Why a list has this order, with the dates of the scores in it."""
    by_name: dict[str, list[str]] = {}
    for score in shown:
        if score is not None:
            by_name.setdefault(score.name, []).append(score.date or "no date")
    named = ", then ".join(f"{name} ({_span(dates)})" for name, dates in by_name.items())
    rest = "context length, then size class" if use.by_context else "size class"
    rest += " and release date"
    if not by_name:
        return f"no public score for {use.name} is known here: by {rest}"
    general = ""
    if set(by_name) <= set(GENERAL) and use.name != "chat":
        general = f" (general: no public score for {use.name} is known here)"
    unscored = f"; models without a score follow, by {rest}" if None in shown else ""
    return f"by public scores: {named}{general}{unscored}"


def _span(dates: Sequence[str]) -> str:
    first, last = min(dates), max(dates)
    return first if first == last else f"{first} to {last}"
