"""What goes wrong on a real GPUStack 2.3.0: refused, unschedulable, broken, killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.gpustack_looks import deployment, in_background, routes, until
from support.gpustack_session import Server, validating
from support.patience import COMMAND_S, ENGINE_S

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


class TestTrouble:
    def test_the_server_says_no(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """Our plan fits, its evaluation refuses: said, exit 3; sent only with --force."""
        pointed(server)
        ask = ("deploy", server.models["qwen3-0.6b"], "--name", "no", "--target", "lab",
               "--env", "GPUSTACK_MODEL_VRAM_CLAIM=900000000000", "--json")  # fmt: skip
        refused = cli(*ask)
        assert refused.code == 3
        assert refused.json["error"]["code"] == "evaluation_refused"
        assert "838.19 GiB" in refused.json["error"]["message"]
        assert server.rows("models") == []
        forced = cli(*ask, "--force")
        assert forced.code == 5
        assert forced.json["error"]["code"] == "unschedulable"
        assert "838.19 GiB" in forced.json["error"]["message"]
        row = deployment(cli, "no")
        assert (row["state"], server.rows("model-instances")) == ("failed", [])
        assert "no" not in routes(cli)

    def test_engines_that_do_not_start(
        self, server: Server, pointed: Callable[..., None], cli: Cli, tmp_path: Path
    ) -> None:
        """An image that cannot be pulled, and an engine that dies again and again: both at once."""
        pointed(server)
        model = server.models["qwen3-0.6b"]
        file = tmp_path / "image.yaml"
        wishes = {"model": model, "name": "image", "target": "lab", "image_name": "lab/missing:1"}
        file.write_text(json.dumps({"deployment": wishes, "metadata": {"owner": "me"}}))
        image, first = in_background(
            lambda: cli("deploy", "-f", str(file), *PATIENCE, "--json", timeout=COMMAND_S)
        )
        loop, second = in_background(lambda: cli(
            "deploy", model, "--name", "loop", "--target", "lab", "--env", "FAIL_WITH=3",
            *PATIENCE, "--json", timeout=COMMAND_S))  # fmt: skip
        image.join()
        loop.join()
        error = first[0].json["error"]
        assert first[0].code == 5
        assert "image cannot be pulled" in error["message"]
        error = second[0].json["error"]
        assert (second[0].code, error["code"]) == (5, "restart_loop"), error
        assert any("CUDA out of memory" in line for line in error["details"]["log"])
        assert "must_never_be_shown" not in second[0].out
        assert any(
            "CUDA out of memory" in line for line in cli("logs", "loop", "--json").json["lines"]
        )
        assert {r["name"]: r["state"] for r in cli("list", "--json").json["deployments"]} == {
            "image": "failed", "loop": "failed",
        }  # fmt: skip
        assert server.rows("model-instances") == []
        assert routes(cli) == {}

    def test_somebody_elses_model(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        pointed(server)
        model = server.models["qwen3-0.6b"]
        server.ask("POST", "/models", {
            "name": "theirs", "source": "local_path", "local_path": model, "replicas": 0,
            "backend": "vLLM", "cluster_id": 1, "description": "do not touch",
        })  # fmt: skip
        row = deployment(cli, "theirs")
        assert (row["managed"], row["state"]) == (False, "stopped")
        for words in (("remove", "theirs", "--yes"), ("stop", "theirs")):
            refused = cli(*words, "--json")
            assert (refused.code, refused.json["error"]["code"]) == (2, "unmanaged"), words
        taken = cli("deploy", model, "--name", "theirs", "--target", "lab", "--json")
        assert taken.json["error"]["code"] == "name_taken"
        assert server.model("theirs")["description"] == "do not touch"
        adopted = cli("adopt", "theirs", "--target", "lab", "--json")
        assert adopted.code == 0, adopted.out
        assert adopted.json["deployment"]["managed"] is True
        assert "do not touch" in server.model("theirs")["description"]
        assert cli("remove", "theirs", "--yes").code == 0
        assert server.rows("models") == []

    def test_the_command_dies_in_the_middle(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """Ctrl-C undoes everything; after SIGKILL the row is there, and remove ends it."""
        pointed(server)
        words = [sys.executable, "-m", "modelscan", "deploy", server.models["qwen3-0.6b"],
                 "--name", "cut", "--target", "lab"]  # fmt: skip
        for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            command = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until(lambda: server.model("cut"))
            command.send_signal(number)
            assert command.wait(COMMAND_S) == code
            if number is signal.SIGINT:
                assert server.rows("models") == []
                assert cli("list", "-q").out == ""
        row = deployment(cli, "cut")
        assert (row["managed"], row["state"]) == (True, "starting")
        assert cli("remove", "cut", "--yes", "--drain", "0").code == 0
        assert (server.rows("models"), cli("list", "-q").out) == ([], "")

    def test_the_server_dies_in_the_middle(
        self, server: Server, pointed: Callable[..., None], cli: Cli
    ) -> None:
        """Killed after the create, started again: the deploy goes on, and there is one model."""
        pointed(server)
        ask = ("deploy", server.models["qwen3-0.6b"], "--name", "middle", "--target", "lab",
               *PATIENCE, "--json")  # fmt: skip
        waiting, found = in_background(lambda: cli(*ask, timeout=COMMAND_S))
        until(lambda: server.model("middle"))
        server.order("kill server")
        assert cli("list", "--json").json["deployments"][0]["state"] == "starting"
        server.order("start server")
        waiting.join()
        assert found[0].code == 0, found[0].out + found[0].err
        assert [row["name"] for row in server.rows("models")] == ["middle"]
        assert routes(cli)["middle"]["enabled"] is True
        scaled = cli("update", "middle", "--replicas", "2", *PATIENCE, "--json")
        assert scaled.code == 0, scaled.out
        assert server.model("middle")["ready_replicas"] == 2
        assert cli("remove", "--all", "--yes", "--drain", "0").code == 0
        assert (server.rows("models"), routes(cli)) == ([], {})
