"""The share of a GPU that is asked for, the cards that are meant, and what the server thinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.deployments import ESTIMATE, make, plan

from modelscan.core.deployment import ClusterRecord
from modelscan.core.errors import UsageError
from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.evaluation import Evaluation
from modelscan.core.gpu import Inventory
from modelscan.core.units import GIB
from modelscan.targets.gpustack.client import Dialect
from modelscan.targets.gpustack.evaluate import disagreement, opinion
from modelscan.targets.gpustack.inventory import inventory
from modelscan.targets.gpustack.plan import (
    CLAIM_BYTES,
    CLAIM_FACTOR,
    CONCURRENT_CONTEXTS,
    needed_fraction,
    pick,
    selected_ids,
)
from modelscan.targets.gpustack.types import parse_gpu, parse_worker

CARD = 80 * GIB
NEW, OLD = Dialect("v2.3.0", "/v2", "/v1"), Dialect("0.7.1", "/v1", "/v1-openai")


def placed(weights: int, cache: int, count: int = 1, parallel: int = 1) -> Any:
    parts = Parts(weights_bytes=weights, kv_cache_bytes=cache, compute_bytes=GIB)
    device = DeviceEstimate(0, parts, parts.total_bytes, budget_bytes=CARD * 9 // 10,
                            memory_bytes=CARD)  # fmt: skip
    estimate = replace(ESTIMATE, per_gpu=(device,) * count, margin_bytes=GIB)
    return plan(backend="vllm", estimate=estimate, parallel=parallel)


class TestShare:
    @settings(deadline=None, max_examples=200)
    @given(weights=st.integers(0, 60 * GIB), cache=st.integers(0, 8 * GIB), count=st.integers(1, 4))
    def test_it_holds_what_is_counted_and_what_the_scheduler_claims(
        self, weights: int, cache: int, count: int
    ) -> None:
        share = needed_fraction(placed(weights, cache, count))
        wanted = weights + GIB + cache * CONCURRENT_CONTEXTS + GIB // count
        least = max(wanted, weights * CLAIM_FACTOR + CLAIM_BYTES // count)
        if share is None:  # never more than the engine takes by itself
            assert least > CARD * 89 // 100
            return
        assert 0 < share < 0.9
        assert least - 100 <= share * CARD <= least + CARD // 100 + 1

    def test_it_is_never_above_what_the_engine_takes_by_itself(self) -> None:
        full = placed(60 * GIB, 8 * GIB)
        device = replace(full.estimate.per_gpu[0], budget_bytes=round(0.92 * CARD))
        found = replace(full, estimate=replace(full.estimate, per_gpu=(device,)))
        assert needed_fraction(found) is None  # the engine's own default stays

    def test_other_engines_and_unknown_cards(self) -> None:
        assert needed_fraction(replace(placed(GIB, 0), backend="sglang")) is None
        assert needed_fraction(plan(backend="vllm")) is None


WORKERS = [
    {"id": 2, "name": "b", "state": "ready", "status": {"cpu": {"total": 8}, "memory": {"total": 9},
     "gpu_devices": [{"name": "NVIDIA A100", "vendor": "nvidia", "index": 0, "type": "cuda",
                      "memory": {"total": 40}}]}},
    {"id": 1, "name": "a", "state": "ready", "status": {"gpu_devices": [
        {"name": "NVIDIA A100", "vendor": "nvidia", "index": i, "type": "cuda",
         "memory": {"total": 80}} for i in (1, 0)]}},
    {"id": 3, "name": "c", "state": "unreachable", "state_message": "Heartbeat lost",
     "status": {"gpu_devices": [{"name": "X", "index": 0}]}},
]  # fmt: skip
DEVICES = [{"id": "a:cuda:1", "worker_name": "a", "name": "NVIDIA A100", "vendor": "nvidia",
            "index": 1, "type": "cuda", "memory": {"total": 80, "allocated": 50, "used": 60}}]  # fmt: skip


@pytest.fixture
def cluster() -> Inventory:
    return inventory(
        [parse_worker(row) for row in WORKERS], [parse_gpu(row, "") for row in DEVICES], "lab"
    )


class TestCards:
    def test_numbered_through_in_a_stable_order(self, cluster: Inventory) -> None:
        assert [(g.index, g.worker, g.uuid) for g in cluster.gpus] == [
            (0, "a", "a:cuda:0"), (1, "a", "a:cuda:1"), (2, "b", "b:cuda:0"),
        ]  # fmt: skip
        assert cluster.gpus[1].free_bytes == 20  # the larger of promised and used counts
        assert "Heartbeat lost" in cluster.problems[0].message
        assert set(cluster.gpus[0].backends) <= {"vllm", "sglang"}

    def test_chosen_ones(self, cluster: Inventory) -> None:
        assert [g.index for g in pick(cluster, "2,0").gpus] == [0, 2]

    def test_their_ids(self, cluster: Inventory) -> None:
        """All that were asked for and are like the planned ones: other replicas may go there."""
        assert selected_ids(plan(gpus=(0,)), cluster, NEW) == ("a:cuda:0", "a:cuda:1")
        assert selected_ids(plan(gpus=(0,)), pick(cluster, "0,2"), NEW) == ("a:cuda:0",)
        assert selected_ids(plan(gpus=(0,)), cluster, OLD) == ("a:cuda:0",)

    @pytest.mark.parametrize("spec", ["7", "RTX 4090", "0,x"])
    def test_others(self, cluster: Inventory, spec: str) -> None:
        with pytest.raises(UsageError):
            pick(cluster, spec)


class TestOpinion:
    def test_a_no_and_a_shrug(self) -> None:
        no = opinion({"compatible": False, "scheduling_messages": ["- It needs\n- 900 GiB"]})
        assert (no.compatible, no.decided, no.messages) == (
            False,
            True,
            ("It needs 900 GiB",),
        )
        shrug = opinion({"compatible": False,
                         "compatibility_messages": ["Temporary failure in name resolution"]})  # fmt: skip
        assert shrug.decided is False
        error = opinion(
            {"compatible": True, "error": True, "error_message": "3 does not divide 32"}
        )
        assert error.compatible is False

    @pytest.mark.parametrize(
        ("evaluation", "words"),
        [
            (None, None),
            (Evaluation(True, vram_bytes=100), None),
            (Evaluation(True, vram_bytes=200), "would reserve"),
            (Evaluation(False, messages=("no",)), "refuses it"),
            (Evaluation(False, decided=False, messages=("x",)), "could not judge it"),
        ],
    )
    def test_what_is_told(self, evaluation: Any, words: str | None) -> None:
        device = DeviceEstimate(0, Parts(), total_bytes=50, budget_bytes=100)
        planned = plan(estimate=replace(ESTIMATE, per_gpu=(device,)))
        record = ClusterRecord(evaluation=evaluation)
        row = make("m", target="lab", remote=record, plan=planned)
        told = disagreement(row)
        assert told is None if words is None else words in (told or "")
