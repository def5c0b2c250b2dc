"""Record what a release of modelscan leaves on disk: rows of its store, files of its run folders.

    python scripts/record_rows.py CHECKOUT FILE

CHECKOUT is a working tree of that release (``git worktree add``); its own test stand-ins for Ollama
and GPUStack are used. Every row comes from that release's real commands; the file is read by
``tests/state/test_old_rows.py``. Paths become ``/HOME``, ports and pids stay as they were.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PATIENCE_S = 60.0


class Recorder:
    """One home, one checkout, and its commands."""

    def __init__(self, checkout: Path, home: Path) -> None:
        self.checkout, self.home = checkout, home
        self.environment = {
            **os.environ, "MODELSCAN_HOME": str(home), "PYTHONPATH": str(checkout),
            "LAB_KEY": "gpustack_all_0123456789abcdef", "HF_HOME": str(home / "hf"),
        }  # fmt: skip

    def run(self, *words: str) -> dict[str, Any]:
        """A command's JSON; one that fails is no reason to stop: its row is wanted."""
        done = subprocess.run(
            [sys.executable, "-m", "modelscan", *words, "--json"], cwd=self.checkout,
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        print(done.returncode, *words, file=sys.stderr)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        return found

    def folder(self, name: str) -> Path:
        return next(self.home.rglob(f"deployments/{name}"))

    def process(self, name: str) -> dict[str, Any]:
        text = (self.folder(name) / "process.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found

    def state(self, name: str) -> str:
        rows = self.run("list")["deployments"]
        return str(next(row["state"] for row in rows if row["name"] == name))


def until(done: Callable[[], bool]) -> None:
    """Raises AssertionError after a minute."""
    deadline = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def local(at: Recorder) -> None:
    """A running one, and every way in which one ends."""
    for name, options in {
        "running": (), "stopped": (), "crashed": ("--restart", "no"), "told-to-stop": (),
        "rebooted": ("--restart", "no"), "idle": ("--ttl", "1"),
        "limited": ("--memory-limit", "64MiB"), "on-a-port": ("--port", "41777"),
    }.items():  # fmt: skip
        at.run("deploy", "examples/demo-model.gguf", "--name", name, *options)
    at.run("stop", "stopped")
    os.kill(at.process("crashed")["engine"]["pid"], signal.SIGKILL)
    os.kill(at.process("told-to-stop")["supervisor"]["pid"], signal.SIGTERM)
    reboot(at, "rebooted")
    for name in ("crashed", "told-to-stop", "rebooted", "idle"):
        until(lambda name=name: at.state(name) in ("stopped", "failed"))  # type: ignore[misc]


def reboot(at: Recorder, name: str) -> None:
    """Both processes die at once, and the identities are of another boot."""
    value = at.process(name)
    for who in ("supervisor", "engine"):
        os.kill(value[who]["pid"], signal.SIGKILL)
        value[who]["started"] = "of-another-boot:1"
    (at.folder(name) / "process.json").write_text(json.dumps(value), encoding="utf-8")


def servers(at: Recorder) -> None:
    """An Ollama server's model, and three of a GPUStack server."""
    sys.path.insert(0, str(at.checkout / "tests"))
    gpustack: Any = importlib.import_module("support.fake_gpustack")
    ollama: Any = importlib.import_module("support.fake_ollama")
    tiny_hf: Any = importlib.import_module("support.tiny_hf")

    demo = ("examples/demo-model.gguf", "--backend", "ollama")
    with ollama.running(ollama.State()) as url:
        at.environment["MODELSCAN_OLLAMA_ENDPOINT"] = url
        at.run("deploy", *demo, "--name", "at-ollama")
        at.run("deploy", *demo, "--name", "unloaded")
        unload = json.dumps({"model": "unloaded", "keep_alive": 0})
        command = ["curl", "-s", f"{url}/api/generate", "-d", unload]
        subprocess.run(command, check=True, capture_output=True)
        at.run("list")
    folder = str(tiny_hf.write_tiny_hf(at.home / "tiny", architectures=["LlamaForCausalLM"]))
    with gpustack.FakeGpuStack() as server:
        at.run("target", "add", "lab", server.url, "--key", "env:LAB_KEY")
        for name in ("at-cluster", "stopped-there", "deleted-there"):
            at.run("deploy", folder, "--name", name, "--target", "lab", "--context", "1k")
        for row in server.models.values():
            if row["name"] == "stopped-there":
                row["replicas"] = 0
        for number in [n for n, row in server.models.items() if row["name"] == "deleted-there"]:
            del server.models[number]
        at.run("list")


def recorded(home: Path) -> dict[str, Any]:
    """Every row and every small file of the run folders, without the paths of this machine."""
    store = next(home.rglob("*.sqlite3"))
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT document FROM deployments ORDER BY name").fetchall()
        kept = connection.execute("SELECT document FROM measurements").fetchall()
    folders = {
        folder.name: {
            file.name: json.loads(file.read_text(encoding="utf-8"))
            for file in sorted(folder.glob("*.json"))
            if file.name != "deployment.json"
        }
        for folder in sorted(store.parent.rglob("deployments/*"))
    }
    return {
        "rows": [json.loads(row[0]) for row in rows],
        "measurements": [json.loads(row[0]) for row in kept],
        "run_folders": folders,
    }


def line_by_line(value: dict[str, Any]) -> str:
    """JSON with a line per row."""
    words = {key: json.dumps(item, ensure_ascii=False) for key, item in value.items()}
    for key in ("rows", "measurements"):
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value[key])
        words[key] = f"[\n{rows}\n]"
    return "{\n" + ",\n".join(f'"{key}": {text}' for key, text in words.items()) + "\n}\n"


def main() -> int:
    checkout, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=checkout, check=True,
                            capture_output=True, text=True).stdout.strip()  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        at = Recorder(checkout, Path(folder))
        try:
            local(at)
            servers(at)
            value = {"commit": commit, **recorded(at.home)}
        finally:
            at.run("stop", "running")
            at.run("stop", "on-a-port")
            at.run("stop", "limited")
    text = line_by_line(value).replace(folder, "/HOME").replace(str(checkout), "/REPOSITORY")
    out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
