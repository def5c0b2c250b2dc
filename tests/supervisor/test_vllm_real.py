"""A real vLLM (PyPI's build for the CPU) deploys a tiny model: ``make test-vllm``.

The model is written by ``support.tiny_hf``; ``engine install`` makes the environment.
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import REPOSITORY, Ran
from support.engine_processes import eventually
from support.golden_commands import GOLDEN
from support.tiny_hf import write_tiny_hf

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
pytest_plugins = ("support.engine_fixtures",)

ENGINES = REPOSITORY / ".cache" / "vllm" / "state" / "engines" / "vllm"
PYTHON = ENGINES / "0.32.0-cpu" / "bin" / "python"
ARGUMENTS = ("--backend", "vllm", "--force", "--context", "1024", "--parallel", "2")


@pytest.fixture(autouse=True)
def real_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    if not PYTHON.exists():
        pytest.skip("no vLLM here: make test-vllm")
    monkeypatch.setenv("MODELSCAN_VLLM", str(PYTHON))
    monkeypatch.setenv("MODELSCAN_TEST_KEY", "a-key-of-the-test")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "tiny")


@pytest.fixture
def running(cli: Callable[..., Ran], home: Path, model: Path) -> Iterator[dict[str, Any]]:
    ran = cli("deploy", str(model), *ARGUMENTS, "--api-key", "env:MODELSCAN_TEST_KEY", "--json",
              timeout=600)  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    yield ran.json
    cli("remove", "tiny", "--yes", timeout=120)


def test_a_deployments_life_on_a_real_vllm(
    cli: Callable[..., Ran], running: dict[str, Any], home: Path
) -> None:
    row, measured = running["deployment"], running["measured"]
    assert (row["state"], row["health"], row["backend"]) == ("running", "ok", "vllm")
    assert measured["parts"]["kv_pool_bytes"] == 1 << 30, "what was asked for, from its log"
    assert measured["engine_version"][0].isdigit()
    assert running["plan"]["backend_version"] == measured["engine_version"], "planned for it"

    said = _chat(row["endpoint"], "a-key-of-the-test")
    assert said["choices"][0]["message"]["role"] == "assistant"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        _chat(row["endpoint"], "another")
    command = " ".join(psutil.Process(row["pid"]).cmdline())
    assert (
        "a-key-of-the-test"
        not in command + (home / "state").joinpath("deployments/tiny/spec.json").read_text()
    )
    assert {c.laddr.ip for c in _listening(row["pid"])} == {"127.0.0.1"}

    found = cli("discover", "--port", str(row["port"]), "--json").json
    assert [one["port"] for one in found["servers"]] != [row["port"]], "our own is not a stranger"
    family = psutil.Process(row["pid"]).children(recursive=True)
    assert family, "vLLM runs its core in processes of its own"
    assert cli("stop", "tiny").code == 0
    eventually(lambda: not any(p.is_running() and p.status() != "zombie" for p in family))


def test_a_start_that_fails_says_what_to_do(
    cli: Callable[..., Ran], home: Path, tmp_path: Path
) -> None:
    broken = write_tiny_hf(tmp_path / "unknown", architectures=["NobodyKnowsForCausalLM"])
    ran = cli("deploy", str(broken), *ARGUMENTS, "--json", timeout=600)
    assert ran.code == 5
    error = ran.json["error"]
    assert error["details"]["kind"] == "architecture"
    assert "NobodyKnowsForCausalLM" in error["message"]
    assert "newer vllm" in error["hint"]
    (row,) = cli("list", "--json").json["deployments"]
    assert row["state"] == "failed"
    assert "are not supported for now" in row["reason"]


def test_retry_plan_takes_what_the_engine_says_would_fit(
    cli: Callable[..., Ran], home: Path, tmp_path: Path
) -> None:
    """The model's own limit is 2048; more was asked for, which vLLM refuses with the number."""
    model = write_tiny_hf(tmp_path / "tiny")
    asked = ("deploy", str(model), *ARGUMENTS[:3], "--context", "4096", "--json")
    ran = cli(*asked, timeout=600)
    assert ran.code == 5
    assert ran.json["error"]["hint"].endswith("--force --context 2048")
    ran = cli(*asked, "--retry-plan", timeout=600)
    assert ran.code == 0, ran.out
    assert ran.json["deployment"]["context_tokens"] == 2048
    assert cli("remove", "tiny", "--yes", timeout=120).code == 0


_PARSE = """
import shlex, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
for line in sys.stdin:
    parsed = parser.parse_args(shlex.split(line))
    assert (parsed.host, parsed.port, parsed.allowed_origins) == ("127.0.0.1", 41000, []), parsed
    print(parsed.served_model_name)
"""


def test_the_golden_command_lines_are_what_this_version_takes() -> None:
    """Its own parser reads every line of its version."""
    lines = (GOLDEN / "vllm.txt").read_text().splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    ours = [line for title, line in pairs if title.endswith("vllm 0.32.0")]
    given = "\n".join(line.partition("vllm ")[2] for line in ours)
    done = subprocess.run(
        [PYTHON, "-c", _PARSE], input=given, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(said) == len(ours) >= 20


def _chat(endpoint: str, key: str) -> Any:
    body = {"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        f"{endpoint}/v1/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _listening(pid: int) -> list[Any]:
    """Every TCP port that the engine and its children listen on."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return [
        connection
        for one in family
        for connection in one.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
