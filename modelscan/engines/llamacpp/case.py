"""One model with one set of settings at one placement: what llama.cpp's bytes depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload
    from modelscan.engines.llamacpp.file_layout import FileLayout
    from modelscan.engines.llamacpp.settings import Settings
    from modelscan.engines.llamacpp.split import Placement
    from modelscan.engines.llamacpp.versions import LlamacppVersion


@dataclass(frozen=True, slots=True)
class Case:
    """One model with one set of settings at one placement."""

    model: FileLayout
    settings: Settings
    facts: LlamacppVersion
    placement: Placement
    workload: Workload

    @property
    def architecture(self) -> Architecture:
        """The model's architecture."""
        return self.model.shape.architecture
