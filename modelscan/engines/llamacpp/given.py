"""llama-server's options as a user wrote them: looked up under every name that they have."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelscan.engines.llamacpp.options import ALIASES

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

_OFF = ("false", "0", "off")


class _Given(NamedTuple):
    position: int
    value: str  # "true" for a bare flag


@functools.lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """The long name of an option: ``ot`` and ``override_tensor`` are ``override-tensor``."""
    plain = name.replace("_", "-")
    return ALIASES.get(plain, plain)


def option(workload: Workload, name: str) -> str | None:
    """The value of the option with this long name (the last one wins); "true" for a bare flag."""
    given = _last(workload.parameters).get(name)
    return None if given is None else given.value


def every(workload: Workload, name: str) -> tuple[str, ...]:
    """All values of an option that may be repeated, in order."""
    return tuple(v for key, v in workload.parameters if canonical(key) == name and v is not None)


def switched(workload: Workload, name: str, off: str | None = None) -> bool:
    """Whether a switch is set: ``name``, unless its opposite ``off`` follows."""
    given = _last(workload.parameters)
    mine, opposite = given.get(name), given.get(off) if off is not None else None
    if mine is None or (opposite is not None and opposite.position > mine.position):
        return False
    return (mine.value or "true").lower() not in _OFF


@functools.lru_cache(maxsize=512)  # an estimate looks up a dozen options on every device
def _last(parameters: tuple[tuple[str, str | None], ...]) -> Mapping[str, _Given]:
    """The last of each option, by its long name."""
    return {
        canonical(key): _Given(position, "true" if value is None else value)
        for position, (key, value) in enumerate(parameters)
    }
