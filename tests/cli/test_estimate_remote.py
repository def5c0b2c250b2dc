"""``estimate --exact`` of a repository: its header by range requests, never its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ran
from support.fake_hub import FakeHub
from support.hub_content import File

from modelscan.core.units import MIB
from modelscan.supervisor.dry_run import run as dry_run
from scripts.sparse_gguf import header, write
from scripts.sparse_models import MODELS

pytest.importorskip("xllamacpp")
Run = Callable[..., Ran]
REPO = "org/Qwen2.5-14B-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    head, _, data = header(MODELS["qwen2.5-14b"]())
    with FakeHub() as running:
        running.add(REPO, {"qwen2.5-14b-Q4_K_M.gguf": File(head, -(-len(head) // 32) * 32 + data)})
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.mark.parametrize("slots", ["1", "3"])
def test_equal_to_the_engine_at_the_cost_of_a_header(
    hub: FakeHub, run_in_process: Run, tmp_path: Path, slots: str
) -> None:
    ran = run_in_process("estimate", f"hf:{REPO}", "--exact", "--context", "8k",
                         "--parallel", slots, "--json")  # fmt: skip
    found = ran.json
    assert (ran.code, found["basis"]) == (0, "exact")
    size = write(MODELS["qwen2.5-14b"](), tmp_path / "model.gguf")
    engine = dry_run.run(
        tmp_path / "model.gguf", ("--ctx-size", str(8192 * int(slots)), "--parallel", slots)
    )
    assert found["parts"]["weights_bytes"] == size
    for part in ("kv_cache_bytes", "compute_bytes", "output_bytes"):
        assert abs(found["parts"][part] - getattr(engine, part)) < MIB // 50
    ranges = [seen.headers.get("range") for seen in hub.seen() if seen.path.endswith(".gguf")]
    assert all(ranges), "a file was fetched whole"
    ends = [int(text.rpartition("-")[2]) for text in ranges if text]
    assert max(ends) <= 4 * MIB
