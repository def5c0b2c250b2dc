"""A model in a real container of podman: the same life as a process has."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ran
from support.engine_processes import eventually
from support.patience import CHANGE_S
from support.podman import IMAGE, Podman

from modelscan.supervisor.health import Address, ask

pytest_plugins = ("support.engine_fixtures", "support.podman_fixtures")

MODEL = REPOSITORY / "examples" / "demo-model.gguf"
KEY = "the-planted-key-of-this-test"
Cli = Callable[..., Ran]


@pytest.fixture
def here(podman: Podman, home: Path, monkeypatch: pytest.MonkeyPatch) -> Podman:
    monkeypatch.setenv("PATH", f"{podman.folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TEST_KEY", KEY)
    return podman


def deploy(cli: Cli, *options: str, image: str = IMAGE) -> Ran:
    return cli("deploy", str(MODEL), "--runtime", "podman", "--image", image, "--json", *options)


def containers(podman: Podman) -> str:
    return podman("ps", "--all", "--quiet", "--filter", "label=modelscan.deployment")


def test_the_life_of_a_container(here: Podman, home: Path, cli: Cli) -> None:
    options = ("--name", "box", "--api-key", "env:TEST_KEY", "--offline-after-download")
    preview = deploy(cli, *options, "--dry-run").json["launch"]
    ran = deploy(cli, *options)
    assert ran.code == 0, ran.err
    body = ran.json
    assert body["measured"]["parts"]["weights_bytes"] > 1 << 20
    assert body["measured"]["rss_bytes"] > 20 << 20, "of the engine, not of podman's client"

    name = containers(here)
    _check_chat(body["deployment"]["port"])
    _check_isolation(here, name)
    _check_secrecy(home)
    shown = cli("show", "box", "--json").json["launch"]
    assert shown["container"]["image"] == IMAGE
    assert shown["container"]["digest"].startswith("sha256:")
    port = str(body["deployment"]["port"])
    planned = [w.replace(str(_port(preview["argv"])), port) for w in preview["argv"]]
    assert planned == shown["argv"], "the preview is the command that was run"
    assert "podman" in cli("show", "box").out
    assert "model loaded" in cli("logs", "box").out

    supervisor = json.loads(_folder(home).joinpath("process.json").read_text())["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    # Its client passes the end of the supervisor on.
    eventually(lambda: not containers(here), CHANGE_S)
    assert cli("list", "--json").json["deployments"][0]["state"] == "failed"

    assert cli("start", "box").code == 0
    second = containers(here)
    assert second not in ("", name)
    here("kill", "--signal", "KILL", second)
    eventually(lambda: _restarted(here, second, cli), CHANGE_S)
    assert cli("stop", "box").code == 0
    assert containers(here) == ""
    assert not list(_folder(home).glob("*.env"))
    assert cli("remove", "box", "--yes").code == 0
    assert not _folder(home).exists()


def _restarted(podman: Podman, before: str, cli: Cli) -> bool:
    row = cli("list", "--json").json["deployments"][0]
    return row["health"] == "ok" and row["restarts"] == 1 and containers(podman) != before


def _folder(home: Path) -> Path:
    return home / "state" / "deployments" / "box"


def _port(argv: list[str]) -> str:
    return argv[argv.index("--publish") + 1].rpartition(":")[2]


def _check_chat(port: int) -> None:
    body: dict[str, Any] = {"model": "box", "messages": [{"role": "user", "content": "Hello"}]}
    for key, status in ((None, 401), (KEY, 200)):
        address = Address("127.0.0.1", port, key)
        reply = ask(
            address, "POST", "/v1/chat/completions", {**body, "max_tokens": 4}, timeout_s=60
        )
        assert reply is not None
        assert reply.status == status
    assert reply.body["choices"][0]["message"]["content"]


_TRIES = """
import socket, sys
def refused(act):
    try: act()
    except OSError: return True
    return False
server = ("127.0.0.1", int(sys.argv[1]))
print(refused(lambda: open("/written", "w")), refused(lambda: open(sys.argv[2], "ab")),
      refused(lambda: socket.create_connection(server, 2)),
      refused(lambda: socket.create_connection(("192.0.2.1", 80), 2)))
"""


def _check_isolation(podman: Podman, name: str) -> None:
    """No capability, no root, nothing to write, no other machine and no service of this one."""
    what = "{{.EffectiveCaps}} {{.Config.User}} {{.HostConfig.ReadonlyRootfs}}"
    assert podman("inspect", "--format", what, name) == "[] 65534:65534 true"
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = str(service.getsockname()[1])
        python = ("exec", name, "/opt/python/bin/python3", "-c", _TRIES, port, str(MODEL))
        assert podman(*python) == "True True True True"


def _check_secrecy(home: Path) -> None:
    """The key is in no file of modelscan and in no list of processes."""
    listed = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    )
    assert KEY not in listed.stdout
    assert not [f for f in home.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]


def test_an_image_that_is_not_here_or_not_of_the_engine(here: Podman, cli: Cli) -> None:
    absent = deploy(cli, "--name", "no", image="localhost/absent:1").json["error"]
    assert absent["hint"] == "podman pull localhost/absent:1"
    here("image", "tag", IMAGE, "localhost/other:1")
    here("untag", "localhost/other:1")
    official = cli("deploy", str(MODEL), "--runtime", "podman", "--json").json["error"]
    assert "podman pull ghcr.io/ggml-org/llama.cpp:server" in official["hint"]
