"""One line per graded sample, written when it is graded: what a cancelled run keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.jsonform import to_json
from modelscan.evals.inspect.call import measured
from modelscan.evals.items import Grade, ModelAnswer
from modelscan.evals.job import SampleRow

if TYPE_CHECKING:
    from inspect_ai.solver import TaskState


def ignore_row(_: SampleRow) -> None:
    """For ``inspect eval``, whose own log has the results."""


def row_of(state: TaskState, answer: ModelAnswer, grade: Grade) -> SampleRow:
    """The result of one sample with its tokens and seconds."""
    output = state.output
    usage = output.usage if output else None
    cached = usage.input_tokens_cache_read if usage else None
    call = measured(output)
    return SampleRow(
        suite="",
        id=str(state.sample_id),
        epoch=state.epoch,
        value=grade.value,
        reason=grade.reason,
        failure=grade.failure,
        counts=dict(grade.counts),
        answer_sha256=answer.sha256,
        # inspect subtracts the cached tokens from the prompt's
        prompt_tokens=usage.input_tokens + (cached or 0) if usage else None,
        completion_tokens=usage.output_tokens if usage else None,
        seconds=output.time if output else None,
        served_model=output.model or None if output else None,
        cached_tokens=cached,
        ttft_s=call.ttft_s,
        request_ids=(call.request_id,) if call.request_id else (),
    )


def writer(file: Path) -> Callable[[SampleRow], None]:
    """A function that appends a row to the file, for several threads."""
    import json

    lock = threading.Lock()

    def write(row: SampleRow) -> None:
        line: dict[str, Any] = to_json(row)
        with lock, file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    return write
