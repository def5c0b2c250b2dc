"""A change of the request that may help after a failed start."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelscan.core.workload import Backend, Workload


@dataclass(frozen=True, slots=True)
class Remedy:
    """Fields that are not None replace the request's. ``parameters`` are added to the engine's
    options.
    """

    context_tokens: int | None = None
    memory_utilization: float | None = None
    quantization: str | None = None
    backend: Backend | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()

    def applied(self, workload: Workload) -> Workload:
        """The workload with the change."""
        values = {name: getattr(self, name) for name in _FLAGS}
        changes = {name: value for name, value in values.items() if value is not None}
        parameters = (*workload.parameters, *self.parameters)
        return replace(workload, parameters=parameters, **changes)

    def options(self) -> tuple[str, ...]:
        """The change as options of ``deploy``, to be printed."""
        words: list[str] = []
        for name, flag in _FLAGS.items():
            value = getattr(self, name)
            if value is not None:
                words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
        for key, value in self.parameters:
            words += ["--param", key if value is None else f"{key}={value}"]
        return tuple(words)

    def text(self) -> str:
        """The beginning of a hint: ``deploy it with --context 8192``."""
        return "deploy it with " + " ".join(self.options())


_FLAGS = {
    "context_tokens": "--context",
    "memory_utilization": "--memory-utilization",
    "quantization": "--quantization",
    "backend": "--backend",
}
