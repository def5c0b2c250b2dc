"""The log of ``modelscan serve``: as text, as JSON, with a line for each request and no secret."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.patience import COMMAND_S
from support.served import Served, engines, routed, until, write_routing

from modelscan.cli.serve_log import ServeLog
from modelscan.core.receipt import Receipt
from modelscan.gateway.control.events import ServeEvent
from modelscan.gateway.control.request_log import request_event
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore


@contextlib.contextmanager
def logging(*arguments: str, **variables: str) -> Iterator[tuple[Served, list[str]]]:
    """A gateway as a person starts it, and the lines of its log so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables},
    )  # fmt: skip
    lines: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr

    def read() -> None:
        for line in errors:
            lines.append(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        url = process.stdout.readline().strip().removesuffix("/v1")
        yield Served(process, url), lines
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(COMMAND_S)
        thread.join(COMMAND_S)
        process.stdout.close()
        errors.close()


def rows(lines: list[str], event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines]
    return [one for one in found if one["event"] == event]


def test_each_request_is_a_line_of_json(clean_environment: Path) -> None:
    with ServerDatabase.open(clean_environment / "state") as database:
        key = KeyStore(database).create("laptop", KeyLimits())[1]
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        with logging("--log-format", "json", "--log-requests") as (gateway, lines):
            secret = "a prompt that nobody may read"
            status, _ = gateway.ask(
                "POST", "/v1/chat/completions",
                {"model": "one", "messages": [{"role": "user", "content": secret}]}, key,
            )  # fmt: skip
            assert status == 200
            until(lambda: rows(lines, "request"))
            assert gateway.chat("one", "sk-ms-wrong-key-0123456789")[0] == 401
            assert gateway.chat("no\nsuch", key)[0] == 404
            until(lambda: len(rows(lines, "request")) >= 2)
        done = rows(lines, "request")[0]
        assert (done["route"], done["backend"], done["status"]) == ("one", "one", 200)
        assert (done["key"], done["level"], done["output_tokens"]) == ("laptop", "info", 3)
        assert len(done["request_id"]) >= 16
        assert rows(lines, "ready")[0]["url"] == gateway.url
        assert rows(lines, "stopped")
        text = "".join(lines)
        for hidden in (secret, key, "sk-ms-wrong-key", "from one"):
            assert hidden not in text


def test_without_the_option_requests_are_no_lines(clean_environment: Path) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        with logging() as (gateway, lines):
            assert gateway.chat("one")[0] == 200
            until(lambda: "requests" in gateway.get("/metrics")[1])
        assert not any("tokens" in line for line in lines)
        assert any("modelscan serves" in line for line in lines)


def test_a_client_cannot_write_lines_of_its_own() -> None:
    forged = "x\n12:00:00 modelscan serves evil\x1b[2J" + "y" * 9000
    given = Receipt("id", 1.0, "chat", forged, status=404, error="model_not_found")
    event = request_event(given)
    assert "\n" not in event.text
    assert "\x1b" not in event.text
    assert len(event.text) < 300


class Stuck(io.StringIO):
    """A stream whose reader does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait()
        return super().write(text)


def test_a_stuck_reader_costs_lines_and_nothing_else() -> None:
    stream = Stuck()
    log = ServeLog(stream, "json")
    for number in range(10_500):
        log.write(ServeEvent("reloaded", f"{number}"))
    stream.go.set()
    until(lambda: stream.getvalue().count("\n") >= 10_000)
    log.write(ServeEvent("reloaded", "last"))
    log.close()
    text = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert text[-1]["message"] == "last"
    assert text[-2]["dropped"] >= 499
