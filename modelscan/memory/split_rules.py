"""What tensor parallelism divides: the widths of a model, and what an engine leaves whole."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.architecture import Architecture


@dataclass(frozen=True, slots=True)
class SplitRules:
    """What an engine's version does not divide. ``whole_vision``: every rank has the whole vision
    encoder; ``whole_experts``: ranks have whole experts (expert parallelism); ``refined_blocks``:
    FP8 blocks of experts become smaller where a rank's share requires it.
    """

    whole_vision: bool = False
    whole_experts: bool = False
    refined_blocks: bool = False


EVERYTHING_DIVIDED = SplitRules()


def dense_widths(architecture: Architecture) -> set[int]:
    """The widths of feed-forwards that every rank divides: of dense layers and shared experts."""
    widths = {layer.feed_forward for layer in architecture.layers if layer.feed_forward}
    experts = architecture.experts
    return widths | (
        {experts.shared * experts.shared_width} if experts and experts.shared_width else set()
    )
