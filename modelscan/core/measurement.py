"""What was measured on this machine next to its estimate: memory of a start, speed of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """``measured_bytes`` is what the engine's log or the driver reported after it was ready."""

    deployment: str
    started_at: str  # RFC 3339 UTC; with the name it identifies the start
    model: str
    backend: str
    backend_version: str | None
    quantization: str | None
    context_tokens: int | None
    estimated_bytes: int
    measured_bytes: int
    margin_bytes: int | None

    @property
    def error_bytes(self) -> int:
        """Positive where the estimate was too high."""
        return self.estimated_bytes - self.measured_bytes

    @property
    def relative_error(self) -> float:
        """``error_bytes`` as a share of the measured bytes; 0.0 without a measurement."""
        return self.error_bytes / self.measured_bytes if self.measured_bytes else 0.0


@dataclass(frozen=True, slots=True)
class SpeedMeasurement:
    """The speed of one request at a time; tokens per second, None: not measured.

    ``devices`` names the hardware that it ran on, ``estimated_…`` are the figures that the formula
    gave for the deployment.
    """

    deployment: str
    observed_at: str  # RFC 3339 UTC; with the name it identifies the run
    model: str
    backend: str
    backend_version: str | None
    quantization: str | None
    devices: str
    context_tokens: int | None
    prompt_tokens: int | None
    decode_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    estimated_decode_tokens_per_s: float | None
    estimated_prefill_tokens_per_s: float | None
    report_id: str | None = None
