"""A request starts a deployment that is asleep: with real engines, and whatever goes wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.served import Served, serving, until

from modelscan.core.deployment_state import State
from modelscan.core.receipt import Receipt
from modelscan.deploy.deployments import Deployments
from modelscan.routing.file import disable_route
from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config
from modelscan.state.server.database import ServerDatabase
from modelscan.supervisor.rundir import RunDir
from modelscan.traces.store import ReceiptStore

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]
Answer = tuple[int, Any, str | None]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


@pytest.fixture
def asleep(run: Run, model_file: Path, home: Path) -> Iterator[str]:
    """The name of a sleeping deployment; afterwards no engine is left."""
    deploy(run, model_file, "a")
    assert run("stop", "a", "--sleep").code == 0
    yield "a"
    assert run("stop", "--all").code == 0
    eventually(lambda: living(home) == [])


def deploy(run: Run, file: Path, name: str, *options: str) -> dict[str, Any]:
    done = run("deploy", str(file), "--name", name, *options, "--json")
    assert done.code == 0, done.out + done.err
    return dict(done.json["deployment"])


def row(run: Run, name: str) -> dict[str, Any]:
    return dict(run("show", name, "--json").json["deployment"])


def chat(gateway: Served, name: str, **fields: Any) -> Answer:
    """Status, body and Retry-After of a chat completion."""
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=300)
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    headers = {"Content-Type": "application/json"}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps({**body, **fields}), headers)
        answer = connection.getresponse()
        return answer.status, _decoded(answer.read()), answer.getheader("Retry-After")


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


@contextlib.contextmanager
def meanwhile(call: Callable[[], Answer]) -> Iterator[Future[Answer]]:
    """A request in another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


@contextlib.contextmanager
def frozen_loads(home: Path) -> Iterator[Callable[[], int]]:
    """Engines stop working as soon as they appear; the value waits for one and returns its pid.

    They go on at the end of the block.
    """
    over, found = threading.Event(), list[int]()
    rundir = RunDir(home / "state" / "deployments" / "a")
    before = _engine(rundir)

    def freeze() -> None:
        while not over.wait(0.005):
            pid = _engine(rundir)
            if pid is not None and pid != before and pid not in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    found.append(pid)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        yield lambda: until(lambda: found and found[-1])  # type: ignore[no-any-return]
    finally:
        over.set()
        thread.join()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _engine(rundir: RunDir) -> int | None:
    running = rundir.running()
    return running.engine.pid if running is not None and running.engine is not None else None


def receipts(home: Path) -> list[Receipt]:
    """Those of a gateway that ended."""
    with ServerDatabase.open(home / "state") as database:
        return ReceiptStore(database).newest(100)


def starts(gateway: Served) -> int:
    """Starts that the gateway reported so far."""
    while not gateway._lines.empty():
        line = gateway._lines.get()
        if line is not None:
            gateway.events.append(json.loads(line))
    return sum(one.get("state") == "starting" for one in gateway.events)


def test_a_request_wakes_it_and_many_start_it_once(run: Run, asleep: str, home: Path) -> None:
    shown = row(run, "a")
    assert (shown["state"], shown["asleep"]) == ("stopped", True)
    assert "asleep" in run("list").out and "asleep" in run("route", "list").out
    health = run("route", "health", "--json")
    assert (health.code, health.json["entries"][0]["state"]) == (0, "asleep")
    with serving() as gateway:
        models = {one["id"]: one["modelscan"] for one in gateway.get("/v1/models")[1]["data"]}
        facts = models["a"]
        assert (facts["state"], facts["loaded"], facts["suitability"]) == (
            "asleep", False, "cold_only",
        )  # fmt: skip
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda stream: chat(gateway, "a", stream=stream), [True] * 5))
        assert [status for status, _, _ in answers] == [200] * 5
        assert all("[DONE]" in body for _, body, _ in answers)
        assert starts(gateway) == 1
        assert chat(gateway, "a")[0] == 200
        assert row(run, "a")["state"] == "running"
        route = load_routes(home / "config" / "routing.yaml").route("a")
        assert route is not None and route.enabled
        until(lambda: gateway.get("/v1/models")[1]["data"][0]["modelscan"]["loaded"])
    waited = [one.wake_s for one in receipts(home) if one.status == 200]
    assert len(waited) == 6 and sum(one is not None and one > 0 for one in waited) == 5


@pytest.mark.slow
def test_one_that_fell_asleep_a_moment_ago_is_noticed_by_the_request(
    run: Run, model_file: Path, home: Path
) -> None:
    """No command read the records since its time to live ended it."""
    with serving() as gateway:
        deploy(run, model_file, "a", "--ttl", "1")
        until(lambda: chat(gateway, "a")[0] == 200)
        eventually(lambda: living(home) == [], 60)
        assert chat(gateway, "a")[0] == 200
    assert run("stop", "a").code == 0


def test_a_stop_on_purpose_is_not_undone_by_a_request(run: Run, asleep: str, home: Path) -> None:
    with serving() as gateway:
        assert chat(gateway, "a")[0] == 200
        assert run("stop", "a").code == 0
        until(lambda: _refused(gateway, "modelscan start a"))
        assert living(home) == []
        assert run("stop", "a", "--sleep").code == 0
        until(lambda: chat(gateway, "a")[0] == 200)
        assert run("stop", "a", "--sleep").code == 0
        assert run("stop", "a").code == 0  # of a sleeper: no request wakes it any more
        assert row(run, "a")["asleep"] is False
        until(lambda: _refused(gateway, "modelscan start a"))


def _refused(gateway: Served, words: str) -> Answer | None:
    status, body, after = chat(gateway, "a")
    return (status, body, after) if status == 503 and words in str(body) else None


