"""An engine's own long options by meaning, and the inputs of a launch's options.

The estimate reads a user's ``--param`` and the plan writes its flags with the same names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

from modelscan.core.adapter import LoraAdapter
from modelscan.core.workload import Backend
from modelscan.engines.online import OnlineMethod
from modelscan.engines.position_scaling import PositionScaling

OptionPair = tuple[str, str | None]  # (long name without dashes, value); None is a bare flag
Options = tuple[OptionPair, ...]
Names = tuple[str, ...]  # the spellings of one option; modelscan writes the first


# What to write instead of an option that modelscan sets itself.
USE_EXPOSE = "modelscan deploy MODEL --expose --api-key env:NAME   (reachable from other machines)"
USE_PORT = "modelscan deploy MODEL --port N"
USE_MODEL = "name the model itself: modelscan deploy MODEL"
USE_KEY = "modelscan deploy MODEL --api-key env:NAME"
NO_FILE_OF_OPTIONS = "such a file can set the address and the key: give its options with --param"
NO_HUB_KEY = (
    "leave it out: modelscan downloads the weights (modelscan config set hf_token env:NAME)"
)


class OptionNames(NamedTuple):
    """Spellings by meaning; () if the engine has no such option.

    ``context`` is per request, ``total_context`` for all ``slots`` together; ``max_requests``
    limits the requests served at once; ``positions`` scale the positions of tokens. ``memory``
    lists every other option that changes what the engine allocates, as its estimate reads them.
    """

    context: Names = ()
    total_context: Names = ()
    unified: Names = ()
    slots: Names = ()
    max_requests: Names = ()
    tensor_parallel: Names = ()
    pipeline_parallel: Names = ()
    memory_share: Names = ()
    kv_cache: Names = ()
    gpu_layers: Names = ()
    positions: Names = ()
    memory: Names = ()

    @property
    def all(self) -> frozenset[str]:
        """Every option that changes what the engine allocates."""
        return _all(self)


@functools.lru_cache(maxsize=16)
def _all(names: OptionNames) -> frozenset[str]:
    return frozenset(name for spellings in names for name in spellings)


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """The settings that the options depend on. ``context_tokens`` is per request."""

    backend: Backend
    task: str
    context_tokens: int
    parallel: int | None  # None: the engine's own default
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    gpu_count: int = 0
    gpu_layers: int | None = None  # llama.cpp: None = all
    cpu_experts: int = 0  # llama.cpp: layers whose experts stay in host memory
    tensor_split: tuple[int, ...] = ()
    memory_utilization: float | None = None
    dtype: str | None = None  # None: the engine's own choice
    pooling: str | None = None  # None: as the model's own metadata states
    online: OnlineMethod | None = None  # method that quantizes 16-bit weights while loading
    unknown_context: bool = False  # the trained length is not known
    positions: PositionScaling | None = None  # for a context beyond the trained length
    adapters: tuple[LoraAdapter, ...] = ()  # those whose files are on this machine
