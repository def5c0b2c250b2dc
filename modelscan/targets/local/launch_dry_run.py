"""Each local start asks llama.cpp itself what it will allocate, while the engine loads.

The dry run takes a fraction of a second in a process of its own, so it costs the deployment no
time; the stored estimate becomes ``exact`` and is compared with what the engine says afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.core.estimate import Parts
from modelscan.core.jsonform import to_json
from modelscan.engines.llamacpp import NAME as LLAMACPP

if TYPE_CHECKING:
    from modelscan.engines.llamacpp.dry_run import DryRun

_PATIENCE_S = 5.0  # after the engine is ready
# A dry run leaves these out.
_NOT_SIZED = (
    "--mmproj", "--lora", "--lora-scaled", "--spec-draft-model", "--model-draft", "--md",
)  # fmt: skip


class Asking:
    """A dry run on its way."""

    def __init__(self, file: Path, options: Sequence[str]) -> None:
        self._found: DryRun | None = None
        self._thread = threading.Thread(target=self._run, args=(file, options), daemon=True)
        self._thread.start()

    def result(self) -> DryRun | None:
        """What the engine said; None when it refused or is too slow."""
        self._thread.join(_PATIENCE_S)
        return self._found

    def _run(self, file: Path, options: Sequence[str]) -> None:
        from modelscan.supervisor.dry_run.run import run

        try:
            self._found = run(file, options)
        except (ModelscanError, OSError):
            return  # the computed estimate stands


def ask(deployment: Deployment) -> Asking | None:
    """Begin, where the engine can size this start: embedded, in host memory, one GGUF model."""
    launch, estimate = deployment.launch or {}, (deployment.plan or {}).get("estimate") or {}
    if launch.get("engine") != LLAMACPP or not launch["embedded"] or deployment.gpus:
        return None
    if not estimate or estimate["basis"] == "exact" or set(launch["argv"]) & {*_NOT_SIZED}:
        return None
    from modelscan.supervisor.embedded.launcher import own_arguments

    options = list(own_arguments(launch["argv"]))
    at = options.index("--model")
    file = Path(options[at + 1])
    if file.suffix != ".gguf" or not file.is_file():
        return None
    return Asking(file, options[:at] + options[at + 2 :])


def note(deployment: Deployment, asking: Asking | None) -> Deployment:
    """The deployment with the engine's estimate, and the formulas' kept beside what was measured:
    the margins of later estimates learn from those."""
    ran = asking.result() if asking else None
    if ran is None or deployment.plan is None:
        return deployment
    computed = deployment.plan["estimate"]
    plan = {**deployment.plan, "estimate": exact_json(computed, ran)}
    measured = {
        **(deployment.measured or {}),
        "computed": {key: computed[key] for key in ("total_bytes", "margin_bytes")},
    }
    return replace(deployment, plan=plan, measured=measured)


def exact_json(estimate: Mapping[str, Any], ran: DryRun) -> dict[str, Any]:
    """An estimate's JSON form with the engine's own figures."""
    from modelscan.engines.llamacpp.dry_run import MARGIN_BYTES, engine_parts
    from modelscan.supervisor.dry_run.run import engine_version

    old = Parts(**estimate["parts"])
    known = replace(ran, model_bytes=None)  # the header has every byte, the dry run whole MiB
    parts = engine_parts(old, known, 0)
    host = estimate["host"]
    total = {"parts": to_json(parts), "total_bytes": parts.total_bytes}
    return {
        **estimate,
        **total,
        "host": {**host, **total} if host else None,
        "basis": "exact",
        "backend_version": estimate["backend_version"] or engine_version(),
        "margin_bytes": MARGIN_BYTES,
        "low_bytes": None,
        "high_bytes": None,
    }
