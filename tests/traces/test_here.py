"""What requests and routes add to the catalog: speeds measured here, privacy, trusted routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import routed, write_routing
from support.trace_rows import hosted, receipt

from modelscan.api import Workspace
from modelscan.catalog.search.types import Query
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess

QWEN = {"name": "box", "type": "local", "base_url": "http://127.0.0.1:8080",
        "model": "qwen/qwen3-8b", "tags": ["trusted"]}  # fmt: skip
CLOUD = {"name": "cloud", "type": "openai", "base_url": "https://api.openai.com",
         "model": "openai/gpt-4o", "tags": ["curated"], "enabled": False}  # fmt: skip


@pytest.fixture
def access(clean_environment: Path) -> Iterator[TraceAccess]:
    config = load({"offline": True})
    with ServerDatabase.open(config.paths.state) as database:
        yield TraceAccess(config, database)


def test_offers_have_the_speed_that_was_measured_here(access: TraceAccess) -> None:
    write_routing(access.config.paths.config.parent, routed(QWEN, CLOUD))
    rows = [hosted(n, stream=True, ttft_s=0.5, duration_s=2.5, output_tokens=101) for n in range(3)]
    access.store.write([*rows, hosted(9, status=500, ttft_s=9.0)])
    answer = Workspace(lambda: access.config).offers("openai/gpt-4o")
    speeds = {one.id: one.measured for one in answer.offers}
    found = speeds["openai/gpt-4o"]
    assert found is not None
    assert (found.requests, found.ttft_s, found.tokens_per_s) == (3, 0.5, 50.0)
    assert speeds["azure/gpt-4o"] is None
    assert {one.privacy for one in answer.offers} == {"third_party"}
    (route,) = answer.routes
    assert (route.name, route.privacy, route.enabled) == ("cloud", "third_party", False)
    assert route.measured == found


def test_a_comparison_says_who_serves_each_model_and_how_fast(access: TraceAccess) -> None:
    write_routing(access.config.paths.config.parent, routed(QWEN, CLOUD))
    access.store.write([receipt(1)])
    answer = Workspace(lambda: access.config).compare(
        ["qwen/qwen3-8b", "openai/gpt-4o-mini"], gpu="24GiB"
    )
    first, second = answer.here
    assert (first.model, first.routes[0].privacy) == ("alibaba/qwen3-8b", "local")
    measured = first.routes[0].measured
    assert measured is not None and measured.tokens_per_s == 50.0
    assert second.routes == ()


def test_trusted_models_have_an_enabled_route_with_the_tag(access: TraceAccess) -> None:
    workspace = Workspace(lambda: access.config)
    assert workspace.search(Query(limit=None), trusted=True).models == ()
    write_routing(access.config.paths.config.parent, routed(QWEN, CLOUD))
    page = workspace.search(Query(limit=None), trusted=True)
    assert [(one.id, one.routes, one.fit) for one in page.models] == [
        ("alibaba/qwen3-8b", ("box",), None)
    ]
    # With --fits: the models that fit, and the trusted ones that do not.
    both = workspace.search(Query(text="qwen3", limit=None), fits=True, trusted=True, gpu="1GiB")
    assert all(one.fit is not None or one.routes for one in both.models)
    assert "alibaba/qwen3-8b" in [one.id for one in both.models if one.routes]
