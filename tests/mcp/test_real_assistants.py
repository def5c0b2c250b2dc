"""The inspector and opencode use the tools, over stdio and HTTP. Run by ``make test-clients``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ran
from support.chat_only import chat_only
from support.patience import COMMAND_S
from support.served import Served, serving

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1800)]
pytest_plugins = ("support.engine_fixtures",)
Run = Callable[..., Ran]
PROGRAMS = REPOSITORY / ".cache" / "clients" / "node_modules" / ".bin"
STDIO = [sys.executable, "-m", "modelscan", "mcp", "--allow-changes", "--offline"]
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
}  # fmt: skip
SEARCH = {"text": "qwen3-8b", "fits": True, "gpu": "24GiB", "limit": 1}
LIFE: list[tuple[str, dict[str, Any]]] = [
    ("catalog_search", SEARCH), ("plan", {"model": "demo"}),
    ("deploy", {"model": "demo", "confirm": True}), ("stop", {"name": "demo", "confirm": True}),
]  # fmt: skip


@pytest.fixture
def gateway(home: Path) -> Iterator[Served]:
    with serving("--mcp", "--allow-changes", "--offline") as served:
        yield served


def inspect(place: list[str], *arguments: str) -> Any:
    command = [str(PROGRAMS / "mcp-inspector"), "--cli", *place, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_S, check=False, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def called(place: list[str], name: str, values: dict[str, Any]) -> Any:
    words = [f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
             for key, value in values.items()]  # fmt: skip
    options = [word for one in words for word in ("--tool-arg", one)]
    return inspect(place, "--method", "tools/call", "--tool-name", name, *options)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_inspector(transport: str, gateway: Served, run_in_process: Run) -> None:
    place = STDIO if transport == "stdio" else [f"{gateway.url}/mcp", "--transport", "http"]
    names = {one["name"] for one in inspect(place, "--method", "tools/list")["tools"]}
    assert {"catalog_search", "deploy", "stop"} <= names
    answers = [called(place, name, values) for name, values in LIFE]
    assert not any(one.get("isError") for one in answers), answers
    states = [one["structuredContent"] for one in answers]
    assert states[0]["models"] and states[1]["verdict"] == "fits"
    assert states[2]["deployment"]["state"] == "running"
    assert states[3]["deployments"][0]["state"] == "stopped"
    assert run_in_process("list", "--json").json["deployments"][0]["state"] == "stopped"


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_opencode(transport: str, gateway: Served, run_in_process: Run, tmp_path: Path) -> None:
    with chat_only() as server:
        server.script = [(f"modelscan_{name}", values) for name, values in LIFE]
        home, work = tmp_path / "home", tmp_path / "work"
        work.mkdir()
        folder = home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text(
            json.dumps(_settings(server.url, transport, gateway.url))
        )
        own = ("PATH", "MODELSCAN_HOME", "HF_HOME", "HF_ENDPOINT", "MODELSCOPE_ENDPOINT")
        variables = {name: os.environ[name] for name in own} | {"HOME": str(home), **QUIET}
        done = subprocess.run(
            [str(PROGRAMS / "opencode"), "run", "--pure", "-m", "lab/script", "run the demo model"],
            capture_output=True, text=True, timeout=COMMAND_S, check=False, cwd=work,
            env=variables, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        results = _results(server.requests)
    assert len(results) == len(LIFE), done.stdout + done.stderr
    assert "modelscan.catalog.search/1" in results[0]
    assert '"state": "running"' in results[2]
    assert run_in_process("list", "--json").json["deployments"][0]["state"] == "stopped"


def _settings(model_url: str, transport: str, url: str) -> dict[str, Any]:
    local = {"type": "local", "command": STDIO, "enabled": True, "timeout": 600_000}
    remote = {"type": "remote", "url": f"{url}/mcp", "enabled": True, "timeout": 600_000}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{model_url}/v1", "apiKey": "none"},
        "models": {
            name: {"limit": {"context": 65536, "output": 8192}} for name in ("script", "text")
        },
    }
    return {
        "autoupdate": False, "share": "disabled", "model": "lab/script", "small_model": "lab/text",
        "provider": {"lab": provider},
        "mcp": {"modelscan": local if transport == "stdio" else remote},
    }  # fmt: skip


def _results(requests: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The tools' results that the model saw at last."""
    seen: list[str] = []
    for _, body in requests:
        texts = [one["content"] for one in body.get("messages", ()) if one["role"] == "tool"]
        seen = max(seen, [str(one) for one in texts], key=len)
    return seen
