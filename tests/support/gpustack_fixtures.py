"""modelscan pointed at a real server: ``pytest_plugins = ("support.gpustack_fixtures",)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.gpustack_session import Server, start_or_skip
from support.patience import REQUEST_S


@pytest.fixture(scope="session")
def modern() -> Iterator[Server]:
    """GPUStack 2.3.0 with PostgreSQL and two workers, for the whole session."""
    started = start_or_skip("2.3.0")
    yield started
    started.end()


@pytest.fixture
def pointed(
    monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> Iterator[Callable[..., None]]:
    """``pointed(server)``: a target ``lab`` for it, its key in the environment; after the test
    no model is left there."""
    used: list[Server] = []

    def point(server: Server, key: str = "all", url: str | None = None) -> None:
        monkeypatch.setenv("LAB_KEY", server.keys[key])
        monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", str(REQUEST_S))
        done = cli("target", "add", "lab", url or server.url, "--key", "env:LAB_KEY")
        assert done.code == 0, done.err
        used.append(server)

    yield point
    for server in used:
        server.clear()
