"""Every command at 80 columns: nothing is wider, and no address is cut."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.deployments import make
from support.fake_gpustack import FakeGpuStack
from support.node_messages import registration, service
from support.node_rows import put_node
from support.tiny_hf import write_tiny_hf

from modelscan.bench.point import BenchLoad, ClientUse, point
from modelscan.bench.report import (
    BenchReceipt,
    BenchReport,
    BenchWorkloadRun,
    CaseResult,
    FailedCheck,
)
from modelscan.bench.slo import ServiceLevel
from modelscan.bench.stream import RequestResult
from modelscan.cli.app import run
from modelscan.cli.commands import COMMANDS
from modelscan.cli.context import Context
from modelscan.cli.framework import Root
from modelscan.cli.output import Mode, Output
from modelscan.cli.terminal import is_verbatim
from modelscan.core.deployment_state import State
from modelscan.core.envelope import envelope
from modelscan.state.config import load
from modelscan.state.store import Store

COLUMNS = 80
LONG = "a-rather-long-name-of-a-deployment"
MODEL = "some-organization/A-Model-With-A-Long-Name-70B-Instruct-v1.5-GGUF"
# Their output is a script, a log, or a unit of the user's own systemd.
EXEMPT = {
    "completion",
    "logs",
    "open",
    "serve",
    "mcp",
    "skill",
    "node join",
    "service install",
    "service uninstall",
}
RAN = (
    "catalog search qwen coder", "catalog list --limit 30", "catalog info qwen3-8b --gpu 24GiB",
    "catalog info qwen3-8b gemma-3-27b-it --compare --gpu 24GiB", "catalog passport qwen3-8b",
    "catalog sources", "catalog runnable --gpu 24GiB", "catalog offers qwen3-32b", "catalog sync",
    "gpu", "gpu --gpu '4x H100 80GB'", "gpu facts 'RTX 4090'", "gpu facts", "gpu --target lab",
    "estimate qwen3-32b --gpu '2x H100 80GB' --backend vllm", "estimate demo --history",
    "plan qwen3-8b --gpu 24GiB", "plan qwen3-32b --gpu '2x H100 80GB' --all", "plan gpt-4o",
    "pull qwen3-8b", "deploy demo --dry-run", "deploy -f missing.yaml",
    f"deploy FOLDER --name {LONG}-2 --target lab --dry-run", "list", "list --updates",
    f"show {LONG}", "show crashed", "show nothing", f"set {LONG} --context 4k --dry-run",
    f"upgrade {LONG}", "chat crashed hello", "explain LOG", "start crashed --timeout 1",
    f"stop {LONG} --drain 0", f"restart {LONG} --drain 0", f"update {LONG} --replicas 1",
    f"adopt {LONG} --target lab", "discover", "route list", f"route show {LONG}", "route resolve",
    f"route test {LONG}", "route validate", "route health", f"route explain {LONG}", "route mode",
    "route match 'short answers about Python'", "route preset list", "route role list",
    "route add second --base-url http://127.0.0.1:9/a/rather/long/path --model lab/x",
    "route edit second --set context_tokens=65536", "route alias", "route remove second --dry-run",
    "route provider add hosted nothing", "route export env", "route history", "route undo",
    "route services", "route roles", "route models", "route hosts", "node list", f"node show {LONG}-node",
    f"node drain {LONG}-node", f"node undrain {LONG}-node", f"node remove {LONG}-node",
    "route import missing.yaml", "key create laptop",
    "key list", "key revoke nothing", "node status", "node leave", "node cert show",
    "connect opencode", "top --once",
    "top --url http://127.0.0.1:9/a/rather/long/path/of/a/gateway --once", "trace list", "trace show nothing",
    "registry list", f"registry add lab/{LONG} --from demo --publish", f"registry show lab/{LONG}",
    f"registry edit lab/{LONG} family=a-rather-long-family", f"registry history lab/{LONG}",
    f"registry version add lab/{LONG} --from demo", f"registry tag add lab/{LONG} curated",
    f"registry alias set lab/{LONG} champion 1", f"registry resolve lab/{LONG}@champion",
    "registry curate status", f"registry curate propose lab/{LONG}@1 --tag curated",
    "registry curate approve c-1", "registry curate reject c-1 --reason no", "registry evals",
    "registry eval ingest missing.json",
    "registry show nothing", "registry add Not/A/Slug", "registry export registry.jsonl",
    f"registry promote lab/{LONG}@1 --route nothing --gate tols>=0.5", "registry rollback nothing",
    "registry check-adapter /nowhere --base demo", "route export --bundle bundle.json",
    "route import --bundle missing.json", "registry import missing.jsonl", "registry rm nothing",
    f"registry remove lab/{LONG}",
    "trace status", "trace cost", "trace on", "trace off --content",
    "trace prune --older-than 7d", "trace export .",
    "trace dataset chats.jsonl --license MIT --yes",
    "server status", "server audit", "server backup backup.jsonl.gz", "server restore missing.gz",
    "cache list", "cache verify", "cache updates",
    "bench list", "bench show nothing", "bench run nothing", "bench run http://127.0.0.1:9#m",
    "bench ingest missing.json", "bench compare REPORT REPORT", "bench show REPORT",
    "bench export REPORT-2",
    "eval suites", "eval run tools --route nothing", "eval list", "eval show e-long", "eval show nothing",
    "eval board", "eval compare e-long e-other", "eval quant demo Q8_0 x", "eval export /dev/null/reports.jsonl",
    "eval verify nothing",
    "recipe list", "recipe render gguf demo --method q8_0 --out RENDERED", "recipe render nim demo",
    "recipe show RENDERED", "recipe run nothing",
    "cache prune", "updates", "target add second http://127.0.0.1:9/a/rather/long/path --key env:X",
    "target list", "target use lab", "target test lab", "target test second",
    "target remove second", "service run", "doctor", "config show", "config path",
    "config get routing_file", "config set goal speed", "config set goal", "config set gaol 1",
    "engine list", "engine install llama.cpp --offline", "engine install vllm --offline --dry-run",
    "docs --list", "docs how-to/index", "docs settings", "docs nosuch", "docs --search 'kv cache'", "docs --no-browser",
    "engine use llama.cpp", "engine remove llama.cpp", "uninstall", "remove crashed --yes", f"remove {LONG} --drain 0",
)  # fmt: skip


def screen(*words: str) -> str:
    """What a command writes to a terminal of 80 columns: data, then notes and errors."""
    out, err = io.StringIO(), io.StringIO()
    run(words, Context(_output=Output(Mode.HUMAN, out, err, width=COLUMNS)))
    return out.getvalue() + err.getvalue()


def write_report(file: Path) -> None:
    """A benchmark's report with long names, of a few requests."""
    results = [
        RequestResult(
            status=200, started_s=float(n), ended_s=n + 1.5, ttft_s=0.5 + n / 100, ttfo_s=0.5,
            e2e_s=1.5, total_s=1.5, tpot_s=0.05, chunk_gaps_s=(0.05,) * 20, events=21,
            prompt_tokens=128, completion_tokens=21, cached_tokens=24,
        )
        for n in range(20)
    ]  # fmt: skip
    slo = ServiceLevel(0.6, 0.06)
    points = [
        point(BenchLoad(n, None, slo, 7), [results], ClientUse(0.0, 420), None, 0.5)
        for n in (1, 64)
    ]
    receipt = BenchReceipt(LONG, "http://127.0.0.1:41000", MODEL, model=MODEL, deployment=LONG,
                           hardware="4 x NVIDIA H100 80GB HBM3", engine="llama.cpp 2026.10.11549")  # fmt: skip
    work = BenchWorkloadRun(
        "chat.short_reasoning", 1, "0" * 16, None, None, False, 7, 0.0, 2, "disabled"
    )
    cases = (CaseResult("loaded_or_cold", 10, 5, (FailedCheck("regex " + "x" * 80, 5),)),)
    report = BenchReport("b-0123456789ab", "2026-01-31T09:30:00.125Z", "modelscan", receipt, work,
                         tuple(points), cases, (), ("this machine was busy",))  # fmt: skip
    file.write_text(json.dumps(envelope("bench.run", report)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Deployments on a cluster and here, with long names, one of them crashed."""
    home = tmp_path_factory.mktemp("a-rather-long-name-of-a-folder") / "modelscan-home"
    folder = write_tiny_hf(home.parent / "tiny", architectures=["LlamaForCausalLM"])
    (home.parent / "engine.log").write_text("torch.OutOfMemoryError: CUDA out of memory. " * 9)
    with pytest.MonkeyPatch.context() as patch, FakeGpuStack() as server:
        patch.setenv("MODELSCAN_HOME", str(home))
        patch.setenv("MODELSCAN_OFFLINE", "1")
        patch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
        screen("target", "add", "lab", server.url, "--key", "env:LAB_KEY")
        done = screen("deploy", str(folder), "--name", LONG, "--target", "lab", "--context", "1k")
        assert "running" in done, done
        crashed = make(
            "crashed", model=MODEL, state=State.FAILED,
            reason="the engine was killed by signal 9 while it loaded the weights of " + MODEL,
        )  # fmt: skip
        with Store.open(load().paths.store_file) as store:
            store.put(crashed)
        endpoint = "http://gpu1.a-rather-long-name-of-a-network.example:8000"
        put_node(
            load().paths.state,
            registration(f"{LONG}-node", service(f"{LONG}-node/chat/demo", endpoint, MODEL)),
        )
        write_report(home.parent / "report.json")
        yield home


@pytest.mark.parametrize("line", RAN)
def test_nothing_is_wider_than_the_terminal(
    home: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what one copies may be longer: a command, a path, an address."""
    monkeypatch.setenv("MODELSCAN_HOME", str(home))
    monkeypatch.chdir(home)
    monkeypatch.setenv("MODELSCAN_OFFLINE", "1")
    monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
    import shlex

    places = {"FOLDER": str(home.parent / "tiny"), "LOG": str(home.parent / "engine.log"),
              "REPORT": str(home.parent / "report.json"),
              "RENDERED": str(home.parent / "rendered"),
              "REPORT-2": str(home.parent / "report-2.json")}  # fmt: skip
    text = screen(*(places.get(word, word) for word in shlex.split(line)))
    assert text.strip()
    for shown in text.splitlines():
        cells = re.split(r" {2,}", shown.strip().removeprefix("hint: "))
        copied = len(cells) <= 2 and is_verbatim(cells[-1])
        assert len(shown) <= COLUMNS or copied, shown
    assert not re.search(r"https?://\S*…", text), text


def test_every_command_is_tried() -> None:
    root = Root(name="modelscan")
    context = click.Context(root)
    paths: set[str] = set()
    for entry in COMMANDS:
        command = root.get_command(context, entry.name)
        names = command.list_commands(context) if isinstance(command, click.Group) else []
        paths |= {f"{entry.name} {name}" for name in names} or {entry.name}
    tried = {path for path in paths for line in RAN if f"{line} ".startswith(f"{path} ")}
    assert paths - tried == EXEMPT
