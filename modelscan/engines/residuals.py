"""The errors of an engine's measured rows, from which an estimate's margin is computed.

``make bench-memory`` prints the residuals that are in the engines' folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import Parts


class Residuals(NamedTuple):
    """p95 of the error: ``compute`` of the compute part, ``weights`` of computed weights (exact
    ones have none), ``graphs`` of CUDA graphs, ``unified`` as a share of a memory that the engine
    shares with the rest of the machine, ``floor_bytes`` per device for what no log line shows.
    """

    compute: float
    weights: float
    kv: float
    floor_bytes: int
    graphs: float = 0.0
    unified: float = 0.0

    def margin_bytes(
        self, parts: Parts, gpus: int, shape: ModelShape, unified_bytes: int = 0
    ) -> int:
        """Bytes to keep free on top of the estimate: ``parts`` are sums over ``gpus`` devices,
        ``unified_bytes`` the memory of those that share it with the host.
        """
        weights = 0.0 if shape.weights.basis == "exact" else self.weights * parts.weights_bytes
        spread = weights + self.compute * parts.compute_bytes + self.kv * parts.kv_cache_bytes
        spread += self.graphs * parts.cuda_graph_bytes + self.unified * unified_bytes
        return round(spread) + self.floor_bytes * max(1, gpus)
