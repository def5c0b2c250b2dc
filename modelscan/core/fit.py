"""Whether a model runs on a machine, and how: what ``catalog info`` and ``--fits`` show."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.units import format_bytes, format_speed
from modelscan.core.verdict import Offload, Verdict


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs on a machine, and how.

    ``needed_bytes`` and ``available_bytes`` are of the devices ``where`` that the plan uses;
    without a plan: the least that is needed, and what the largest set of devices has free.
    """

    verdict: Verdict
    needed_bytes: int | None
    available_bytes: int | None
    where: str
    within_margin: bool = False
    offload: Offload | None = None
    quantization: str | None = None
    backend: str | None = None
    context_tokens: int | None = None
    tokens_per_s: float | None = None
    basis: str | None = None  # of the estimate: exact | computed | range
    reason: str | None = None  # why there is no plan
    command: str | None = None  # what would make it known or possible

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if self.verdict is Verdict.FITS:
            return self._how()
        tail = f" ({self.command})" if self.command else ""
        answer = {Verdict.UNKNOWN: "unknown", Verdict.NOT_SUPPORTED: "not supported"}
        return f"{answer.get(self.verdict, 'no')}: {self.reason}{tail}"

    def _how(self) -> str:
        speed = f", about {format_speed(self.tokens_per_s)} tokens/s" if self.tokens_per_s else ""
        parts = {"partial": ", part of it in host memory", "cpu": " on the CPU"}
        return (
            f"yes: {self.quantization or 'the weights as released'} with {self.backend}"
            f"{parts.get(self.offload or '', '')} needs {format_bytes(self.needed_bytes)}{speed}; "
            f"{format_bytes(self.available_bytes)} free on {self.where}"
        )
