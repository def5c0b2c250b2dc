"""What may help after a failed start: a typed change of the request, and its text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """The changes to try next; None leaves a setting as it is. ``parameter`` is an engine option
    and its value (None for a flag).
    """

    context_tokens: int | None = None
    memory_utilization: float | None = None
    parameter: tuple[str, str | None] | None = None

    def options(self) -> tuple[str, ...]:
        """The same changes as options of ``modelscan deploy``."""
        words: list[str] = []
        if self.context_tokens is not None:
            words += ["--context", str(self.context_tokens)]
        if self.memory_utilization is not None:
            words += ["--memory-utilization", f"{self.memory_utilization:g}"]
        if self.parameter is not None:
            name, value = self.parameter
            words += ["--param", name if value is None else f"{name}={value}"]
        return tuple(words)

    def text(self) -> str:
        """The beginning of a hint: ``deploy it with --context 8192``."""
        return "deploy it with " + " ".join(self.options())
