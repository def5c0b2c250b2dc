"""Whole commands against a stand-in server: what a person sees where the real one cannot be made
to do it, or takes minutes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.failed_starts import FAILED_STARTS
from support.fake_gpustack import CARD, FakeGpuStack, page
from support.tiny_hf import write_tiny_hf

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import RemoteError
from modelscan.core.workload import Workload
from modelscan.deploy import reconcile
from modelscan.deploy.deployments import Deployments
from modelscan.state.config import load
from modelscan.state.store import Store
from modelscan.state.targets import load as load_targets
from modelscan.targets.base import StartFailed
from modelscan.targets.gpustack import client
from modelscan.targets.gpustack.follow import Patience
from modelscan.targets.gpustack.target import GpuStackTarget
from modelscan.targets.request import Request

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE_S", 0.0)


@pytest.fixture
def lab(run_in_process: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpuStack]:
    monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
    with FakeGpuStack() as server:
        assert run_in_process("target", "add", "lab", server.url, "--key", "env:LAB_KEY").code == 0
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "tiny", architectures=["LlamaForCausalLM"])


@pytest.fixture
def impatient(lab: FakeGpuStack) -> Deployments:
    """The service with a target that gives up soon."""
    patience = Patience(restarted_s=0.5, gone_s=0.2)
    config = load()
    target = GpuStackTarget(config, load_targets(config.paths).find("lab"), patience)
    return Deployments(config, find=lambda name, _: target)


@pytest.fixture
def deploy(run_in_process: Run, folder: Path) -> Run:

    def run(*words: str) -> Any:
        return run_in_process("deploy", str(folder), "--name", "one", "--target", "lab",
                              "--context", "1k", "--json", *words)  # fmt: skip

    return run


def row(run: Run, name: str = "one") -> dict[str, Any]:
    rows = json.loads(run("list", "--json").out)["deployments"]
    found: dict[str, Any] = next(one for one in rows if one["name"] == name)
    return found


class TestSending:
    def test_a_preview_is_what_is_sent(self, lab: FakeGpuStack, deploy: Run) -> None:
        first, second = (deploy("--dry-run").json["launch"]["body"] for _ in range(2))
        assert lab.sent("POST", "/v2/models") == []
        done = deploy()
        assert done.code == 0, done.out
        assert lab.sent("POST", "/v2/models") == [first] == [second]

    def test_another_installation_has_another_mark(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        here = deploy("--dry-run").json["launch"]["body"]["description"]
        monkeypatch.setenv("MODELSCAN_HOME", str(tmp_path / "elsewhere"))
        run_in_process("target", "add", "lab", lab.url, "--key", "env:LAB_KEY")
        assert deploy("--dry-run").json["launch"]["body"]["description"] != here

    def test_a_key_that_may_not_ask_creates_nothing(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LAB_KEY", "gpustack_management_0123456789")
        done = deploy()
        assert (done.code, done.json["error"]["code"]) == (4, "scope")
        assert "management and inference" in done.json["error"]["hint"]
        assert lab.sent("POST", "/v2/models") == []
        assert run_in_process("list", "-q").out == ""

    def test_a_body_that_the_server_refuses_is_not_sent(
        self, lab: FakeGpuStack, deploy: Run
    ) -> None:
        """Its evaluation takes the same body, and says 422 where a create would."""
        message = "1 validation errors:\n  {'loc': ('body', 'env'), 'msg': 'a string is needed'}"
        lab.answers["/v2/model-evaluations"] = (422, {"code": 422, "message": message})
        error = deploy().json["error"]
        assert error["code"] == "evaluation_refused"
        assert "env: a string is needed" in error["message"]
        assert lab.sent("POST", "/v2/models") == []

    def test_no_wait_does_not_wait_the_second_time(self, lab: FakeGpuStack, deploy: Run) -> None:
        lab.states = ["starting"]
        assert deploy("--no-wait").json["changed"] is True
        again = deploy("--no-wait")
        assert (again.json["deployment"]["state"], again.json["changed"]) == ("starting", False)


class TestOlderServers:
    @pytest.fixture
    def old(self, run_in_process: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpuStack]:
        monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
        with FakeGpuStack("0.7.1") as server:
            run_in_process("target", "add", "lab", server.url, "--key", "env:LAB_KEY")
            yield server

    def test_a_gguf_runs_on_llama_box(self, old: FakeGpuStack, run_in_process: Run) -> None:
        done = run_in_process("deploy", "examples/demo-model.gguf", "--name", "demo", "--target",
                              "lab", "--json")  # fmt: skip
        assert done.code == 0, done.out
        (sent,) = old.sent("POST", "/v1/models")
        assert (sent["backend"], sent["source"]) == ("llama-box", "local_path")
        assert sent["backend_parameters"] == ["--ctx-size=1024", "--parallel=1"]
        assert old.sent("POST", "/v1-openai/chat/completions")

    @pytest.mark.parametrize("goal", ["quality", "speed", "context"])
    def test_sglang_is_no_choice_there(
        self, old: FakeGpuStack, run_in_process: Run, goal: str
    ) -> None:
        for mode in ("standard", "throughput", "latency"):
            words = ("qwen3-8b", "--target", "lab", "--goal", goal, "--mode", mode, "--json")
            found = run_in_process("plan", *words).json
            assert {found["plan"]["backend"], *(p["backend"] for p in found["alternatives"])} <= {
                "vllm", "llama.cpp",
            }  # fmt: skip

    def test_adapters_are_refused(self, old: FakeGpuStack, deploy: Run) -> None:
        refused = deploy("--adapter", "lab/lora")
        assert (refused.code, old.sent("POST", "/v1/models")) == (3, [])


class TestSeveralClusters:
    def test_only_the_chosen_one_counts(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        small = {**CARD, "name": "NVIDIA GeForce RTX 4090", "memory": {"total": 24 * 2**30}}
        lab.cards = [("one", 1, CARD), ("two", 2, small)]
        for cluster, worker, name in (("cluster-1", "one", "H100"), ("2", "two", "4090")):
            run_in_process("target", "add", "lab", lab.url, "--key", "env:LAB_KEY",
                           "--cluster", cluster)  # fmt: skip
            (gpu,) = run_in_process("gpu", "--target", "lab", "--json").json["gpus"]
            assert (gpu["worker"], name in gpu["name"]) == (worker, True)
            body = deploy("--dry-run").json["launch"]["body"]
            assert body["worker_selector"] == {"worker-name": worker}
            assert body["cluster_id"] == int(cluster[-1])


class TestFollowing:
    def test_the_hint_after_too_long_is_a_command(self, lab: FakeGpuStack, deploy: Run) -> None:
        lab.states = ["starting"]
        error = deploy("--timeout", "0.5").json["error"]
        assert error["code"] == "timeout"
        assert error["hint"] == "modelscan start one --timeout SECONDS"

    def test_a_server_without_a_stream_is_not_stormed(self, lab: FakeGpuStack, deploy: Run) -> None:
        """It answers a watch with a list, at once: asked again after a pause."""
        lab.states = ["starting"]
        assert deploy("--timeout", "2").json["error"]["code"] == "timeout"
        looks = [1 for verb, path, _ in lab.seen if (verb, path) == ("GET", "/v2/models/1")]
        assert 2 <= len(looks) <= 12

    def test_a_failure_that_no_worker_mends(
        self, lab: FakeGpuStack, impatient: Deployments, folder: Path
    ) -> None:
        lab.states, lab.message = ["starting", "error"], "unsupported architecture"
        request = Request(str(folder), Workload(context_tokens=1024), target="lab", name="one")
        with pytest.raises(StartFailed, match="unsupported architecture") as caught:
            impatient.deploy(request)
        assert caught.value.code == "start_failed"
        assert lab.models[1]["replicas"] == 0
        assert impatient.recorded("one").end_cause is EndCause.FAILED_TO_START

    def test_the_engines_own_cause_is_named(
        self, lab: FakeGpuStack, impatient: Deployments, folder: Path
    ) -> None:
        """The server knows an exit code; the log of its instance has the cause and a number."""
        lab.states, lab.message = ["starting", "error"], "Error (exit code 1)"
        log = next(one.log for one in FAILED_STARTS if one.name == "mamba")
        lab.answers["/v2/model-instances/1/logs"] = (200, log.encode())
        request = Request(str(folder), Workload(context_tokens=1024), target="lab", name="one")
        with pytest.raises(StartFailed, match=r"exit code 1\): ValueError: max_num_seqs") as caught:
            impatient.deploy(request)
        assert (caught.value.kind, caught.value.details["kind"]) == ("memory", "memory")
        assert caught.value.hint == "deploy it with --param max-num-seqs=614"

    def test_a_failure_that_is_mended_in_time(self, lab: FakeGpuStack, deploy: Run) -> None:
        lab.states = ["error", "error", "error", "running"]
        assert deploy("--timeout", "60").json["deployment"]["state"] == "running"


class TestLooking:
    def test_a_slow_answer_ends_nothing(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look verifies what became ready; on a busy machine that takes longer than a look."""
        monkeypatch.setattr(reconcile, "_VERIFY_S", 0.1)
        lab.answers["/v1/chat/completions"] = (200, {})
        assert deploy("--no-wait").json["deployment"]["state"] == "starting"
        slow = row(run_in_process)
        assert (slow["state"], "empty answer" in slow["reason"]) == ("starting", True)
        assert lab.models[1]["replicas"] == 1
        del lab.answers["/v1/chat/completions"]
        assert (row(run_in_process)["state"], row(run_in_process)["reason"]) == ("running", None)


