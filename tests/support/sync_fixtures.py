"""What the tests of ``catalog sync`` share: the world it asks, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support import catalog_world
from support.fake_hub import FakeHub

from modelscan.catalog.index import publish
from modelscan.hub import http_client

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "modelscan/schemas/catalog.sync.json").read_text())


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(publish, "bundled_snapshots", dict)
    with FakeHub() as running:
        catalog_world.fill(running)
        for name, value in catalog_world.environment(running).items():
            monkeypatch.setenv(name, value)
        catalog_world.target(running)
        monkeypatch.setattr(http_client, "_PAUSES_S", (0.01,))
        yield running


@pytest.fixture
def sync(run_in_process):
    def run(*args: str, code: int = 0):
        done = run_in_process("catalog", "sync", "--json", *args)
        assert done.code == code, done.out + done.err
        jsonschema.validate(done.json, SCHEMA)
        rows = {row["source"]: row for row in done.json["sources"]}
        return done.json, rows

    return run
