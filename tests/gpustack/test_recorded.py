"""What real servers said (``support/gpustack_record.py`` recorded it): every state, every error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from modelscan.core.deployment_state import State
from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.evaluate import opinion
from modelscan.targets.gpustack.inventory import inventory
from modelscan.targets.gpustack.logs import without_environment
from modelscan.targets.gpustack.states import Status, status
from modelscan.targets.gpustack.types import parse_gpu, parse_instance, parse_model, parse_worker
from modelscan.targets.gpustack.watch import parse_line

RECORDED = Path(__file__).parent / "recorded"
VERSIONS = ("2.3.0", "0.7.1")
EVERY = pytest.mark.parametrize("version", VERSIONS)


def recording(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{version}.json").read_text())
    return found


def answer(version: str, label: str) -> Any:
    return next(a for a in recording(version)["answers"] if a["label"] == label)["body"]


def situations(version: str, name: str) -> Iterator[tuple[str, Status]]:
    """What a model went through, in order: the recorded states, and what we make of them."""
    for label, seen in recording(version)["situations"].items():
        if label.startswith(f"{name}: "):
            rows = [parse_instance(row) for row in seen["instances"]]
            yield label, status(parse_model(seen["model"]), rows)


def asked(version: str, row: dict[str, Any]) -> Any:
    """The recorded answer, as the client hands it on; raises what it makes of a refusal."""
    text = row["body"] if isinstance(row["body"], str) else json.dumps(row["body"])
    reply = httpx.Response(row["status"], text=text)
    transport = HttpxTransport(inner=httpx.MockTransport(lambda _: reply))
    with Client(Connection("lab", "http://127.0.0.1:1", attempts=1), transport) as client:
        return client._call(row["method"], row["path"], what="do it")


@EVERY
class TestErrors:
    WANTED: ClassVar[dict[str, tuple[type[ModelscanError], str]]] = {
        "no-key": (AuthError, "auth"), "wrong-key": (AuthError, "auth"),
        "wrong-scope": (AuthError, "scope"), "wrong-scope-chat": (AuthError, "scope"),
        "unknown-model": (RemoteError, "not_found"), "unknown-path": (RemoteError, "not_found"),
        "unknown-model-again": (RemoteError, "not_found"), "wrong-method": (RemoteError, "remote"),
        "duplicate": (UsageError, "already_exists"), "no-source": (UsageError, "refused"),
        "negative-replicas": (UsageError, "refused"), "no-such-worker": (UsageError, "refused"),
        "put-without-source": (UsageError, "refused"), "chat-unknown": (RemoteError, "not_found"),
        "chat-stopped": (RemoteError, "remote"),
    }  # fmt: skip

    def test_every_one(self, version: str) -> None:
        refused = {a["label"]: a for a in recording(version)["answers"] if a["status"] >= 400}
        assert set(refused) == set(self.WANTED) - (
            set() if version == "2.3.0" else {"wrong-scope", "wrong-scope-chat"}
        )
        for label, row in refused.items():
            kind, code = self.WANTED[label]
            with pytest.raises(kind) as caught:
                asked(version, row)
            assert caught.value.code == code, label
            assert caught.value.hint
            assert not {"{", "}", "'type'"} & set(caught.value.message), label

    def test_the_shape_flips_and_the_sentence_stays(self, version: str) -> None:
        rows = {a["label"]: a for a in recording(version)["answers"]}
        first, second = rows["unknown-model"], rows["unknown-model-again"]
        assert "error" in second["body"], "recorded after an inference error"
        assert "error" not in first["body"]
        sentences = set()
        for row in (first, second):
            with pytest.raises(RemoteError) as caught:
                asked(version, row)
            sentences.add(caught.value.message)
        assert len(sentences) == 1

    def test_what_a_field_needs_is_said(self, version: str) -> None:
        row = next(a for a in recording(version)["answers"] if a["label"] == "negative-replicas")
        with pytest.raises(UsageError, match=r"replicas.*greater than or equal to 0"):
            asked(version, row)


@EVERY
class TestStates:
    def test_up_and_stopped(self, version: str) -> None:
        seen = dict(situations(version, "runs"))
        assert list(seen.values())[-1].state is State.RUNNING
        on_the_way = {found.state for found in list(seen.values())[:-1]}
        assert on_the_way <= {State.PENDING, State.DOWNLOADING, State.STARTING}
        assert not any(found.final for found in seen.values())
        down = list(situations(version, "stopped"))
        assert down[-1][1].state is State.STOPPED
        assert {found.state for _, found in down} <= {State.STOPPING, State.STOPPED}

    def test_no_worker_takes_it(self, version: str) -> None:
        last = list(situations(version, "huge"))[-1][1]
        assert (last.state, last.code, last.final) == (State.FAILED, "unschedulable", True)
        assert "838.19 GiB" in (last.reason or "")

    def test_it_restarts_again_and_again(self, version: str) -> None:
        seen = dict(situations(version, "loop"))
        for label, found in seen.items():
            again = label.endswith(("[2]", "[3]"))
            assert (found.code, found.final) == (("restart_loop", True) if again else (None, False))
        assert any("error" in label for label in seen)
        assert any(found.code == "restart_loop" for found in seen.values())

    def test_it_is_not_to_be_restarted(self, version: str) -> None:
        last = list(situations(version, "once"))[-1][1]
        assert (last.state, last.code, last.final) == (State.FAILED, "start_failed", True)
        assert "3" in (last.reason or "")  # its exit code

    def test_every_lasting_state_was_met(self, version: str) -> None:
        rows = [r for s in recording(version)["situations"].values() for r in s["instances"]]
        lasting = {"pending", "analyzing", "scheduled", "starting", "running", "error"}
        assert {row["state"] for row in rows} >= lasting


def test_an_image_that_is_not_there() -> None:
    last = list(situations("2.3.0", "image"))[-1][1]
    assert (last.state, last.code) == (State.FAILED, "start_failed")
    assert "image cannot be pulled" in (last.reason or "")


@EVERY
class TestAnswers:
    @pytest.mark.parametrize(
        ("case", "compatible", "decided"),
        [("fits", True, True), ("too-large", False, True), ("hub-away", False, False),
         ("indivisible", False, True), ("no-such-worker", False, True)],
    )  # fmt: skip
    def test_evaluations(self, version: str, case: str, compatible: bool, decided: bool) -> None:
        found = opinion(answer(version, f"evaluate-{case}")["results"][0])
        assert (found.compatible, found.decided) == (compatible, decided), found
        assert compatible or found.messages

    def test_hardware(self, version: str) -> None:
        """One model runs: what it was promised is not free."""
        workers = [parse_worker(row) for row in answer(version, "list-workers")["items"]]
        devices = [parse_gpu(row, "") for row in answer(version, "list-gpu-devices")["items"]]
        found = inventory(workers, devices, "lab")
        names = ["NVIDIA H100 80GB HBM3"] * 2 + ["NVIDIA GeForce RTX 4090"]
        assert [gpu.name for gpu in found.gpus] == names[: 3 if version == "2.3.0" else 2]
        assert {gpu.compute_capability for gpu in found.gpus[:2]} == {"9.0"}
        busy = [gpu for gpu in found.gpus if (gpu.free_bytes or 0) < (gpu.memory_bytes or 0)]
        assert len(busy) == 1

    def test_the_watch_stream(self, version: str) -> None:
        lines = recording(version)["watch"]
        events = [event for line in lines if (event := parse_line(line))]
        assert len(events) == sum(line.startswith("{") for line in lines) > 3
        assert {parse_instance(event.row).state for event in events} & {"running", "starting"}

    def test_the_log_without_the_environment(self, version: str) -> None:
        text = answer(version, "log")
        lines = list(without_environment(text.splitlines()))
        for name in ("PATH", "HOME", "START_AFTER", "no_proxy", "OMP_NUM_THREADS"):
            assert not any(line.startswith(f"{name}=") for line in lines), name
        assert any("stand-in engine" in line for line in lines)
        assert any("ready on" in line for line in lines)
        dropped = len(text.splitlines()) - len(lines)
        assert dropped >= 8
