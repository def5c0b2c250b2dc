"""Promotions that are killed at every step, go on with the same command, or are taken back."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.patience import COMMAND_S
from support.promotion_child import options_of
from support.promotions import aliases, gate_of, registered, running

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.promotion.promote import promote, rollback, route_lock
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import STEPS, PromotionOptions, StepName
from modelscan.state.config import Config

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")
CHILD = Path(__file__).resolve().parent.parent / "support" / "promotion_child.py"


def killed(reference: str, route: str, step: str, where: str, *words: str) -> None:
    """Run a promotion that is killed there."""
    done = subprocess.run(
        [sys.executable, str(CHILD), reference, route, step, where, *words],
        capture_output=True, text=True, timeout=COMMAND_S,
    )  # fmt: skip
    assert done.returncode == -9, done.stdout + done.stderr


def first(promoter: Promoter, talking: Path) -> None:
    """A route that serves version 1, and a version 2 to promote."""
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    promote(promoter, "talker@1", "talk", PromotionOptions())
    registered(promoter, "talker", talking / "good-q4_0.gguf")


@pytest.mark.parametrize(
    "killed_at",
    [
        pytest.param(("deploy", "canary", "switch"), id="some"),
        pytest.param(STEPS, id="every", marks=pytest.mark.slow),
    ],
)
def test_killed_it_goes_on(
    promoter: Promoter, talking: Path, killed_at: tuple[StepName, ...]
) -> None:
    """Killed after the effect of a step and before its record, again and again."""
    first(promoter, talking)
    words = (gate_of(talking), "canary=0.5:0")
    for step in killed_at:
        killed("talker@2", "talk", step, "done", *words)
    answer = promote(promoter, "talker@2", "talk", options_of(list(words)))
    assert (answer.state, answer.previous, answer.current) == ("promoted", "talker@1", "talker@2")
    assert aliases(promoter, "talker") == {"champion": "2", "previous": "1"}
    assert running(promoter) == {answer.candidate}
    text = promoter.config.routing_file.read_text()
    assert text.count("deployment:") == 1
    assert "canary" not in text
    assert rollback(promoter, "talk").current == "talker@1"


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("canary", "done"),
        *(
            pytest.param(step, where, marks=pytest.mark.slow)
            for step, where in (
                ("check", "begun"), ("deploy", "begun"), ("deploy", "done"), ("evaluate", "begun"),
                ("canary", "begun"), ("switch", "begun"), ("switch", "done"), ("aliases", "done"),
                ("retire", "done"),
            )
        ),
    ],
)  # fmt: skip
def test_killed_it_is_taken_back(promoter: Promoter, talking: Path, step: str, where: str) -> None:
    """Route, aliases and deployments are what they were."""
    first(promoter, talking)
    file = promoter.config.routing_file
    before, served = file.read_bytes(), running(promoter)
    killed("talker@2", "talk", step, where, "canary=0.5:0")
    with pytest.raises(UsageError, match=f"was cut off at the step {step}"):
        promote(promoter, "talker@1", "talk", PromotionOptions())
    back = rollback(promoter, "talk")
    assert back.current == "talker@1"
    assert file.read_bytes() == before
    assert aliases(promoter, "talker") == {"champion": "1"}
    assert running(promoter) == served
    assert promote(promoter, "talker@2", "talk", PromotionOptions()).state == "promoted"


def test_two_at_once(config: Config, promoter: Promoter, talking: Path) -> None:
    """The second command is refused, and the first one is not disturbed."""
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with route_lock(config, "talk"):
            held.set()
            release.wait(COMMAND_S)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(COMMAND_S)
        with pytest.raises(ModelscanError, match="being changed by another"):
            promote(promoter, "talker@1", "talk", PromotionOptions())
        with pytest.raises(ModelscanError, match="being changed by another"):
            rollback(promoter, "talk")
    finally:
        release.set()
        thread.join()
    assert promote(promoter, "talker@1", "talk", PromotionOptions()).state == "promoted"
