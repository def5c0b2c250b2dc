"""Commands inside the server's process, and frames that are no messages."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.assistants import START
from support.patience import COMMAND_S

from modelscan.cli.inside import printed_inside
from modelscan.core.errors import ModelscanError
from modelscan.mcp.child import CommandError, Printed, run_command
from modelscan.mcp.inside import AT_ONCE, InsideCommands

pytestmark = pytest.mark.timeout(900)


async def _no_events(_: object) -> None:
    """A reading command has none."""


def read(*words: str) -> dict[str, object]:
    run = InsideCommands(printed_inside)
    return asyncio.run(run([*words, "--json"], _no_events, offline=True))


def test_inside_and_in_a_process_a_command_says_the_same(clean_environment: Path) -> None:
    words = ["catalog", "info", "qwen3-8b", "--gpu", "24GiB", "--json"]
    process = asyncio.run(run_command(words, _no_events, offline=True))
    inside = read(*words[:-1])
    assert inside.keys() == process.keys()
    assert inside["schema"] == process["schema"] and inside["model"] == process["model"]


def test_errors_keep_their_hint_and_code(clean_environment: Path) -> None:
    with pytest.raises(CommandError, match="no-such-model") as failed:
        read("plan", "no-such-model-at-all")
    assert failed.value.hint
    with pytest.raises(CommandError, match="no such option"):
        read("list", "--surprise")


@pytest.mark.parametrize(
    "printed",
    [Printed(0, "", ""), Printed(1, "[1]\nno json", "Traceback: x"), Printed(0, "{}", "")],
)
def test_a_command_without_a_document_is_an_error(printed: Printed) -> None:
    run = InsideCommands(lambda _: printed)
    with pytest.raises(ModelscanError, match=f"status {printed.code}"):
        asyncio.run(run([], _no_events, offline=False))


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("broken"), BrokenPipeError()])
def test_what_a_command_raises_does_not_end_the_server(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> int:
        raise error

    monkeypatch.setattr("modelscan.cli.app._dispatch", broken)
    printed = printed_inside(["list", "--json"])
    assert printed.code == 1
    sys.stdout.write("still open")
    sys.stdout.flush()
    assert "still open" in capfd.readouterr().out


def test_a_cancelled_command_is_answered_at_once_and_counts_until_it_ends() -> None:
    ended, begun = threading.Event(), threading.Semaphore(0)

    def command(_: Sequence[str]) -> Printed:
        begun.release()
        ended.wait(COMMAND_S)
        return Printed(0, json.dumps({"schema": "modelscan.list/1"}), "")

    async def several() -> int:
        run = InsideCommands(command)
        calls = [asyncio.create_task(run([], _no_events, offline=False)) for _ in range(AT_ONCE)]
        for _ in calls:
            await asyncio.to_thread(begun.acquire)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        another = asyncio.create_task(run([], _no_events, offline=False))
        await asyncio.sleep(0)
        waiting = begun.acquire(blocking=False)
        ended.set()
        assert (await another)["schema"] == "modelscan.list/1"
        return int(waiting)

    assert asyncio.run(several()) == 0


def test_frames_that_are_no_messages_do_not_end_the_server(clean_environment: Path) -> None:
    garbage = [b"not json", b"\x00\xff\xfe", b"{}", b"[]", b"null", b"{" * 5000, b"A" * (1 << 20),
               b'{"jsonrpc":"2.0","id":{},"method":5}']  # fmt: skip
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    calls = [
        {"jsonrpc": "2.0", "id": 2, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": 5}},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "list"}},
    ]
    frames = [*garbage, json.dumps(START).encode(), json.dumps(ready).encode(), *garbage]
    frames += [json.dumps(one).encode() for one in calls]
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "mcp", "--offline"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"\n".join(frames) + b"\n")
    process.stdin.flush()
    answers = {row["id"]: row for row in (json.loads(process.stdout.readline()) for _ in range(4))}
    process.communicate(timeout=COMMAND_S)
    assert process.returncode == 0
    assert answers[2]["error"] and answers[3]["error"]
    assert answers[4]["result"]["structuredContent"]["deployments"] == []
