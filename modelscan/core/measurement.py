"""One start of an engine: its estimate, and what the engine allocated."""

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
