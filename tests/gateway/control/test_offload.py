"""The example client chooses a model by what the gateway has measured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import REPOSITORY
from support.patience import COMMAND_S
from support.served import Served, engines, routed, serving, until, write_routing


def sample(name: str, p50_ms: float) -> dict[str, object]:
    return {"service_id": name, "workload": "w", "observed_at": time.time(),
            "results": {"p50_latency_ms": p50_ms}}  # fmt: skip


def run(gateway: Served, task: str) -> str:
    variables = {**os.environ, "OPENAI_BASE_URL": f"{gateway.url}/v1"}
    command = [sys.executable, str(REPOSITORY / "examples" / "offload.py"), task]
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_small_tasks_go_to_the_fast_model(clean_environment: Path) -> None:
    with engines("slow", "quick") as (slow, quick):
        write_routing(clean_environment, routed(slow.entry(), quick.entry()))
        with serving() as gateway:
            samples = [sample("slow", 9000), sample("quick", 300)]
            body = {"samples": samples}
            assert gateway.ask("POST", "/v1/cluster/benchmarks", body)[0] == 200
            rows = until(lambda: known(gateway))
            assert rows["slow"] == "available_but_slow"
            assert run(gateway, "Name a colour.") == "quick: from quick"
            assert run(gateway, "Explain this at length: " + "x" * 300) == "slow: from slow"


def known(gateway: Served) -> dict[str, str] | None:
    data = gateway.get("/v1/models")[1]["data"]
    rows = {row["id"]: row["modelscan"]["suitability"] for row in data}
    return rows if rows.get("quick") == "good_for_low_complexity" else None
