"""llama-server's options as a user wrote them: looked up under every name that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.llamacpp.options import ALIASES

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

_OFF = ("false", "0", "off")


def canonical(name: str) -> str:
    """The long name of an option: ``ot`` and ``override_tensor`` are ``override-tensor``."""
    plain = name.replace("_", "-")
    return ALIASES.get(plain, plain)


def option(workload: Workload, name: str) -> str | None:
    """The value of the option with this long name (the last one wins); "true" for a bare flag."""
    for key, value in reversed(workload.parameters):
        if canonical(key) == name:
            return "true" if value is None else value
    return None


def every(workload: Workload, name: str) -> tuple[str, ...]:
    """All values of an option that may be repeated, in order."""
    return tuple(v for key, v in workload.parameters if canonical(key) == name and v is not None)


def switched(workload: Workload, name: str, off: str | None = None) -> bool:
    """Whether a switch is set: ``name``, unless its opposite ``off`` follows."""
    for key, value in reversed(workload.parameters):
        if canonical(key) == name:
            return (value or "true").lower() not in _OFF
        if off is not None and canonical(key) == off:
            return False
    return False
