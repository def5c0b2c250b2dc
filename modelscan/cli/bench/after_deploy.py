"""``deploy --bench``: a short measurement of a deployment that has just been verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.cli.context import current
from modelscan.core.errors import ModelscanError

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config

_INPUT_TOKENS, _OUTPUT_TOKENS, _REQUESTS = 128, 32, 5


def bench_deployment(deployment: Deployment, config: Config) -> None:
    """Measure one request at a time and store the result; a failure is a warning: it runs."""
    from modelscan.bench.request import BenchRequest
    from modelscan.bench.workload import shape
    from modelscan.cli.bench.run import measured

    output = current().output
    if deployment.task != "chat":
        output.warn(f"{deployment.name} is no chat model: its speed was not measured")
        return
    # A prompt and its answer must fit a small context too.
    half = max(1, (deployment.context_tokens or 2 * _INPUT_TOKENS) // 2)
    workload = shape(min(_INPUT_TOKENS, half), min(_OUTPUT_TOKENS, half))
    request = BenchRequest(deployment.name, workload, requests=_REQUESTS)
    try:
        _, report = measured(request, config, None, ingest=_can_store())
    except ModelscanError as error:
        output.warn(f"{deployment.name} runs, but its speed was not measured: {error.message}")
        return
    for text in report.warnings:
        output.warn(text)


def _can_store() -> bool:
    """Whether the packages of the server's database are installed."""
    from modelscan.core.errors import UsageError
    from modelscan.state.server.extra import require_extra

    try:
        require_extra("--bench")
    except UsageError:
        return False
    return True
