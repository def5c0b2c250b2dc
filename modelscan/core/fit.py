"""Whether and how a model runs on a machine, as ``catalog info`` and ``--fits`` show it."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.units import format_bytes, format_speed
from modelscan.core.verdict import Offload, Verdict


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether and how a model runs on a machine.

    ``needed_bytes`` and ``available_bytes`` refer to the devices ``where`` of the plan; without a
    plan to the smallest requirement and the largest set of devices.
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
    reason: str | None = None  # why the model does not fit or is unknown
    command: str | None = None  # the command that obtains the missing fact

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
        parts = {"partial": ", partly in host memory,", "cpu": " on the CPU"}
        return (
            f"yes: {self.quantization or 'the weights as released'} with {self.backend}"
            f"{parts.get(self.offload or '', '')} needs {format_bytes(self.needed_bytes)}{speed}; "
            f"{format_bytes(self.available_bytes)} free on {self.where}"
        )
