"""A cluster on this machine: a control plane, two nodes and a real model, with a node that dies.

python -m scripts.demo_cluster MODEL.gguf

Each of the three has a MODELSCAN_HOME of its own below one temporary folder. At the end, also after
Ctrl-C, every process that was started is ended and the folder is removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO_MODEL = ROOT / "examples" / "demo-model.gguf"
BEAT_S = "2"
DEADLINE_S = 120.0
ROLES = {
    "version": 1,
    "routing": {
        "mode": "direct",
        "roles": [
            {"role_id": "assistant", "operation": "chat",
             "prompt_policy": {"system_prompt": "Answer in one short sentence."},
             "routing_policy": {"strategy": "round_robin"}},
            {"role_id": "embedder", "operation": "embeddings"},
        ],
    },
}  # fmt: skip


def modelscan(home: Path, *words: str, quiet: bool = False) -> str:
    """Run a command in a home, shown with its output; raises CalledProcessError."""
    if not quiet:
        print(f"\n{home.name}$ modelscan {shlex.join(words)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *words], env=_environment(home), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=ROOT,
    )  # fmt: skip
    if not quiet or done.returncode:
        print(done.stdout, end="", flush=True)
    done.check_returncode()
    return done.stdout


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MODELSCAN_HOME": str(home), "MODELSCAN_NODE_BEAT_S": BEAT_S}


@dataclass
class Process:
    """A gateway: the control plane, or a node's."""

    home: Path
    words: tuple[str, ...]
    url: str = ""
    popen: subprocess.Popen[str] = field(init=False)

    def start(self) -> Process:
        """Start it; returns when it accepts connections."""
        print(f"\n{self.home.name}$ modelscan {shlex.join(self.words)} &", flush=True)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "modelscan", *self.words, "--json"], text=True, cwd=ROOT,
            stdout=subprocess.PIPE, env=_environment(self.home), start_new_session=True,
        )  # fmt: skip
        ready = threading.Event()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        if not ready.wait(DEADLINE_S) or not self.url:
            raise RuntimeError(f"{self.home.name} did not start")
        return self

    def _read(self, ready: threading.Event) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            event = json.loads(line)
            if event.get("event") == "ready":
                self.url = event["url"]
                ready.set()
            print(f"  [{self.home.name}] {event.get('text')}", flush=True)
        ready.set()

    def kill(self) -> None:
        """End it as a crash would, with its workers."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """End it with SIGTERM."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(20)
        if self.popen.poll() is None:
            self.kill()


