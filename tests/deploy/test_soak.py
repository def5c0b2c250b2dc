"""``make soak``: whole lives of deployments under faults, each from its seed.

A life is a deploy, a few random commands and faults, and a remove. Faults: kill -9 of the engine,
its supervisor or a command at a random moment; a disk that is full for one command (a limit on file
sizes stands for it, with the same errors); a stolen port; a broken routing file; a drain under
load, some of them interrupted. After each step: nothing runs that no row knows, no deployment is
lost, the routing file says what is there, what is called running answers, and no request was cut
without a word. ``LIVES=1000`` (or SOAK_LIVES) is the long run, ``FIRST`` (SOAK_FIRST) its first
seed: a long run can go on where another one ended, and one life is repeated with LIVES=1. CI runs
a sample.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.patience import CHANGE_S, COMMAND_S
from support.streams import streams
from test_crash import check_truth, kill_after

from modelscan.routing.file import load as load_routes
from modelscan.routing.file import remove_route
from modelscan.state.config import Config
from modelscan.supervisor.rundir import RunDir

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
LIVES = int(os.environ.get("SOAK_LIVES") or "200")
FIRST = int(os.environ.get("SOAK_FIRST") or "0")
SAMPLE = (1009, 1023)  # in CI: with all kinds of faults between them
SETTLE_S = CHANGE_S  # the pauses before restarts, on a busy machine
BROKEN_ENDS = (b"\nrouting: [\n", b"\n\tx: y\n", b"\nversion: 1\n", b"\n---\n[]\n", b"\0")


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


class Life:
    """One seed. ``known`` says whether a row must be there; None after a killed command."""

    def __init__(self, seed: int, run: Run, home: Path, config: Config, model: Path) -> None:
        self.rng = random.Random(seed)
        self.run, self.home, self.config, self.model = run, home, config, model
        self.known: bool | None = False
        self.row: dict[str, Any] | None = None
        self.story: list[str] = []

    def live(self) -> None:
        self.step("deploy")
        for _ in range(self.rng.randint(2, 5)):
            self.step(self.rng.choice(_STEPS))
        self.end()

    def end(self) -> None:
        """It can still be deployed, and after a remove nothing is left."""
        self.story.append("end")
        # Waited for: nobody retries a start without --wait whose port another program took.
        done = self.run("deploy", str(self.model), "--replace")
        assert done.code == 0, done.err
        self.known = True
        self.check()
        assert self.row is not None and self.row["state"] == "running", self.row
        assert len(living(self.home)) == 2
        self.obey("remove")
        assert living(self.home) == []
        assert load_routes(self.config.routing_file).routes == ()
        assert list((self.home / "state" / "deployments").iterdir()) == []

    def step(self, name: str) -> None:
        self.story.append(name)
        fault = getattr(self, f"fault_{name}", None)
        if fault is not None:
            fault()
        elif self.rng.random() < 0.35:
            moment_s = self.rng.uniform(0.02, 1.0)
            self.story.append(f"killed after {moment_s:.3f} s")
            kill_after(moment_s, *self.words(name))
            self.known = None
        else:
            self.obey(name)
        self.check()

    def words(self, name: str) -> list[str]:
        if name == "deploy":
            policy = self.rng.choice(("no", "on-failure", "always"))
            wait = self.rng.choice(("--wait", "--no-wait"))
            return ["deploy", str(self.model), "--restart", policy, wait, "--replace"]
        return {"stop": ["stop", "tiny"], "start": ["start", "tiny"],
                "restart": ["restart", "tiny"], "remove": ["remove", "tiny", "--yes"]}[name]  # fmt: skip

    def obey(self, name: str) -> None:
        done = self.run(*self.words(name))
        if done.code == 0:
            self.known = name != "remove"
        elif name == "deploy":
            raise AssertionError(done.err)

    def fault_engine(self) -> None:
        self.kill("engine")

    def fault_supervisor(self) -> None:
        self.kill("supervisor")

    def kill(self, whom: str) -> None:
        running = RunDir(self.home / "state" / "deployments" / "tiny").running()
        victim = getattr(running, whom) if running else None
        if victim is not None and victim.pid in living(self.home):
            os.kill(victim.pid, signal.SIGKILL)
            time.sleep(self.rng.uniform(0.0, 0.2))

    def fault_full(self) -> None:
        """A command that can write only so many bytes to a file; it may fail, never half."""
        name = self.rng.choice(("deploy", "stop", "start", "remove"))
        limit = self.rng.choice((0, 100, 3000, 20_000))
        self.story.append(f"{name} with {limit} bytes")
        command = [sys.executable, "-m", "modelscan", *self.words(name)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_S,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            # Python would cut its own cached bytecode as well, and every later import would fail.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        self.known = None

    def fault_port(self) -> None:
        """Its port is taken while it is stopped: it starts on another one."""
        if self.row is None:
            return
        self.obey("stop")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", self.row["port"]))
            thief.listen()
            done = self.run("start", "tiny")
            assert done.code == 0, done.err
            self.check()
            assert self.row is not None and self.row["state"] == "running"
            assert self.row["port"] != thief.getsockname()[1]

    def fault_routes(self) -> None:
        """No state of the routing file keeps an engine alive, or a command from an answer."""
        file = self.config.routing_file
        before = file.read_bytes() if file.exists() else None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((before or b"version: 1\n") + self.rng.choice(BROKEN_ENDS))
        name = self.rng.choice(("stop", "remove", "start"))
        self.story.append(f"{name} with a broken routing file")
        done = self.run(*self.words(name))
        assert "Traceback" not in done.err, done.err
        assert self.run("list").code == 0
        if name in ("stop", "remove"):
            assert living(self.home) == []
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
        self.known = None
        if name == "remove" and self.row is not None and before is not None:
            assert "entry is still in the routing file" in done.err, done.err
            remove_route(file, "tiny", deployment="tiny")  # as the message says
        elif name != "start":
            self.run("stop", "tiny")  # disables the entry now

    def fault_drain(self) -> None:
        """Requests run and wait: a drain waits for them, a killed one cuts none, others tell."""
        if self.row is None or self.row["state"] != "running":
            return
        kind = self.rng.choice(("long", "killed", "short"))
        self.story.append(f"{kind} drain")
        words = [self.rng.choice(("stop", "remove")), "tiny", "--drain"]
        words = [*words, "120"] + (["--yes"] if words[0] == "remove" else [])
        with streams(self.row["port"], 3, self.rng.choice((300, 1500))) as futures:
            if kind == "killed":
                kill_after(self.rng.uniform(0.3, 1.5), *words)
                told = False
            else:
                words[words.index("120")] = "120" if kind == "long" else "0.2"
                done = self.run(*words, "--json")
                assert done.code == 0, done.out
                told = any("were cut" in text for text in done.json["warnings"])
            cut = [not future.result() for future in futures]
        assert told or not any(cut), self.story
        assert not (told and kind == "long"), self.story
        self.known = None

    def check(self) -> None:
        eventually(self.settled, SETTLE_S)
        self.row = check_truth(self.run, self.home, self.config)
        if self.known is not None:
            assert (self.row is not None) == self.known
        self.known = self.row is not None

    def settled(self) -> bool:
        rows: list[dict[str, Any]] = self.run("list", "--json").json["deployments"]
        return all(row["state"] in ("failed", "stopped") or row["health"] == "ok" for row in rows)


_STEPS = ("engine", "engine", "supervisor", "stop", "start", "restart", "deploy", "remove", "full",
          "port", "routes", "drain", "drain")  # fmt: skip


def live(seed: int, run: Run, home: Path, config: Config, model_file: Path) -> None:
    life = Life(seed, run, home, config, model_file)
    try:
        life.live()
    except BaseException:
        print(f"seed {seed}: {' > '.join(life.story)}")
        raise


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SAMPLE)
def test_a_sample_of_lives(
    run: Run, home: Path, config: Config, model_file: Path, seed: int
) -> None:
    live(seed, run, home, config, model_file)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + LIVES))
def test_lives_under_faults(
    run: Run, home: Path, config: Config, model_file: Path, seed: int
) -> None:
    live(seed, run, home, config, model_file)
