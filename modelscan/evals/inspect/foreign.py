"""Rows of tasks that other packages define, from inspect's log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelscan.evals.inspect.call import measured
from modelscan.evals.items import ModelAnswer
from modelscan.evals.job import SampleRow

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample


def foreign_rows(log: EvalLog) -> Iterator[SampleRow]:
    """One row per graded sample; the first scorer's value as inspect turns it into a number."""
    from inspect_ai.scorer import value_to_float

    number = value_to_float()
    for sample in log.samples or ():
        score = next(iter((sample.scores or {}).values()), None)
        if score is not None and sample.error is None:
            yield _row(sample, number(score.value), score.explanation or "")


def _row(sample: EvalSample, value: float, reason: str) -> SampleRow:
    from inspect_ai.event import ModelEvent

    usages = list(sample.model_usage.values())
    answer = sample.output.completion if sample.output.choices else ""
    calls = [measured(event.output) for event in sample.events if isinstance(event, ModelEvent)]
    return SampleRow(
        suite="",
        id=str(sample.id),
        epoch=sample.epoch,
        value=value,
        reason=reason[:200],
        failure=None,
        counts={},
        answer_sha256=ModelAnswer(answer).sha256,
        prompt_tokens=sum(u.input_tokens + (u.input_tokens_cache_read or 0) for u in usages),
        completion_tokens=sum(usage.output_tokens for usage in usages),
        seconds=sample.total_time,
        served_model=sample.output.model or None,
        cached_tokens=sum(usage.input_tokens_cache_read or 0 for usage in usages),
        ttft_s=calls[0].ttft_s if calls else None,
        request_ids=tuple(call.request_id for call in calls if call.request_id),
    )
