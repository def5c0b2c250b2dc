"""The service that a server may use: typed, from any thread, with the clock of its owner."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.deploy.deployments import Deployments
from modelscan.state.config import Config
from modelscan.targets.events import Event, Planned, Planning, Running, Starting, Verifying
from modelscan.targets.request import Request

pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]


def request(model: Path, name: str, **more: bool) -> Request:
    return Request(str(model), Workload(context_tokens=512), name=name, **more)  # type: ignore[arg-type]


def test_a_life_from_a_thread_that_is_not_the_main_one(config: Config, model_file: Path) -> None:
    """No signal handler is touched: Python lets only the main thread do that."""
    service, seen = Deployments(config), list[object]()

    def live() -> None:
        outcome = service.deploy(request(model_file, "one"))
        seen.append(outcome.deployment.state)
        seen.append(service.stop("one").deployment.end_cause)
        seen.append(service.start("one").deployment.end_cause)
        seen.append(service.remove("one").name)

    thread = threading.Thread(target=live)
    thread.start()
    thread.join()
    assert seen == [State.RUNNING, EndCause.STOPPED_BY_USER, None, "one"]


def test_threads_share_one_service(config: Config, model_file: Path) -> None:
    """The same name is started once; other names do not wait for it."""
    service, changed = Deployments(config), list[bool]()

    def bring_up(name: str) -> None:
        changed.append(service.deploy(request(model_file, name)).changed)

    threads = [threading.Thread(target=bring_up, args=(name,)) for name in ("a", "a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False, True, True]
    rows = service.list()
    assert [(row.name, row.state) for row in rows] == [("a", State.RUNNING), ("b", State.RUNNING)]
    assert len({row.port for row in rows}) == 2


def test_time_and_events_are_the_callers(config: Config, model_file: Path) -> None:
    events: list[Event] = []
    service = Deployments(config, now=lambda: "2030-01-01T00:00:00.000Z")
    row = service.deploy(request(model_file, "one"), events.append).deployment
    assert row.created_at == row.started_at == "2030-01-01T00:00:00.000Z"
    assert events[0] == Planning("one", row.model)
    assert [type(event) for event in events] == [Planning, Planned, Starting, Verifying, Running]
    assert events[-1] == Running("one", row.endpoint)


def test_only_what_was_idle_is_woken(config: Config, model_file: Path) -> None:
    service = Deployments(config)
    service.deploy(request(model_file, "one"))
    service.stop("one")
    with pytest.raises(UsageError, match="one is stopped"):
        service.wake("one")


def test_no_signals_and_no_process_wide_state_in_the_rooms_of_a_server() -> None:
    """Signal handlers belong to the command line."""
    for room in ("deploy", "targets"):
        for file in (REPOSITORY / "modelscan" / room).rglob("*.py"):
            calls = {
                node.func.attr
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            assert "signal" not in calls, file


def test_taking_the_name_is_not_ignoring_the_planner(cli: Run) -> None:
    """An FP8 model on a V100: --replace leaves the planner's no, --force overrules it."""
    words = ("deploy", "qwen3-8b", "--gpu", "V100 32GB", "--backend", "vllm", "--quantization",
             "FP8", "--dry-run", "--json")  # fmt: skip
    assert cli(*words).code == 3
    assert cli(*words, "--replace").code == 3
    assert cli(*words, "--force").code == 0


def test_ignoring_the_planner_does_not_take_the_name(
    run_in_process: Run, config: Config, model_file: Path
) -> None:
    first = Deployments(config).deploy(request(model_file, "one")).deployment
    words = ("deploy", str(model_file), "--name", "one", "--context", "256", "--json")
    for option in ((), ("--force",)):
        refused = run_in_process(*words, *option)
        assert (refused.code, refused.json["error"]["code"]) == (2, "name_taken")
        assert "--replace" in refused.json["error"]["hint"]
    assert Deployments(config).show("one").pid == first.pid
    assert run_in_process(*words, "--replace").json["deployment"]["context_tokens"] == 256
