"""Formats that an engine makes of 16-bit weights while it loads them."""

from __future__ import annotations

from typing import NamedTuple


class OnlineMethod(NamedTuple):
    """``name``: the value of ``--quantization``; ``package``: what it needs besides the engine;
    ``classes``: of the models that it quantizes, None: of all; ``experts``: also mixtures.
    """

    name: str
    package: str | None = None
    classes: frozenset[str] | None = None
    experts: bool = True

    def applies(self, classes: tuple[str, ...], experts: bool) -> bool:
        """Whether it quantizes a model of these classes; of a list of classes one must be known."""
        known = self.classes is None or not self.classes.isdisjoint(classes)
        return known and (self.experts or not experts)

    @property
    def note(self) -> str:
        """What it does, as a reason of a plan."""
        needs = f"; it needs {self.package}" if self.package else ""
        return (
            f"--quantization {self.name}: the 16-bit weights are quantized while they are "
            f"loaded, at every start{needs}"
        )
