"""``modelscan pull``: download the weights that a plan needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document, Fields
from modelscan.cli.framework import single
from modelscan.cli.options import Force, ModelArgument, SharedOptions, workload_options
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelscan.hub.downloads.pull import Pulled
    from modelscan.hub.downloads.types import Progress

_EVERY_S = 0.2


@workload_options
def pull(
    model: ModelArgument,
    shared: SharedOptions,
    force: Force = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="With --json: one line per event, then the answer.")
    ] = False,
) -> Document | None:
    """Download the weights that `plan` chooses: resumed, pinned, checksums verified."""
    from modelscan.deploy.planning import Question, pull_model

    output = current().output
    stream = progress and current().flags.as_json
    question = Question(model, shared.workload, shared.gpu)
    with output.status(f"planning {model}") as status:
        pulled = pull_model(question, current().config, reporter(status.update, stream))
    document = _document(pulled)
    if not stream:
        return document
    from modelscan.cli.output import envelope

    output.event("done", **envelope(document, output.warnings))
    return None


def reporter(show: Callable[[str], None], stream: bool) -> Callable[[Progress], None]:
    """A function that reports progress at most five times a second.

    ``show`` receives a text; with ``stream`` each report is also a JSON line.
    """
    import time

    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY_S and progress.done_bytes < progress.total_bytes:
            return
        last = now
        show(sentence(progress))
        if stream:
            current().output.event("downloading", **to_json(progress))

    return report


def sentence(progress: Progress) -> str:
    """``model.gguf: 1.2 GiB of 4.7 GiB, 110 MiB/s, 32 s left``."""
    done, total = format_bytes(progress.done_bytes), format_bytes(progress.total_bytes)
    parts = [f"{progress.file}: {done} of {total}"]
    if progress.rate_bytes_per_s:
        parts.append(f"{format_bytes(round(progress.rate_bytes_per_s))}/s")
    if progress.left_s is not None:
        parts.append(f"{progress.left_s:.0f} s left")
    return ", ".join(parts)


def _document(pulled: Pulled) -> Document:
    from modelscan.hub.downloads.answers import pull_answer

    answer = pull_answer(pulled)
    pairs = [
        ("folder", pulled.folder),
        ("repository", f"{pulled.repo}@{pulled.revision}"),
        ("files", len(pulled.files)),
        ("size", format_bytes(answer.total_bytes)),
        ("downloaded now", format_bytes(pulled.fetched_bytes)),
    ]
    ids = [str(pulled.folder / file.path) for file in pulled.files]
    return Document("pull", answer, [Fields(pairs)], ids)


app = single(pull)
