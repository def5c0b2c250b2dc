"""No state of any file keeps an engine from being listed, stopped and removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.engine_processes import living

if TYPE_CHECKING:
    from support.engine_fixtures import Run

    from modelscan.state.config import Config

pytest_plugins = ("support.engine_fixtures",)
OTHER_KINDS = '{"run_id": 5, "supervisor": [], "engine": "x", "count": "y", "cause": 3, "argv": 1}'


@pytest.mark.parametrize("text", ["[[1", "[1, 2]", OTHER_KINDS], ids=["cut", "list", "kinds"])
def test_records_of_the_supervisor(
    run_in_process: Run, model_file: Path, home: Path, text: str
) -> None:
    assert run_in_process("deploy", str(model_file), "--no-route").code == 0
    for file in (home / "state/deployments/tiny").glob("*.json"):
        file.write_text(text)
    listed = run_in_process("list", "--json")
    assert listed.json["deployments"][0]["name"] == "tiny"
    assert run_in_process("stop", "tiny", "--drain", "0").code == 0
    assert living(home) == []
    assert run_in_process("remove", "tiny", "--yes").code == 0


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 5000, "= 3"])
def test_the_list_of_targets(run_in_process: Run, config: Config, home: Path, text: str) -> None:
    config.paths.config.mkdir(parents=True)
    (config.paths.config / "targets.toml").write_text(text)
    listed = run_in_process("list", "--json")
    assert (listed.code, listed.json["deployments"]) == (0, [])
    assert "targets.toml" in listed.json["warnings"][0]
    assert run_in_process("target", "list").code == 2
