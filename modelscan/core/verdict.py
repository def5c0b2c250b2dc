"""Whether a model runs on a machine: the four verdicts, and the enums of a plan."""

from __future__ import annotations

from enum import Enum
from typing import Literal

Basis = Literal["exact", "computed", "range"]
"""Of an estimate: the engine's own dry run, formulas, or a shape that is not known exactly."""

Offload = Literal["none", "partial", "cpu"]
"""Where the weights are: on the GPUs, partly in host memory, or all of them on the CPU."""

FitState = Literal["fits", "tight", "too_big"]
"""Of an estimate on its devices: with its margin of error, only without it, or not at all."""

SupportKind = Literal["native", "weight_only", "forced"]
"""How a GPU computes in a format; ``forced``: by ``--force``, against the support table."""


class Verdict(str, Enum):
    """``unknown``: a shape, a size or a file list is missing.

    ``not_supported``: no engine here runs this kind of model, format or architecture, or the
    weights are closed.
    """

    FITS = "fits"
    DOES_NOT_FIT = "does_not_fit"
    UNKNOWN = "unknown"
    NOT_SUPPORTED = "not_supported"

    @property
    def text(self) -> str:
        """As words: ``does not fit``."""
        return self.value.replace("_", " ")
