"""SGLang's options: their names by meaning and by version, and those of a plan.

Sources: the server arguments of 0.5.23 and the arguments that published logs print (0.4 to 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair
from modelscan.engines.pool_engine import cache_type, common_options, remote_code, serves_vectors

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.versions import Version

LORA_SWITCH_SINCE: Version = (0, 4, 9)  # before, --lora-paths alone was enough
_FP8 = "fp8_e5m2"  # plain "fp8" is vLLM's name

NAMES = OptionNames(
    context=("context-length",),
    max_requests=("max-running-requests",),
    tensor_parallel=("tp-size", "tp", "tensor-parallel-size"),
    pipeline_parallel=("pp-size",),
    memory_share=("mem-fraction-static",),
    kv_cache=("kv-cache-dtype",),
    positions=("json-model-override-args",),
    memory=(
        "cpu-offload-gb", "dtype", "enable-lora", "max-total-tokens", "chunked-prefill-size",
        "cuda-graph-max-bs", "disable-cuda-graph", "page-size", "mamba-full-memory-ratio",
        "max-mamba-cache-size", "swa-full-tokens-ratio", "disable-hybrid-swa-memory",
    ),
)  # fmt: skip


def options(launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
    """The options of a plan."""
    yield from common_options(NAMES, launch)
    kind = cache_type(workload)
    if kind:
        yield NAMES.kv_cache[0], _FP8 if kind == "fp8" else kind
    if launch.dtype:
        yield "dtype", launch.dtype
    scaling = launch.positions
    if scaling is not None:  # a text_config is of a version that has rope_parameters
        name = "rope_parameters" if scaling.nested else "rope_scaling"
        yield NAMES.positions[0], scaling.override(name, theta=scaling.nested)
    if serves_vectors(launch, workload):
        yield "is-embedding", None
    if workload.adapters:
        yield "enable-lora", None
    yield from remote_code(workload)
