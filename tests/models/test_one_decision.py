"""``catalog list --fits``, ``catalog info`` and ``plan`` give one answer for a model on a machine."""

from __future__ import annotations

import os
import random

import pytest

from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.lookup import load_model
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.core.fit import Fit
from modelscan.core.machine import Machine
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.deploy.machine import machine_here
from modelscan.models.decide import decide_here
from modelscan.models.fit import as_fit, fit_of, fitting
from modelscan.models.pages import find_page
from modelscan.models.resolve import load_subject
from modelscan.state.config import Config, load

PAIRS = int(os.environ.get("MODELSCAN_TEST_PAIRS", "30"))  # 500 for a release
MACHINES = (
    "RTX 3060 12GB", "RTX 4090", "T4", "M4 Pro 24GB", "M4 Max 128GB", "H100 80GB", "8x H100 80GB",
    "RX 7900 XTX", "Ryzen AI Max+ 395 128GB", "2x RTX 3090", "MI300X", "DGX Spark",
)  # fmt: skip


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    config = load()
    assert config.offline
    return config


def planned(model: str, machine: Machine, config: Config) -> Fit:
    """The answer of ``plan`` in the form of the others."""
    wishes = Workload(goal=config.goal)
    resolved = load_subject(model, config, wishes)
    return as_fit(decide_here(machine, resolved, wishes, explain=True), machine)


@pytest.mark.timeout(1800)
def test_list_info_and_plan_agree(offline: Config) -> None:
    seed = random.Random(20261129)
    machines = {name: machine_here(offline, name) for name in MACHINES}
    with open_index(offline.paths) as index:
        rows = [r for r in search(index, Query(open_weights=True, limit=None)).rows if r.variants]
        for _ in range(PAIRS):
            row, name = seed.choice(rows), seed.choice(MACHINES)
            machine, model = machines[name], load_model(index, row.row)
            info, plan = fit_of(model, machine, offline), planned(row.id, machine, offline)
            listed = [fit for _, fit in fitting(index, [row], machine, offline)]
            assert info == plan, (row.id, name)
            assert (info.verdict is Verdict.FITS) == bool(listed), (row.id, name)
            assert not listed or listed[0] == info, (row.id, name)


def test_a_page_is_planned_up_to_its_end(offline: Config) -> None:
    """The pages are parts of the whole list; the total is exact, or says that it is a bound."""
    machine = machine_here(offline, "RTX 4090")
    whole = find_page(Query("mistral", limit=None), offline, machine)
    assert whole.planned is None and whole.total == len(whole.models) > 8
    page = find_page(Query("mistral", limit=4, offset=3), offline, machine)
    assert page.models == whole.models[3:7]
    assert page.planned is not None and page.planned >= 7
    assert page.total >= whole.total
    end = find_page(Query("mistral", limit=50, offset=3), offline, machine)
    assert end.models == whole.models[3:53]
    last = find_page(Query("mistral", limit=whole.total, offset=0), offline, machine)
    assert (last.models, last.offset) == (whole.models, 0)


def test_what_the_devices_hold_comes_first(offline: Config) -> None:
    """A giant with its experts in host memory fits, and answers slowly."""
    machine = machine_here(offline, "RTX 3060 12GB")
    page = find_page(Query(use="coding", limit=5), offline, machine)
    assert "hold first" in page.order
    assert all((model.memory_bytes or 0) <= 12 << 30 for model in page.models)
    named = find_page(Query("gpt-oss-120b", limit=1), offline, machine)
    assert named.models[0].id == "openai/gpt-oss-120b"
