"""The planner over every real config.json of ../shared (``make test-shared``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.planner_cases import decide

from modelscan.core.workload import Workload
from modelscan.gpu.simulate import simulate
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

MACHINES = ("none", "RTX 4090", "8x H200")


@pytest.mark.shared
@pytest.mark.timeout(600)
def test_every_real_config_gets_an_answer(shared: Path) -> None:
    files = [
        file
        for file in sorted((shared / "data" / "configs").glob("*.json"))
        if not file.name.endswith(".hf_quant_config.json")
    ]
    assert len(files) > 100
    fits = 0
    for file in files:
        subject = load_subject(str(file), load(), Workload())
        for spec in MACHINES:
            decision = decide(subject, simulate(spec), Workload())
            assert (decision.plan is None) != (decision.refusal is None)
            if decision.refusal is not None:
                assert decision.refusal.reasons
            fits += decision.plan is not None
    assert fits > len(files)  # the largest machine takes nearly all of them
