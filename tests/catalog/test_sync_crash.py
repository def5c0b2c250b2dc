"""``catalog sync`` killed, interrupted and run twice at once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from support import catalog_world
from support.catalog_world import PREFIX, models

from modelscan.catalog.index.layout import synced_index
from modelscan.catalog.index.read import Index
from modelscan.state.paths import paths

REPOSITORY = Path(__file__).parents[2]

pytest_plugins = ["support.sync_fixtures"]


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", catalog_world.DRIVER, "catalog", "sync", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def test_kill_9_at_any_moment_leaves_a_whole_index(world, sync):
    """The index is the old one or the new one, the next sync works, and no lock is left."""
    sync()
    names = sorted(models())
    chance = random.Random(7)
    for trial in range(10):
        rows = [catalog_world.row(f"x/trial-{trial}", canonical_model_id=f"x/trial-{trial}")]
        world.documents["/api.json"] = catalog_world.api(*rows)
        process = start("--json")
        time.sleep(chance.uniform(0.1, 1.6))
        process.kill()
        process.communicate()
        found = sorted(models())
        index = Index(synced_index(paths()))
        assert index.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        index.close()
        assert found == names or any(name.startswith("x/trial-") for name in found)
        names = found
    sync()
    assert f"x/trial-{trial}" in models()


KILLED = """
import os, pathlib, signal, sys

left, rename = int(sys.argv.pop(1)), pathlib.Path.replace
def replace(self, target):
    global left
    if "/http/" not in str(target):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.replace = replace
"""


def test_kill_9_before_each_file_is_put_in_place(world, sync):
    """Five snapshots, the list of failures, the index: whichever is missing, the old index holds."""
    sync()
    before = models()
    world.documents["/api.json"] = catalog_world.api(
        catalog_world.row("new/brand-new", canonical_model_id="new/brand-new")
    )
    for number in range(12):
        done = subprocess.run(
            [sys.executable, "-c", KILLED + catalog_world.DRIVER, str(number), "catalog", "sync"],
            capture_output=True, text=True, cwd=REPOSITORY, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert models() == before or number == 7
    assert number == 8  # seven files are replaced, then the stamp of the bundle
    assert "new/brand-new" in models()
    assert not list(synced_index(paths()).parent.glob("*.sqlite3-*"))


def test_ctrl_c_stops_at_once_and_changes_nothing(world, sync, monkeypatch):
    sync()
    before = synced_index(paths()).read_bytes()
    for prefix in PREFIX.values():
        world.fault(prefix, "hang")
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "3600")  # only the signal ends it
    world.log.clear()
    process = start()
    until = time.monotonic() + 20
    while len(world.log) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert synced_index(paths()).read_bytes() == before


def test_two_syncs_at_once(world, sync):
    both = [start("--json"), start("--json")]
    for process in both:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert json.loads(out)["index_updated"]
    assert "alibaba/qwen3-1b" in models()
