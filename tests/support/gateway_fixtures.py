"""One backend and one gateway over it, for the tests that need no special table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway_control import Control
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import Upstream

from modelscan.gateway.data.limits import Timing
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import GatewayLimits

QUICK = Timing(head_s=2.0, body_s=2.0, sweep_s=0.05, linger_s=0.5)
LIMITS = GatewayLimits(max_body_bytes=8 << 20, request_timeout_s=20)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as made:
        yield made


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    made = Control(Path(tmp_path_factory.mktemp("control")) / "c.sock")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def gateway(upstream: Upstream, control: Control) -> Iterator[Gateway]:
    """One backend behind the names fast and named, served there as upstream-model."""
    only = backend("b1", upstream.port, served_model="upstream-model")
    made = table([only], route("fast", 0), route("named", 0), limits=LIMITS)
    with Gateway(Snapshot(made, access(key())), control=control.path, timing=QUICK) as running:
        yield running