class TestNeverTrustA200:
    @pytest.mark.parametrize("answer", [{"choices": []}, {}, [], "Hello"], ids=str)
    def test_an_answer_without_an_answer(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, answer: Any
    ) -> None:
        lab.answers["/v1/chat/completions"] = (200, answer)
        done = deploy("--timeout", "0.5")
        assert (done.code, done.json["error"]["code"]) == (5, "unverified")
        assert (row(run_in_process)["state"], lab.models[1]["replicas"]) == ("failed", 0)
        assert json.loads(run_in_process("route", "list", "--json").out)["routes"] == []

    def test_an_embedding_model_is_asked_for_an_embedding(
        self, lab: FakeGpuStack, deploy: Run
    ) -> None:
        lab.answers["/v1/embeddings"] = (200, {"data": [{"embedding": [0.1]}]})
        done = deploy("--embedding")
        assert done.code == 0, done.out
        assert lab.sent("POST", "/v1/embeddings")
        assert lab.sent("POST", "/v1/chat/completions") == []
        assert lab.models[1]["categories"] == ["embedding"]

    def test_a_stop_that_does_not_stop(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, impatient: Deployments
    ) -> None:
        assert deploy().code == 0
        left = {"id": 9, "model_id": 1, "name": "one-1", "state": "running"}
        lab.answers["/v2/model-instances"] = page([left])
        with pytest.raises(RemoteError) as caught:
            impatient.stop("one", drain_s=0)
        assert caught.value.code == "not_stopped"
        assert row(run_in_process)["state"] == "stopping"
        assert json.loads(run_in_process("route", "list", "--json").out)["routes"][0][
            "enabled"
        ] is False  # fmt: skip
        del lab.answers["/v2/model-instances"]
        assert row(run_in_process)["state"] == "stopped"