@pytest.mark.slow
def test_an_entry_that_its_owner_disabled_wakes_nothing(
    run: Run, model_file: Path, home: Path
) -> None:
    deploy(run, model_file, "a")
    disable_route(home / "config" / "routing.yaml", "a")
    assert run("stop", "a", "--sleep").code == 0
    assert row(run, "a")["asleep"] is False
    with serving() as gateway:
        assert chat(gateway, "a")[0] == 503
    assert living(home) == []


def test_a_start_that_fails_is_explained_and_not_repeated(
    run: Run, model_file: Path, tmp_path: Path, home: Path
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(model_file.read_bytes())
    deploy(run, own, "a")
    assert run("stop", "a", "--sleep").code == 0
    own.write_bytes(b"GGUF" + b"\0" * 100)
    with serving() as gateway:
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: chat(gateway, "a"), range(3)))
        for _ in range(5):
            answers.append(chat(gateway, "a"))
        for status, body, after in answers:
            assert status == 503 and int(after or 0) >= 1, body
            assert body["error"]["code"] == "model_asleep"
            assert body["error"]["message"].count("did not start") == 1
        assert starts(gateway) == 1
    assert row(run, "a")["state"] == "failed"
    with serving() as gateway:  # another one reads it in the records
        status, body, after = chat(gateway, "a")
        assert status == 503 and after is not None, body
        own.write_bytes(model_file.read_bytes())
        assert run("start", "a").code == 0
        until(lambda: chat(gateway, "a")[0] == 200)
    assert run("stop", "a").code == 0


@pytest.mark.slow
def test_a_killed_load_is_answered_with_its_reason(run: Run, asleep: str, home: Path) -> None:
    with serving() as gateway, frozen_loads(home) as load:
        with meanwhile(lambda: chat(gateway, "a")) as answer:
            os.kill(load(), signal.SIGKILL)
        status, body, after = answer.result()
        assert status == 503 and after is not None
        assert "a did not start" in body["error"]["message"]


@pytest.mark.slow
def test_a_client_that_leaves_wakes_nothing_twice_and_the_rest_is_answered(
    run: Run, asleep: str, home: Path
) -> None:
    with serving() as gateway:
        with frozen_loads(home) as load:
            parts = urlsplit(gateway.url)
            leaver = http.client.HTTPConnection(str(parts.hostname), parts.port)
            body = {"model": "a", "messages": []}
            leaver.request("POST", "/v1/chat/completions", json.dumps(body))
            load()
            leaver.close()
        assert chat(gateway, "a")[0] == 200
        assert starts(gateway) == 1
    gone = [one for one in receipts(home) if one.status == 499]
    assert len(gone) == 1 and (gone[0].wake_s or 0) > 0


def test_the_gateway_ends_while_a_model_loads_and_the_next_one_goes_on(
    run: Run, asleep: str, home: Path, config: Config
) -> None:
    with frozen_loads(home) as load:
        with serving() as gateway:
            with meanwhile(lambda: chat(gateway, "a")) as answer:
                load()
                assert gateway.stop() == 0
            status, body, after = answer.result()
            assert (status, body["error"]["code"]) == (503, "gateway_stopping")
            assert after is not None
        assert Deployments(config).recorded("a").state is State.STARTING
    with serving() as gateway:
        assert chat(gateway, "a")[0] == 200
        assert starts(gateway) <= 1
    assert len(living(home)) == 2  # one engine and its supervisor


def test_a_stop_during_a_load_wins(run: Run, asleep: str, home: Path) -> None:
    with serving() as gateway, frozen_loads(home) as load:
        with meanwhile(lambda: chat(gateway, "a")) as answer:
            load()
            assert run("stop", "a").code == 0
        assert answer.result()[0] == 503
        assert row(run, "a")["state"] == "stopped" and living(home) == []
        until(lambda: _refused(gateway, "modelscan start a"))


@pytest.mark.slow
def test_waiting_has_limits(run: Run, asleep: str, home: Path) -> None:
    file = home / "config" / "routing.yaml"
    limits = "  limits: {queue: 2, wake_timeout_s: 2}\n"
    file.write_text(file.read_text().replace("routing:\n", f"routing:\n{limits}", 1))
    with serving() as gateway, frozen_loads(home) as load, ThreadPoolExecutor(3) as pool:
        first = [pool.submit(chat, gateway, "a") for _ in range(2)]
        load()
        until(lambda: chat(gateway, "a")[1]["error"]["code"] == "queue_full")
        for answer in first:
            status, body, after = answer.result()
            assert (status, body["error"]["code"]) == (503, "model_loading")
            assert after is not None


def test_members_of_a_group_take_turns(run: Run, model_file: Path, home: Path) -> None:
    file = home / "config" / "routing.yaml"
    for name in ("a", "b"):
        deploy(run, model_file, name, "--group", "one", "--ttl", "1h")
        assert run("stop", name, "--sleep").code == 0
    limits = "  limits: {residence_s: 0.2}\n"
    file.write_text(file.read_text().replace("routing:\n", f"routing:\n{limits}", 1))
    with serving() as gateway:
        for name in ("a", "b", "a"):
            assert chat(gateway, name)[0] == 200
            assert len(living(home)) == 2
        pinned = run("set", "a", "--pin", "--json")
        assert pinned.code == 0 and pinned.json["deployment"]["pin"] is True
        assert pinned.json["deployment"]["pid"] == row(run, "a")["pid"]  # not restarted
        status, _, after = until(lambda: _pinned(gateway))
        assert status == 503 and after is not None
    assert row(run, "b")["reason"] == "made room for a"
    assert run("stop", "--all").code == 0


def _pinned(gateway: Served) -> Answer | None:
    status, body, after = chat(gateway, "b")
    return (status, body, after) if "pinned" in str(body) else None
