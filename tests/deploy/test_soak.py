"""``make soak``: whole lives of deployments under kill -9, each from its seed.

A life is a deploy, a few random commands and kills (of the engine, its supervisor, or a command
at a random moment), and a remove. After each step: nothing runs that no row knows, no deployment
is lost, the routing file says what is there, and what is called running answers.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from test_crash import check_truth, kill_after

from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config
from modelscan.supervisor.rundir import RunDir

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
LIVES = int(os.environ.get("SOAK_LIVES", "200"))
PER_TEST = 10
SETTLE_S = 60.0  # the pauses before restarts, on a busy machine


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
        self.obey("deploy")
        self.check()
        assert self.row is not None and self.row["state"] == "running"
        assert len(living(self.home)) == 2
        self.obey("remove")
        assert living(self.home) == []
        assert load_routes(self.config.routing_file).routes == ()
        assert list((self.home / "state" / "deployments").iterdir()) == []

    def step(self, name: str) -> None:
        self.story.append(name)
        if name in ("engine", "supervisor"):
            self.kill(name)
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
                "remove": ["remove", "tiny", "--yes"]}[name]  # fmt: skip

    def obey(self, name: str) -> None:
        done = self.run(*self.words(name))
        if done.code == 0:
            self.known = name != "remove"
        elif name == "deploy":
            raise AssertionError(done.err)

    def kill(self, whom: str) -> None:
        running = RunDir(self.home / "state" / "deployments" / "tiny").running()
        victim = getattr(running, whom) if running else None
        if victim is not None and victim.pid in living(self.home):
            os.kill(victim.pid, signal.SIGKILL)
            time.sleep(self.rng.uniform(0.0, 0.2))

    def check(self) -> None:
        eventually(self.settled, SETTLE_S)
        self.row = check_truth(self.run, self.home, self.config)
        if self.known is not None:
            assert (self.row is not None) == self.known
        self.known = self.row is not None

    def settled(self) -> bool:
        rows: list[dict[str, Any]] = self.run("list", "--json").json["deployments"]
        return all(row["state"] in ("failed", "stopped") or row["health"] == "ok" for row in rows)


_STEPS = ("engine", "engine", "supervisor", "stop", "start", "deploy", "remove")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range((LIVES + PER_TEST - 1) // PER_TEST))
def test_lives_under_kills(
    run: Run, home: Path, config: Config, model_file: Path, batch: int
) -> None:
    for seed in range(batch * PER_TEST, min(LIVES, (batch + 1) * PER_TEST)):
        life = Life(seed, run, home, config, model_file)
        try:
            life.live()
        except BaseException:
            print(f"seed {seed}: {' > '.join(life.story)}")
            raise