def ask(url: str, path: str, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers of a POST request."""
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}"), dict(error.headers)


def chat(url: str, model: str, text: str) -> tuple[int, str]:
    """Status, and the answer or the error."""
    body = {"model": model, "max_tokens": 24, "temperature": 0,
            "messages": [{"role": "user", "content": text}]}  # fmt: skip
    status, found, _ = ask(url, "/v1/chat/completions", body)
    if status == 200:
        return status, found["choices"][0]["message"]["content"].strip().splitlines()[0]
    return status, str(found.get("error", found))


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; raises RuntimeError after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise RuntimeError(f"not reached: {what}")


def title(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


class Demonstration:
    """The steps, in order. ``facts`` are the lines of the summary."""

    def __init__(self, folder: Path, model: Path, stack: ExitStack) -> None:
        self.control, self.nodes = folder / "control", [folder / "node1", folder / "node2"]
        self.model = model
        self.stack = stack
        self.facts: list[str] = []
        self.gateways: list[Process] = []

    def run(self) -> None:
        """Everything."""
        self._deploy()
        self._gather()
        self._requests()
        self._failover()
        self._comeback()
        title("what this showed")
        print("\n".join(f"  {one}" for one in self.facts), flush=True)

    def _deploy(self) -> None:
        title("two machines with a model each, and one of them with an embedding model")
        for home in self.nodes:
            self.stack.callback(self._remove_all, home)
            modelscan(home, "deploy", str(self.model), "--name", "smollm2", "--context", "2048",
                      "--parallel", "1", "--yes")  # fmt: skip
        modelscan(self.nodes[1], "deploy", str(DEMO_MODEL), "--name", "embeddings", "--embedding",
                  "--context", "512", "--yes")  # fmt: skip

    def _remove_all(self, home: Path) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            modelscan(home, "remove", "--all", "--yes", "--drain", "0", quiet=True)

    def _started(self, process: Process) -> Process:
        self.stack.callback(process.stop)
        return process.start()

    def _gather(self) -> None:
        title("a control plane, and the machines join it")
        file = self.control / "config" / "routing.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(ROLES))
        self.plane = self._started(Process(self.control, ("serve", "--port", "0")))
        for home in self.nodes:
            words = ("node", "join", self.plane.url, "--name", home.name, "--port", "0")
            self.gateways.append(self._started(Process(home, words)))
        until(lambda: chat(self.plane.url, "smollm2", "Hi")[0] == 200, "a first answer")
        until(self._both, "requests at both nodes")
        modelscan(self.control, "node", "list")
        modelscan(self.control, "route", "services")
        self.facts.append("2 nodes joined; their models are names of the control plane")

    def _both(self) -> bool:
        """Whether the role has two candidates by now."""
        shown = json.loads(modelscan(self.control, "route", "roles", "--json", quiet=True))
        role = next(one for one in shown["roles"] if one["role_id"] == "assistant")
        return int(role["passed"]) >= 2

    def _requests(self) -> None:
        title("requests: by role, by name, and embeddings")
        for name in ("assistant", "smollm2"):
            status, text = chat(self.plane.url, name, "What is the capital of France?")
            print(f'  POST /v1/chat/completions {{"model": "{name}"}} -> {status} {text}')
            _check(status == 200, f"the chat with {name} failed")
            self.facts.append(f"chat by {name}: {text}")
        body = {"model": "embedder", "input": ["a cluster", "of two nodes"]}
        status, found, _ = ask(self.plane.url, "/v1/embeddings", body)
        _check(status == 200, f"embeddings failed: {found}")
        size = len(found["data"][0]["embedding"])
        print(f'  POST /v1/embeddings {{"model": "embedder"}} -> {status}, {size} dimensions each')
        self.facts.append(f"embeddings by role: {len(found['data'])} vectors of {size} numbers")
        reached = {one.home.name: _requests_of(one.url) for one in self.gateways}
        print(f"  requests at the nodes: {reached}", flush=True)

    def _failover(self) -> None:
        title("a node is killed (kill -9) while requests run")
        victim = self.gateways[0]
        before = _requests_of(self.gateways[1].url)
        statuses: list[int] = []
        for number in range(30):
            if number == 10:
                victim.kill()
                print(f"  kill -9 {victim.home.name}", flush=True)
            statuses.append(chat(self.plane.url, "assistant", f"Count to {number}.")[0])
        answered = statuses.count(200)
        print(f"  {answered} of {len(statuses)} requests were answered", flush=True)
        until(lambda: _state(self.control, victim.home.name) == "stale", "the dead node is stale")
        modelscan(self.control, "node", "list")
        later = [chat(self.plane.url, "assistant", "Still there?")[0] for _ in range(4)]
        _check(later == [200] * 4, f"after the failover: {later}")
        _check(answered == len(statuses), f"statuses: {statuses}")
        moved = _requests_of(self.gateways[1].url) - before
        self.facts.append(f"failover: {answered} of {len(statuses)} answered, {moved} by node2")

    def _comeback(self) -> None:
        title("the node comes back")
        words = ("node", "join", self.plane.url, "--name", self.nodes[0].name, "--port", "0")
        self.gateways[0] = self._started(Process(self.nodes[0], words))
        until(lambda: _state(self.control, self.nodes[0].name) == "ready", "the node is ready")
        modelscan(self.control, "node", "list")
        self.facts.append("the node came back by itself and is ready")


def _requests_of(url: str) -> int:
    """Requests to the models behind a node's gateway."""
    with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
        return sum(one["requests"] for one in json.load(answer)["backends"])


def _state(home: Path, name: str) -> str | None:
    shown = json.loads(modelscan(home, "node", "list", "--json", quiet=True))
    return next((str(one["state"]) for one in shown["nodes"] if one["name"] == name), None)


def _check(good: bool, text: str) -> None:
    if not good:
        raise RuntimeError(text)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the demonstration with its clean-up, as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """Run it; 0 if everything was as it should be."""
    begun = time.monotonic()
    model = Path(sys.argv[1]).absolute()
    with (
        interruptible(),
        tempfile.TemporaryDirectory(prefix="modelscan-cluster.") as name,
        ExitStack() as stack,
    ):
        try:
            Demonstration(Path(name), model, stack).run()
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return 130
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 1
        title("the end: every process is stopped")
    print(f"{time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
