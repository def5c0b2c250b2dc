"""What the tests of whole lives look at, beside what a command says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from support.patience import CHANGE_S

Cli = Callable[..., Any]


def in_background(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    return thread, found


def until(look: Callable[[], Any], patience_s: float = CHANGE_S) -> Any:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError("it did not come to pass")


def deployment(cli: Cli, name: str) -> dict[str, Any]:
    rows = cli("list", "--json").json["deployments"]
    return next(row for row in rows if row["name"] == name)


def routes(cli: Cli) -> dict[str, Any]:
    return {row["name"]: row for row in cli("route", "list", "--json").json["routes"]}
