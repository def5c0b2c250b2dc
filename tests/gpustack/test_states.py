"""What the server's fields mean together: rows in the shape it sends, one per situation."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from modelscan.core.deployment_state import State
from modelscan.core.errors import RemoteError
from modelscan.targets.gpustack.drift import changed, describe, same, snapshot
from modelscan.targets.gpustack.logs import LEFT_OUT, without_environment
from modelscan.targets.gpustack.states import status
from modelscan.targets.gpustack.types import parse_instance, parse_model
from modelscan.targets.gpustack.watch import DELETE, UPSERT, parse_line

NO_WORKER = "No suitable workers.\nDetails:\n- Matched 2 workers.\n- It needs 900 GiB.\n"


def model(**changes: Any) -> Any:
    return parse_model({"id": 1, "name": "m", "replicas": 1, "state": "pending",
                        "restart_on_error": True, **changes})  # fmt: skip


def instance(state: str, message: str = "", **changes: Any) -> Any:
    return parse_instance({"id": 7, "name": "m-1", "model_id": 1, "state": state,
                           "state_message": message, "restart_count": 0, **changes})  # fmt: skip


class TestStatus:
    def test_stopped_says_pending(self) -> None:
        assert status(model(replicas=0), []).state is State.STOPPED

    def test_still_going_down(self) -> None:
        assert status(model(replicas=0), [instance("running")]).state is State.STOPPING

    def test_unschedulable(self) -> None:
        seen = status(model(), [instance("pending", NO_WORKER)])
        assert (seen.state, seen.final, seen.code) == (State.FAILED, True, "unschedulable")
        assert seen.reason == (
            "no worker has room for it: No suitable workers. Matched 2 workers. It needs 900 GiB."
        )

    @pytest.mark.parametrize("state", ["starting", "error", "scheduled"])
    def test_a_restart_loop_is_no_progress(self, state: str) -> None:
        seen = status(model(), [instance(state, "Error (exit code 3)", restart_count=2)])
        assert (seen.final, seen.code) == (True, "restart_loop")
        assert status(model(), [instance(state, restart_count=1)]).final is False

    def test_an_error_counts_at_once_where_nothing_is_restarted(self) -> None:
        rows = [instance("error", "Inference server exited with code 3.")]
        assert status(model(restart_on_error=False), rows).code == "start_failed"
        assert status(model(), rows).state is State.STARTING

    def test_an_image_that_is_not_there(self) -> None:
        seen = status(model(), [instance("error", "Failed to pull image x:1: manifest unknown")])
        assert seen.final
        assert "image cannot be pulled" in (seen.reason or "")

    def test_download(self) -> None:
        rows = [instance("downloading", download_progress=12.5),
                instance("downloading", download_progress=40.0)]  # fmt: skip
        seen = status(model(replicas=2), rows)
        assert (seen.state, seen.progress) == (State.DOWNLOADING, 12.5)

    def test_some_run_and_one_cannot(self) -> None:
        seen = status(model(replicas=2), [instance("running"), instance("pending", NO_WORKER)])
        assert (seen.state, seen.ready, seen.replicas) == (State.RUNNING, 1, 2)
        assert seen.final


class TestWatch:
    def test_kinds(self) -> None:
        line = '{"type":%d,"data":{"id":3,"state":"running"},"changed_fields":{},"id":3}'
        kinds = [event.kind for n in (1, 2, 3) if (event := parse_line(line % n))]
        assert kinds == [UPSERT, UPSERT, DELETE]

    @pytest.mark.parametrize("line", ["", "  ", '{"type":1,"da', "[]", '{"type":9,"data":{}}'])
    def test_heartbeats_and_broken_lines(self, line: str) -> None:
        assert parse_line(line) is None


class TestDrift:
    ROW: ClassVar[dict[str, Any]] = {"replicas": 1, "backend_parameters": ["--a=1"], "env": None, "worker_selector": {},
           "gpu_selector": None, "state": "running", "updated_at": "x"}  # fmt: skip

    def test_nothing_changed(self) -> None:
        again = {**self.ROW, "updated_at": "y", "env": {}, "worker_selector": None}
        assert changed(snapshot(self.ROW), again) == ()

    def test_what_the_server_adds_to_an_entry(self) -> None:
        entry = {"lora_name": "a", "source": "huggingface"}
        assert same([{**entry, "path": None, "model_file_id": 3}], [entry])
        assert not same([{**entry, "lora_name": "b"}], [entry])
        assert not same([entry, entry], [entry])

    def test_what_changed_and_how(self) -> None:
        before = snapshot(self.ROW)
        row = {**self.ROW, "replicas": 0, "env": {"A": "1"}}
        assert changed(before, row) == ("replicas", "env")
        assert describe(("replicas", "env"), before, row) == "replicas 1 -> 0, env"

    def test_values_of_variables_are_not_kept(self) -> None:
        assert "hunter2" not in str(snapshot({**self.ROW, "env": {"PASSWORD": "hunter2"}}))


class TestLogs:
    BLOCK: ClassVar[list[str]] = [
        "2026-01-01 00:00:01.1+00:00 - worker - INFO - With image: x, envs(some words):",
        "AWS_SECRET_ACCESS_KEY=abc", "MULTI=one", "two", "2026-01-01 00:00:02 - worker - INFO - go",
    ]  # fmt: skip

    def test_the_block_is_dropped(self) -> None:
        found = list(without_environment(self.BLOCK))
        assert found == [f"{self.BLOCK[0]} {LEFT_OUT}", self.BLOCK[-1]]

    def test_a_tail_may_begin_inside_it(self) -> None:
        assert list(without_environment(self.BLOCK[1:3] + self.BLOCK[4:])) == self.BLOCK[4:]

    def test_in_one_line(self) -> None:
        text = "run vllm with env={'HF_TOKEN': 'x'} now"
        assert list(without_environment([text])) == [f"run vllm with env={LEFT_OUT} now"]


@pytest.mark.parametrize(
    "change",
    [{"state": 5}, {"replicas": "two"}, {"replicas": 1e400}, {"updated_at": [1]}, {"id": 1e400}],
)
def test_a_row_with_another_kind_of_value_is_not_understood(change: dict[str, Any]) -> None:
    from modelscan.core.errors import RemoteError
    from modelscan.targets.gpustack.types import parse_model

    with pytest.raises(RemoteError) as caught:
        parse_model({"id": 1, "name": "m", **change})
    assert caught.value.code == "not_understood"


@pytest.mark.parametrize(
    "gpu", [{"memory": {"total": "80 GiB"}}, {"index": 1e400}, {"compute_capability": 9}, "x"]
)
def test_a_device_with_another_kind_of_value_is_not_understood(gpu: Any) -> None:
    from modelscan.core.errors import RemoteError
    from modelscan.targets.gpustack.types import parse_worker

    with pytest.raises(RemoteError):
        parse_worker({"id": 1, "name": "w", "status": {"gpu_devices": [gpu]}})


def test_hostile_watch_lines_are_dropped() -> None:
    from modelscan.targets.gpustack.watch import parse_line

    for line in ('{"type": 1, "id": 1e400, "data": {"id": 1}}', '{"a":' * 100_000):
        assert parse_line(line) is None


@pytest.mark.parametrize("answer", [None, [], "x", 3, {}, {"id": None, "name": "m"}])
def test_what_is_no_model_is_an_error_of_the_server(answer: Any) -> None:
    with pytest.raises(RemoteError):
        parse_model(answer)


def test_values_of_variables_are_not_kept_whatever_their_kind() -> None:
    assert "hunter2" not in str(
        [snapshot({"env": {"A": "hunter2"}}), snapshot({"env": ["hunter2"]})]
    )
