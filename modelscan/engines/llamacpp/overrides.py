"""``--override-tensor``: tensors that are stored on another device than their layer.

Rule of ``llama_model_loader::create_tensor`` (b11549): the first pattern that occurs in a tensor's
name decides; ``CPU`` is the host, ``CUDA1`` the second GPU.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.given import every
from modelscan.memory import weights_gguf

if TYPE_CHECKING:
    from modelscan.core.architecture import Tensor
    from modelscan.core.workload import Workload

HOST = -1
_DEVICE = re.compile(r"[A-Za-z]+(\d{0,3})(?:_Host)?$")
_HOST_TYPES = re.compile(r"CPU|.*_Host$", re.IGNORECASE)


class Override(NamedTuple):
    """A pattern of tensor names and the place of the device in the list of GPUs, or HOST."""

    pattern: re.Pattern[str]
    place: int


def overrides(workload: Workload, devices: int) -> tuple[Override, ...]:
    """The overrides of a workload, in order. Raises UsageError for one that is no
    ``pattern=device``."""
    return tuple(
        _override(part, devices)
        for text in every(workload, "override-tensor")
        for part in text.split(",")
    )


def absent_device(workload: Workload, devices: int) -> str | None:
    """The first device of the overrides that is not among so many GPUs; None if all are."""
    for text in every(workload, "override-tensor"):
        for part in text.split(","):
            name = part.partition("=")[2]
            device = _DEVICE.match(name)
            if device and not _HOST_TYPES.match(name) and int(device[1] or 0) >= max(1, devices):
                return name
    return None


def _override(text: str, devices: int) -> Override:
    pattern, equals, name = text.partition("=")
    device = _DEVICE.match(name)
    if not equals or device is None:
        raise UsageError(
            f"llama.cpp's --override-tensor takes PATTERN=DEVICE, not '{text[:60]}'",
            hint="--param override-tensor=exps=CPU",
        )
    place = HOST if _HOST_TYPES.match(name) else int(device[1] or 0)
    if place >= max(1, devices):
        raise UsageError(
            f"--override-tensor names the device {name}, of {devices}",
            hint=f"--param override-tensor={pattern}=CPU",
        )
    try:
        return Override(re.compile(pattern), place if devices else HOST)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"'{pattern[:60]}' is no pattern of tensor names: {error}",
            hint="--param override-tensor=exps=CPU",
        ) from error


class MovedWeights(NamedTuple):
    """``bytes`` of weights by (home, place) and the largest matrix that left a GPU."""

    bytes: Mapping[tuple[int, int], int]
    largest: int

    def change(self, place: int) -> int:
        """Bytes that a device gains, or loses if negative."""
        return sum(
            size * ((there == place) - (home == place))
            for (home, there), size in self.bytes.items()
        )


UNMOVED = MovedWeights({}, 0)


def moved(
    tensors: Sequence[Tensor], rules: Sequence[Override], layers: Sequence[int], output: int
) -> MovedWeights:
    """The effect of the rules. ``layers``: the place of each layer, ``output`` of the rest."""
    sizes: Counter[tuple[int, int]] = Counter()
    largest = 0
    for tensor in tensors if rules else ():
        place = next((rule.place for rule in rules if rule.pattern.search(tensor.name)), None)
        home = _home(tensor.name, layers, output)
        if place is None or home is None or place == home:
            continue
        sizes[home, place] += tensor.size_bytes
        largest = max(largest, tensor.size_bytes if place == HOST else 0)
    return MovedWeights(sizes, largest)


def _home(name: str, layers: Sequence[int], output: int) -> int | None:
    """The device without overrides; None for a tensor that is not loaded."""
    layer = weights_gguf.layer_of(name)
    if layer is not None:
        return layers[layer] if layer < len(layers) else None
    return HOST if name.startswith(weights_gguf.INPUT_TENSORS) else output
