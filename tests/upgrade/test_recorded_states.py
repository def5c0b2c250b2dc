"""State folders that earlier versions wrote are used by this one: nothing in them is lost.

``python -m scripts.check_upgrade --record REF`` made them; they hold a setting, a deployment, a
routing file, a receipt, a key and, where that version had them, entries of the registry.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

from scripts.recorded_states import RECORDED, Places, pack, unpack
from scripts.upgrade_states import lost

pytest_plugins = ("support.engine_fixtures",)
STATES = sorted(RECORDED.glob("*.tar.gz"))
Run = Callable[..., Ran]


@pytest.mark.parametrize("state", STATES, ids=lambda one: one.name.partition(".")[0])
def test_nothing_of_an_earlier_version_is_lost(
    state: Path, home: Path, run_in_process: Run
) -> None:
    groups = unpack(state, Places(home, REPOSITORY, Path(sys.executable)))

    def ask(words: tuple[str, ...]) -> tuple[int, str]:
        done = run_in_process(*words)
        return done.code, done.out

    assert list(lost(groups, ask)) == []


def test_no_path_of_another_machine_is_in_them(tmp_path: Path) -> None:
    assert len(STATES) >= 2
    for state in STATES:
        place = tmp_path / state.name
        groups = unpack(state, Places(place / "h", Path("/source"), Path("/python")))
        everything = b"".join(file.read_bytes() for file in place.rglob("*") if file.is_file())
        assert b"modelscan-upgrade-" not in everything
        assert b"/source" in everything
        packed = tmp_path / "again.tar.gz"
        pack(place / "h", packed, Places(place / "h", Path("/source"), Path("/python")), groups)
        assert unpack(packed, Places(tmp_path / "x", Path("/source"), Path("/python"))) == groups
