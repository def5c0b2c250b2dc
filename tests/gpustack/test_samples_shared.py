"""Answers recorded from real servers, 2.3.0 and 0.7.1: every one is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError
from modelscan.net.httpx_transport import HttpxTransport
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.errors import error_from
from modelscan.targets.gpustack.evaluate import opinion
from modelscan.targets.gpustack.inventory import inventory
from modelscan.targets.gpustack.logs import without_environment
from modelscan.targets.gpustack.states import status
from modelscan.targets.gpustack.types import parse_gpu, parse_instance, parse_model, parse_worker
from modelscan.targets.gpustack.watch import parse_line

pytestmark = pytest.mark.shared
VERSIONS = ("2.3.0", "0.7.1")


def recorded(shared: Path, version: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((shared / "data/gpustack/samples" / version).glob("*.json")):
        yield file.stem, json.loads(file.read_text())


def answer(shared: Path, name: str, version: str = "2.3.0") -> Any:
    file = shared / "data/gpustack/samples" / version / f"{name}.json"
    return json.loads(file.read_text())["response"]["body"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_error_becomes_a_sentence(shared: Path, version: str) -> None:
    count = 0
    for name, sample in recorded(shared, version):
        code, body = sample["response"]["status"], sample["response"]["body"]
        if code < 400:
            continue
        found = error_from(code, body, str(body), what="do it", target="lab")
        assert isinstance(found, ModelscanError)
        assert "'type':" not in found.message, name
        assert "{" not in found.message, name
        count += 1
    assert count >= 5


@pytest.mark.parametrize("version", VERSIONS)
def test_every_sample_goes_through_the_client(shared: Path, version: str) -> None:
    """Whatever was recorded: a value, or an error of ours with a sentence and a hint."""
    for name, sample in recorded(shared, version):
        request, response = sample["request"], sample["response"]
        body = response["body"]
        text = body if isinstance(body, str) else json.dumps(body)
        reply = httpx.Response(response["status"], text=text)
        where = Connection("lab", "http://127.0.0.1:1", attempts=1)
        with Client(
            where, HttpxTransport(inner=httpx.MockTransport(lambda _, reply=reply: reply))
        ) as client:  # type: ignore[misc]
            try:
                client._call(request["method"], request["path"], what="do it")
            except ModelscanError as error:
                assert error.message, name
                assert error.hint, name
                assert response["status"] >= 300 or error.code == "not_json", name
            else:
                assert response["status"] < 300, name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_row_is_read(shared: Path, version: str) -> None:
    """Models, instances, workers and devices, from whatever list or answer they come."""
    seen = {"models": 0, "model-instances": 0, "workers": 0, "gpu-devices": 0}
    parsers: dict[str, Any] = {
        "models": parse_model, "model-instances": parse_instance, "workers": parse_worker,
        "gpu-devices": lambda row: parse_gpu(row, ""),
    }  # fmt: skip
    for _, sample in recorded(shared, version):
        path = sample["request"]["path"].partition("?")[0].strip("/").split("/")
        kind = "model-instances" if path[-1] == "instances" else path[-1]
        body = sample["response"]["body"]
        if (
            sample["response"]["status"] != 200
            or kind not in parsers
            or path[0] not in ("v1", "v2")
            or not isinstance(body, dict)
        ):
            continue
        for row in body.get("items", [body] if "id" in body else []):
            parsers[kind](row)
            seen[kind] += 1
    assert all(seen.values()), seen


@pytest.mark.parametrize(
    ("model", "instances", "state", "code"),
    [
        ("165_model-unschedulable", "164_instances-unschedulable", State.FAILED, "unschedulable"),
        ("094_model-stopped", "095_instances-of-stopped", State.STOPPED, None),
        ("117_model-fake-run2", "118_instances-fake-run2", State.RUNNING, None),
    ],
)
def test_situations(shared: Path, model: str, instances: str, state: State, code: str) -> None:
    row = answer(shared, model)
    rows = answer(shared, instances)["items"]
    seen = status(parse_model(row), [parse_instance(r) for r in rows if r["model_id"] == row["id"]])
    assert (seen.state, seen.code) == (state, code), seen


@pytest.mark.parametrize(
    ("name", "compatible", "decided"),
    [
        ("053_evaluate-local-vllm", True, True),
        ("055_evaluate-too-big-on-4090", False, True),
        ("057_evaluate-hf-offline", False, False),
        ("058_evaluate-modelscope-offline", False, False),
        ("149_evaluate-vllm-maxlen-1m-exceeds", True, True),
        ("150_evaluate-vllm-tp3-indivisible", False, True),
        ("156_evaluate-worker-selector-nomatch", False, True),
        ("169_evaluate-hf-missing-repo", False, True),
    ],
)
def test_evaluations(shared: Path, name: str, compatible: bool, decided: bool) -> None:
    found = opinion(answer(shared, name)["results"][0])
    assert (found.compatible, found.decided) == (compatible, decided)
    assert compatible or found.messages


def test_workers_as_hardware(shared: Path) -> None:
    workers = [
        parse_worker(row) for row in answer(shared, "047_workers-with-simulated-gpus")["items"]
    ]
    devices = [parse_gpu(row, "") for row in answer(shared, "070_gpu-devices-allocated")["items"]]
    found = inventory(workers, devices, "lab")
    assert found.gpus
    taken = [gpu for gpu in found.gpus if (gpu.free_bytes or 0) < (gpu.memory_bytes or 0)]
    assert taken, "what GPUStack has promised is not free"


def test_the_watch_stream(shared: Path) -> None:
    """Every JSON line of the recording is an event with a row; the rest is heartbeats."""
    text = (shared / "data/gpustack/samples/2.3.0/watch_stream.txt").read_text()
    lines = [line.partition("] ")[2] for line in text.splitlines() if line.startswith("[")]
    events = [parse_line(line) for line in lines]
    full = [event for event in events if event]
    assert len(full) == sum(line.startswith("{") for line in lines) > 3
    assert all("state" in event.row for event in full)


@pytest.mark.parametrize("name", ["086_logs-tail", "107_logs-error", "119_logs-fake-run2"])
def test_logs_lose_the_environment(shared: Path, name: str) -> None:
    found = "\n".join(without_environment(str(answer(shared, name)).splitlines()))
    assert "\nPATH=" not in found
    assert "\nHOME=" not in found
