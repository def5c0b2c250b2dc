"""Many clients and a backend that behave badly: no answer reaches another request, and afterwards
nothing is under way, held or open. ``CHAOS_CLIENTS=50000`` runs more of them."""

from __future__ import annotations

import asyncio
import functools
import os
import random

import pytest
from support.gateway_chaos import Chaos, misbehave
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import Upstream

from modelscan.gateway.counters import BackendRow, GlobalRow, KeyRow
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.snapshot import Snapshot

CLIENTS = int(os.environ.get("CHAOS_CLIENTS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


class Misbehaving(Upstream):
    """A backend by chance."""

    def __init__(self, seed: int) -> None:
        self._pick = random.Random(seed)
        super().__init__(2)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await misbehave(self._pick, reader, writer)


@pytest.mark.timeout(0 if CLIENTS > 5000 else 300)
def test_chaos(capfd: pytest.CaptureFixture[str]) -> None:
    with Misbehaving(SEED) as upstream:
        pair = [backend("a", upstream.ports[0]), backend("b", upstream.ports[1], max_in_flight=15)]
        made = table(pair, route("fast", 0, 1), fallback=True)
        timing = Timing(head_s=20, body_s=20, sweep_s=0.1)
        with Gateway(Snapshot(made, access(key())), workers=2, timing=timing) as gateway:
            chaos = Chaos(gateway.port, random.Random(SEED + 1))
            asyncio.run(chaos.run(CLIENTS))
            assert chaos.wrong == []
            assert chaos.checked > CLIENTS / 2, chaos.statuses
            total = functools.partial(all_zero, gateway)
            gateway.wait_for(total)
            assert {"200", "400"} <= set(chaos.statuses)
    assert "Traceback" not in capfd.readouterr().err


def all_zero(gateway: Gateway) -> bool:
    """Whether nothing is under way."""
    counters = gateway.counters
    rows = [counters.backend(slot, row) for slot in (0, 1) for row in BackendRow]
    rows = [at for at in rows if at not in failures(gateway)]
    rows.append(counters.key(0, KeyRow.IN_FLIGHT))
    rows += [counters.overall(row) for row in (GlobalRow.CONNECTIONS, GlobalRow.HELD_BYTES)]
    return not any(counters.total(at) for at in rows)


def failures(gateway: Gateway) -> set[int]:
    return {gateway.counters.backend(slot, BackendRow.FAILURES) for slot in (0, 1)}
