"""Backends on unix sockets: probed, tested and used like those on ports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Ran
from support.served import Engine, routed, serving, until, write_routing


def test_a_socket_is_probed_and_a_dead_one_is_down(
    clean_environment: Path, tmp_path: Path, run_in_process: Callable[..., Ran]
) -> None:
    path = tmp_path / "engine.sock"
    engine = Engine("one", unix_socket=str(path)).start()
    entry = {key: value for key, value in engine.entry().items() if key != "base_url"}
    write_routing(clean_environment, routed({**entry, "unix_socket": str(path)}))
    tested = run_in_process("route", "test", "one", "--json")
    assert tested.code == 0, tested.out
    with serving() as gateway:
        assert gateway.chat("one")[1]["choices"][0]["message"]["content"] == "from one"
        until(lambda: gateway.get("/health")[1]["backends"][0]["state"] == "up")
        until(lambda: _context(gateway.get("/v1/models")[1]["data"][0]) == 4096)
        engine.stop()
        until(lambda: gateway.get("/health")[1]["backends"][0]["state"] == "down")
    assert run_in_process("route", "test", "one").code == 5


def _context(row: Any) -> int | None:
    """The table follows a probe's answer within a moment."""
    tokens: int | None = row["modelscan"]["context"]["tokens"]
    return tokens
