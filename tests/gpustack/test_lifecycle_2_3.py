"""The whole life of models on a real GPUStack 2.3.0: its server, scheduler, workers and proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.gpustack_calls import call
from support.gpustack_looks import deployment, routes, until
from support.gpustack_session import Server, validating
from support.patience import COMMAND_S, ENGINE_S

from modelscan.targets.gpustack.drift import same

pytest_plugins = ("support.gpustack_fixtures",)
pytestmark = [pytest.mark.gpustack, pytest.mark.timeout(4 * COMMAND_S)]
Cli = Callable[..., Any]
PATIENCE = ("--timeout", str(ENGINE_S))


@pytest.fixture
def cli(cli: Cli) -> Cli:
    return validating(cli)


@pytest.fixture
def server(modern: Server) -> Server:
    return modern


class TestLooking:
    def test_target(self, server: Server, pointed: Callable[..., None], cli: Cli) -> None:
        pointed(server)
        done = cli("target", "test", "--json")
        assert done.code == 0, done.out
        assert done.json["version"] == "v2.3.0"
        assert {c["name"]: c["status"] for c in done.json["checks"]} == dict.fromkeys(
            ("server", "management", "cluster", "workers", "inference"), "ok"
        )
        assert "gpustack_" not in done.out
        listed = cli("target", "list", "--json").json
        assert listed["default"] == "lab"
        assert cli("target", "remove", "lab").code == 0
        assert cli("target", "list", "--json").json["targets"] == []

    def test_the_gpus_are_the_workers(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        pointed(server)
        gpus = cli("gpu", "--target", "lab", "--json").json["gpus"]
        assert [(g["name"], g["memory_bytes"], g["compute_capability"]) for g in gpus] == [
            ("NVIDIA H100 80GB HBM3", 80 * 2**30, "9.0"),
            ("NVIDIA H100 80GB HBM3", 80 * 2**30, "9.0"),
            ("NVIDIA GeForce RTX 4090", 24564 * 2**20, "8.9"),
        ]

    def test_plans_are_for_the_workers(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        pointed(server)
        large = cli("plan", server.models["qwen3-32b"], "--target", "lab", "--json").json["plan"]
        assert large["worker"] == "h100x2"
        assert set(large["gpus"]) <= {0, 1}
        pinned = cli("plan", server.models["qwen3-8b"], "--target", "lab", "--gpu", "2", "--json")
        assert pinned.json["plan"]["gpus"] == [2]
        too_large = cli(
            "plan", server.models["qwen3-32b"], "--target", "lab", "--gpu", "2", "--json",
            "--quantization", "BF16",
        )  # fmt: skip
        assert too_large.code == 3
        assert too_large.json["verdict"] == "does_not_fit"

    def test_recipes_and_chosen_cards(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """The catalog's recipe for the mode is followed; ``--gpu 0,1`` names the worker's cards."""
        pointed(server)
        fast = ("deploy", "qwen3-8b", "--target", "lab", "--mode", "throughput", "--dry-run")
        body = cli(*fast, "--force", "--json").json["launch"]["body"]
        assert body["huggingface_repo_id"] == "Qwen/Qwen3-8B-FP8"
        assert "--reasoning-parser=deepseek_r1" in body["backend_parameters"]
        two = cli("deploy", server.models["qwen3-32b"], "--target", "lab", "--gpu", "0,1",
                  "--tensor-parallel", "2", "--dry-run", "--json").json["launch"]  # fmt: skip
        assert two["body"]["gpu_selector"] == {
            "gpu_ids": ["h100x2:cuda:0", "h100x2:cuda:1"], "gpus_per_replica": 2,
        }  # fmt: skip
        assert "--tensor-parallel-size=2" in two["body"]["backend_parameters"]
        assert two["evaluation"]["compatible"] is True

    def test_everything_that_a_file_may_ask_is_accepted(
        self, server: Server, pointed: Callable[..., None], cli: Cli, tmp_path: Path
    ) -> None:
        """As the preview shows it, so the server has it: nothing refused, nothing ignored."""
        pointed(server)
        file = tmp_path / "all.yaml"
        file.write_text(json.dumps({"deployment": {
            "model": server.models["qwen3-0.6b"], "name": "all", "target": "lab", "replicas": 2,
            "adapters": ["lab/lora", "mine=/models/lora"], "env": {"A": "1"},
            "speculative_config": {"algorithm": "ngram", "num_draft_tokens": 4},
            "extended_kv_cache": {"ram_ratio": 1.5}, "placement_strategy": "binpack",
            "worker_selector": {"worker-name": "h100x2"}, "backend_version": "0.17.1",
            "restart_on_error": False, "parameters": {"max-num-seqs": 32},
        }}))  # fmt: skip
        launch = cli("deploy", "-f", str(file), "--dry-run", "--json").json["launch"]
        assert launch["evaluation"]["compatible"] is True, launch["evaluation"]
        assert cli("deploy", "-f", str(file), "--no-wait", "--json").code == 0
        there = server.model("all")
        for key in set(launch["body"]) - {"enable_model_route"}:
            assert same(there[key], launch["body"][key]), (key, there[key])
        assert there["speculative_config"]["enabled"] is True
        assert cli("remove", "all", "--yes", "--drain", "0").code == 0

    def test_its_own_catalogue(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """The default target is the source ``gpustack``: its sets, read from the live server."""
        pointed(server)
        done = cli("catalog", "sync", "--source", "gpustack", "--json")
        assert done.code == 0, done.out
        row = next(r for r in done.json["sources"] if r["source"] == "gpustack")
        assert row["state"] == "live"
        assert row["models"] >= 100

    def test_keys(
        self,
        server: Server,
        pointed: Callable[..., None],
        cli: Cli,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pointed(server, key="inference")
        scope = cli("deploy", server.models["qwen3-0.6b"], "--target", "lab", "--json")
        assert scope.code == 4
        assert scope.json["error"]["code"] == "scope"
        assert "may not" in scope.json["error"]["message"]
        monkeypatch.setenv("LAB_KEY", server.keys["management"])
        half = cli("deploy", server.models["qwen3-0.6b"], "--target", "lab", "--json")
        assert (half.code, half.json["error"]["code"]) == (4, "scope")
        assert server.rows("models") == []
        monkeypatch.setenv("LAB_KEY", "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef")
        wrong = cli("deploy", server.models["qwen3-0.6b"], "--target", "lab", "--json")
        assert wrong.code == 4
        assert "0123456789abcdef" not in wrong.out + wrong.err
        assert server.rows("models") == []
        assert cli("list", "-q").out == ""

    def test_nobody_answers(self, server: Server, pointed: Callable[..., None], cli: Cli) -> None:
        pointed(server, url="http://127.0.0.1:9")
        done = cli("deploy", server.models["qwen3-0.6b"], "--target", "lab", "--json")
        assert done.code == 5
        assert done.json["error"]["code"] == "unreachable"


class TestLife:
    def test_from_deploy_to_remove(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """One model: shown, sent, followed, asked, changed by others, repaired, ended, removed."""
        pointed(server)
        model = server.models["qwen3-8b"]
        ask = ("deploy", model, "--name", "eight", "--target", "lab", "--context", "8k", *PATIENCE)
        preview = cli(*ask, "--dry-run", "--json").json["launch"]["body"]
        shown = cli("plan", model, "--target", "lab", "--context", "8k", "-o", "json").json
        ours = {"name", "description"}  # the name was asked for, the description is a mark
        assert {k: v for k, v in shown.items() if k not in ours} == {
            k: v for k, v in preview.items() if k not in ours
        }
        assert server.rows("models") == []
        done = cli(*ask, "--json")
        assert done.code == 0, done.out + done.err
        self.as_previewed(server, preview)
        self.answers(server, done.json)
        self.routed(cli)
        again = cli(*ask, "--json")
        assert (again.code, again.json["changed"]) == (0, False)
        other = cli(
            "deploy", model, "--name", "eight", "--target", "lab", "--context", "4k", "--json"
        )
        assert other.json["error"]["code"] == "name_taken"
        self.logs(cli)
        self.drift(server, cli, ask)
        self.renamed(server, cli, ask)
        self.stopped(server, cli)
        self.deleted_elsewhere(server, cli, ask)
        assert cli("remove", "eight", "--yes", "--drain", "0").code == 0
        assert server.rows("models") == []
        assert "eight" not in routes(cli)

    def as_previewed(self, server: Server, preview: dict[str, Any]) -> None:
        """What was shown is what the server has, the mark that says whose it is included."""
        there = server.model("eight")
        for key in set(preview) - {"enable_model_route"}:
            assert there[key] == preview[key], key
        assert preview["enable_model_route"] is True
        share = next(w for w in preview["backend_parameters"] if "utilization" in w)
        assert 0.05 < float(share.partition("=")[2]) < 0.6  # not the 0.9 of the engine

    def answers(self, server: Server, document: dict[str, Any]) -> None:
        row = document["deployment"]
        assert (row["state"], row["health"]) == ("running", "ok")
        body = {"model": row["served_model"], "max_tokens": 4,
                "messages": [{"role": "user", "content": "Hello"}]}  # fmt: skip
        said = call(row["endpoint"], "POST", "/v1/chat/completions", body, server.keys["all"])
        assert said["usage"]["completion_tokens"] > 0

    def routed(self, cli: Cli) -> None:
        route = routes(cli)["eight"]
        assert (route["type"], route["enabled"]) == ("gpustack", True)
        tested = cli("route", "test", "eight", "--json")
        assert (tested.code, tested.json["ok"]) == (0, True), tested.out

    def logs(self, cli: Cli) -> None:
        text = cli("logs", "eight").out
        assert "stand-in engine" in text
        assert "must_never_be_shown" not in text
        assert "hf_abcdefghijklmnop" not in text
        assert "RIG_API_KEY" not in text
        assert len(cli("logs", "eight", "--tail", "3").out.splitlines()) == 3

    def drift(self, server: Server, cli: Cli, ask: tuple[str, ...]) -> None:
        there = server.model("eight")
        identity = {key: there[key] for key in ("name", "source", "local_path")}
        changed = {**identity, "backend_parameters": ["--max-model-len=512"], "env": {"ADDED": "1"}}
        server.ask("PUT", f"/models/{there['id']}", changed)
        row = deployment(cli, "eight")
        assert row["state"] == "running"
        assert "backend_parameters" in row["reason"]
        assert "env" in row["reason"]
        found = cli("route", "validate", "--json").json["findings"]
        assert any("changed on lab" in finding["message"] for finding in found)
        repaired = cli(*ask, "--json")
        assert (repaired.code, repaired.json["changed"]) == (0, True), repaired.out
        assert server.model("eight")["backend_parameters"] == there["backend_parameters"]
        assert not server.model("eight")["env"]
        assert deployment(cli, "eight")["reason"] is None
        assert cli("route", "validate", "--json").json["findings"] == []

    def renamed(self, server: Server, cli: Cli, ask: tuple[str, ...]) -> None:
        there = server.model("eight")
        identity = {key: there[key] for key in ("source", "local_path")}
        server.ask("PUT", f"/models/{there['id']}", {**identity, "name": "nine"})
        row = deployment(cli, "eight")
        assert (row["state"], "name eight -> nine" in row["reason"]) == ("running", True)
        repaired = cli(*ask, "--json")
        assert (repaired.code, repaired.json["changed"]) == (0, True), repaired.out
        assert [row["name"] for row in server.rows("models")] == ["eight"]
        assert cli("route", "test", "eight", "--json").json["ok"] is True

    def stopped(self, server: Server, cli: Cli) -> None:
        done = cli("stop", "eight", "--drain", "1", "--json")
        assert done.json["deployments"][0]["state"] == "stopped", done.out
        unknown = "whether requests were cut is unknown: lab does not report requests"
        assert any(unknown in text for text in done.json["warnings"])  # it has no Prometheus
        assert server.rows("model-instances") == []
        assert server.model("eight")["replicas"] == 0
        assert routes(cli)["eight"]["enabled"] is False
        assert deployment(cli, "eight")["state"] == "stopped"
        there = server.model("eight")
        identity = {key: there[key] for key in ("name", "source", "local_path")}
        server.ask("PUT", f"/models/{there['id']}", {**identity, "replicas": 1})
        assert "it was started on lab" in deployment(cli, "eight")["reason"]
        assert cli("stop", "eight", "--drain", "0").code == 0
        assert server.model("eight")["replicas"] == 0
        begun = cli("start", "eight", "--no-wait", "--json")
        assert begun.json["deployments"][0]["state"] == "starting", begun.out
        until(lambda: deployment(cli, "eight")["state"] == "running", 240)
        assert routes(cli)["eight"]["enabled"] is True

    def deleted_elsewhere(self, server: Server, cli: Cli, ask: tuple[str, ...]) -> None:
        server.ask("DELETE", f"/models/{server.model('eight')['id']}")
        row = deployment(cli, "eight")
        assert (row["state"], row["reason"]) == ("stopped", "it was deleted on lab")
        assert routes(cli)["eight"]["enabled"] is False
        found = cli("route", "validate", "--json").json["findings"]
        assert any("deleted on lab" in finding["message"] for finding in found)
        begun = cli(*ask, "--no-wait", "--json")
        assert begun.code == 0, begun.out
        assert len(server.rows("models")) == 1