def writes(lab: FakeGpuStack) -> list[Any]:
    return [one for method in ("PUT", "DELETE") for one in lab.sent(method, "/v2/models/1")]


def routed(run: Run) -> bool:
    routes = json.loads(run("route", "list", "--json").out)["routes"]
    return bool(routes and routes[0]["enabled"])


class TestRefusedStop:
    """A stop that the server refuses, or that does not reach it, changes nothing at all."""

    @pytest.mark.parametrize("words", [["stop", "one"], ["remove", "one", "--yes"],
                                       ["restart", "one"]])  # fmt: skip
    def test_a_wrong_key(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, words: list[str]
    ) -> None:
        assert deploy().code == 0
        lab.answers["/v2/models"] = (401, {"message": "Invalid authentication credentials"})
        done = run_in_process(*words, "--json")
        assert done.code == 4
        assert routed(run_in_process)
        del lab.answers["/v2/models"]
        assert row(run_in_process)["state"] == "running"
        assert (routed(run_in_process), writes(lab)) == (True, [])

    def test_a_key_that_may_look_but_not_change(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        lab.answers["PUT /v2/models/1"] = (403, {"message": "forbidden"})
        assert run_in_process("stop", "one", "--drain", "0").code == 4
        assert row(run_in_process)["state"] == "running"
        assert routed(run_in_process)

    def test_a_server_that_is_away(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        run_in_process("target", "add", "lab", "http://127.0.0.1:9", "--key", "env:LAB_KEY")
        assert run_in_process("stop", "one").code == 5
        seen = row(run_in_process)
        assert (seen["state"], seen["health"]) == ("running", "unknown")
        assert routed(run_in_process)

    def test_an_interrupted_stop_is_pending_until_a_command_carries_it_out(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        config = load()
        with Store.open(config.paths.store_file) as store:
            stored = store.get("one")
            assert stored is not None
            store.put(replace(stored, state=State.STOPPING))
        run_in_process("target", "add", "lab", "http://127.0.0.1:9", "--key", "env:LAB_KEY")
        seen = row(run_in_process)
        assert seen["state"] == "stopping"
        assert "modelscan stop one carries it out" in seen["reason"]
        assert "modelscan start one cancels it" in seen["reason"]
        run_in_process("target", "add", "lab", lab.url, "--key", "env:LAB_KEY")
        assert (row(run_in_process)["state"], writes(lab)) == ("running", [])
        assert routed(run_in_process)

    def test_what_fails_on_the_server_is_not_stopped_by_looking(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        instance = {"id": 9, "model_id": 1, "name": "one-1", "state": "error",
                    "state_message": "exit code 3", "restart_count": 9}  # fmt: skip
        lab.models[1]["ready_replicas"] = 0
        lab.answers["/v2/model-instances"] = page([instance])
        seen = row(run_in_process)
        assert (seen["state"], "exit code 3" in seen["reason"]) == ("failed", True)
        assert run_in_process("show", "one").code == 0
        assert (writes(lab), lab.models[1]["replicas"]) == ([], 1)
        del lab.answers["/v2/model-instances"]
        lab.models[1]["ready_replicas"] = 1
        assert row(run_in_process)["state"] == "running"  # the server restarted it


class TestUpdate:
    def test_set_answers_as_deploy_does(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        done = run_in_process("set", "one", "--param", "max-num-seqs=3", "--json")
        assert (done.code, done.json["schema"]) == (0, "modelscan.deploy/1")
        assert (done.json["changed"], done.json["route"]["name"]) == (True, "one")
        assert "--max-num-seqs=3" in lab.models[1]["backend_parameters"]

    def test_a_change_that_does_not_start_is_taken_back(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        before = dict(lab.models[1])

        def state_of(model: dict[str, Any]) -> str:
            changed = "--max-num-seqs=3" in (model.get("backend_parameters") or ())
            return "starting" if changed else "running"

        lab.state_of = state_of
        done = run_in_process("update", "one", "--param", "max-num-seqs=3", "--timeout", "1",
                              "--json")  # fmt: skip
        assert done.code == 5
        error = done.json["error"]
        assert error["code"] == "timeout"
        assert "was not ready after" in error["message"]
        assert "the previous options are running again" in error["message"]
        assert lab.models[1]["backend_parameters"] == before["backend_parameters"]
        assert (row(run_in_process)["state"], routed(run_in_process)) == ("running", True)


class TestOthersAtWork:
    def test_renamed(self, lab: FakeGpuStack, deploy: Run, run_in_process: Run) -> None:
        """It is still ours: said, named back by the same deploy, removed under any name."""
        assert deploy().code == 0
        lab.models[1]["name"] = "theirs"
        seen = row(run_in_process)
        assert (seen["state"], "name one -> theirs" in seen["reason"]) == ("running", True)
        assert deploy().json["changed"] is True
        assert [model["name"] for model in lab.models.values()] == ["one"]
        lab.models[1]["name"] = "theirs"
        assert run_in_process("remove", "one", "--yes", "--drain", "0").code == 0
        assert lab.models == {}

    @pytest.mark.parametrize(
        "words", [["start"], ["restart"], ["show"], ["logs"], ["stop"], ["remove", "--yes"],
                  ["update", "--replicas", "2"]],
    )  # fmt: skip
    def test_a_strangers_model(
        self, lab: FakeGpuStack, run_in_process: Run, words: list[str]
    ) -> None:
        lab.models[7] = {"id": 7, "name": "theirs", "replicas": 1, "source": "local_path",
                         "local_path": "/m", "description": None}  # fmt: skip
        done = run_in_process(words[0], "theirs", *words[1:], "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "unmanaged")
        forcible = words[0] in ("stop", "remove")
        assert ("--force" in done.json["error"]["hint"]) is forcible
        assert lab.models[7]["description"] is None


class TestAddress:
    def test_a_server_that_moved_takes_its_routes_along(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        assert deploy().code == 0
        with FakeGpuStack() as moved:
            moved.models = lab.models
            run_in_process("target", "add", "lab", moved.url, "--key", "env:LAB_KEY")
            assert row(run_in_process)["endpoint"] == moved.url
            routes = json.loads(run_in_process("route", "list", "--json").out)["routes"]
            assert [(r["base_url"], r["enabled"]) for r in routes] == [(moved.url, True)]

    def test_show_does_not_need_the_server(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run
    ) -> None:
        sent = deploy().json
        run_in_process("target", "add", "lab", "http://127.0.0.1:9", "--key", "env:LAB_KEY")
        shown = run_in_process("show", "one", "--json")
        assert shown.code == 0, shown.out
        assert shown.json["deployment"]["health"] == "unknown"
        assert shown.json["launch"]["url"] == "http://127.0.0.1:9/v2/models"
        assert shown.json["deployment"]["created_at"] == sent["deployment"]["created_at"]


WEB_PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
ROWS: list[Any] = [
    [1, 2], [{}], [{"id": "x", "name": None, "state": None}],
    [{"id": 1, "name": "n", "state": "ready", "status": "x"}],
    [{"id": 1, "name": "n", "status": {"gpu_devices": [{"index": "a", "memory": 3}]}}],
]  # fmt: skip


class TestWhatIsNoGpuStack:
    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ((404, WEB_PAGE), "not_gpustack"),
            ((200, b"<!doctype html>"), "not_gpustack"),
            ((404, {"detail": "Not Found"}), "not_gpustack"),
            ((200, {"version": 3}), "not_gpustack"),
            ((200, [1]), "not_gpustack"),
            ((200, {"version": "0.11.0"}), "unsupported_version"),  # vLLM answers there, too
            ((302, b""), "remote"),
        ],
    )
    def test_another_program(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, answer: Any, code: str
    ) -> None:
        lab.answers["/version"] = answer
        done = deploy()
        assert done.code in (2, 5)
        error = done.json["error"]
        assert error["code"] == code
        assert "<" not in error["message"].replace(lab.url, "")
        tested = run_in_process("target", "test", "lab", "--json").json
        assert tested["checks"][0]["status"] == "error"

    @pytest.mark.parametrize("rows", ROWS, ids=str)
    def test_rows_that_are_none(
        self, lab: FakeGpuStack, deploy: Run, run_in_process: Run, rows: list[Any]
    ) -> None:
        body = {"items": rows, "pagination": {"totalPage": 1}}
        for kind in ("models", "workers", "gpu-devices", "clusters", "model-instances"):
            lab.answers[f"/v2/{kind}"] = (200, body)
        for words in (["target", "test", "lab"], ["gpu", "--target", "lab"], ["list"]):
            done = run_in_process(*words, "--json")
            assert "Traceback" not in done.err, words
        assert deploy().json["error"]["code"] in ("not_understood", "no_workers")

    def test_a_newer_version_is_tried_and_said(
        self, lab: FakeGpuStack, run_in_process: Run
    ) -> None:
        lab.version = "v3.1.0"
        checks = run_in_process("target", "test", "lab", "--json").json["checks"]
        assert {check["status"] for check in checks} == {"ok"}
        assert "newer than the tested versions" in checks[0]["detail"]


@pytest.mark.parametrize("key", ["gpustack_a b", "gpustack_a\nb_c", "gpustack_schlüssel"])
def test_what_is_no_key_is_not_shown(
    lab: FakeGpuStack, run_in_process: Run, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("LAB_KEY", key)
    done = run_in_process("target", "test", "lab", "--json")
    assert (done.code, done.json["error"]["code"]) == (4, "auth")
    assert "gpustack_" not in done.out + done.err
    assert lab.seen == []


def test_a_proxy_that_cannot_be_used(
    lab: FakeGpuStack, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not matter for a server of this machine; elsewhere it is named."""
    monkeypatch.setenv("HTTP_PROXY", "nonsense://x")
    assert run_in_process("target", "test", "lab", "--json").code == 0
    add = ("target", "add", "far", "http://gpustack.invalid", "--key", "env:LAB_KEY")
    assert run_in_process(*add).code == 0
    done = run_in_process("target", "test", "far", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "bad_proxy")
    assert "NO_PROXY=gpustack.invalid" in done.json["error"]["hint"]
