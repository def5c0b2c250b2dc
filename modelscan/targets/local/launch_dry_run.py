"""llama.cpp's own dry run, made while the engine loads, as the deployment's exact estimate.

The dry run needs a fraction of a second in a process of its own, so it costs the deployment no
time; the stored estimate becomes ``exact`` and is compared with what the engine reports afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.deployment import ComputedEstimate, Deployment, Measured
from modelscan.core.errors import ModelscanError
from modelscan.core.launch import LocalLaunch
from modelscan.engines.llamacpp import NAME as LLAMACPP
from modelscan.formats.files import is_gguf_name

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.engines.llamacpp.dry_run import DryRun

_PATIENCE_S = 5.0  # after the engine is ready
# Figures that a dry run omits.
_NOT_SIZED = (
    "--mmproj", "--lora", "--lora-scaled", "--spec-draft-model", "--model-draft", "--md",
)  # fmt: skip


class PendingDryRun:
    """A dry run in its own thread."""

    def __init__(self, file: Path, options: Sequence[str]) -> None:
        self._result: DryRun | None = None
        self._thread = threading.Thread(target=self._run, args=(file, options), daemon=True)
        self._thread.start()

    def result(self) -> DryRun | None:
        """The engine's figures; None if the dry run failed or is too slow."""
        self._thread.join(_PATIENCE_S)
        return self._result

    def _run(self, file: Path, options: Sequence[str]) -> None:
        from modelscan.supervisor.dry_run.run import run

        try:
            self._result = run(file, options)
        except (ModelscanError, OSError):
            return  # the computed estimate stays


def start_dry_run(deployment: Deployment) -> PendingDryRun | None:
    """Start the dry run if the engine supports this start: embedded, host memory, one GGUF
    model.
    """
    launch, plan = deployment.launch, deployment.plan
    if not isinstance(launch, LocalLaunch) or plan is None or deployment.gpus:
        return None
    if launch.engine != LLAMACPP or not launch.embedded:
        return None
    if plan.estimate.basis == "exact" or set(launch.argv) & {*_NOT_SIZED}:
        return None
    from modelscan.supervisor.embedded.launcher import own_arguments

    options = list(own_arguments(launch.argv))
    at = options.index("--model")
    file = Path(options[at + 1])
    if not is_gguf_name(file.name) or not file.is_file():
        return None
    return PendingDryRun(file, options[:at] + options[at + 2 :])


def with_exact_estimate(deployment: Deployment, pending: PendingDryRun | None) -> Deployment:
    """The deployment with the engine's estimate; the computed one is kept in ``measured``.

    The margins of later estimates are learned from the computed one.
    """
    ran = pending.result() if pending else None
    if ran is None or deployment.plan is None:
        return deployment
    computed = deployment.plan.estimate
    return replace(
        deployment,
        plan=replace(deployment.plan, estimate=exact(computed, ran)),
        measured=replace(
            deployment.measured or Measured(),
            computed=ComputedEstimate(computed.total_bytes, computed.margin_bytes),
        ),
    )


def exact(estimate: Estimate, ran: DryRun) -> Estimate:
    """The estimate with the engine's own figures."""
    from modelscan.engines.llamacpp.dry_run import MARGIN_BYTES, engine_parts
    from modelscan.supervisor.dry_run.run import engine_version

    figures = replace(ran, model_bytes=None)  # the header has exact bytes, the dry run whole MiB
    parts = engine_parts(estimate.parts, figures, 0)
    total = parts.total_bytes
    host = estimate.host
    return replace(
        estimate,
        parts=parts,
        total_bytes=total,
        host=replace(host, parts=parts, total_bytes=total) if host else None,
        basis="exact",
        backend_version=estimate.backend_version or engine_version(),
        margin_bytes=MARGIN_BYTES,
        low_bytes=None,
        high_bytes=None,
    )
