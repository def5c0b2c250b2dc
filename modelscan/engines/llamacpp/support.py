"""Which model architectures a llama.cpp build reads: its table of names (``llama-arch.cpp``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.launch_rules import architecture_rule
from modelscan.engines.llamacpp import NAME
from modelscan.engines.llamacpp.overrides import absent_device
from modelscan.engines.support_rules import Support, absent
from modelscan.engines.version_tables import facts_of

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload


def architecture_refusal(architecture: Architecture, version: str | None) -> Support | None:
    """An objection if this build does not list the architecture; None if it does.

    The name of a model known by its config.json is not llama.cpp's own: it decides only where some
    build lists it.
    """
    facts = facts_of(NAME, version)
    if architecture.checkpoint.classes and facts.when("architecture", architecture.name) is None:
        return None
    return architecture_rule(NAME, facts, (architecture.name,))


def device_refusal(workload: Workload, devices: int) -> Support | None:
    """An objection if ``--override-tensor`` names a device that is not among the GPUs."""
    name = absent_device(workload, devices)
    if name is None:
        return None
    return absent(f"--override-tensor names the device {name}: there are {devices} GPUs here")
