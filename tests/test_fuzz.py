"""A seeded sample of ``make fuzz``: damaged inputs are read or refused, nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from scripts import fuzz
from scripts.fuzz_targets import TARGETS, Target

SAMPLE = {"config": 60, "gguf": 80, "safetensors": 300, "probe": 300, "tree": 15}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no CPU-time signal")


def test_every_target_has_a_sample():
    assert SAMPLE.keys() == TARGETS.keys()


@pytest.mark.parametrize("target", SAMPLE)
def test_damaged_inputs_are_read_or_refused(target: str):
    faults, ended = fuzz.fuzz(target, 7, range(SAMPLE[target]))
    assert not faults
    assert ended["done"] == SAMPLE[target]


def test_an_input_follows_from_its_number():
    import random

    make = TARGETS["probe"].make
    first, again, other = (make(random.Random(f"probe 0 {n}")) for n in (1, 1, 2))
    assert first == again != other


def test_another_error_and_a_slow_input_are_faults(monkeypatch: pytest.MonkeyPatch):
    def spin(_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "LIMIT_S", 0.05)
    monkeypatch.setitem(TARGETS, "slow", Target(lambda _: 1, spin, 1))
    monkeypatch.setitem(TARGETS, "wrong", Target(lambda _: 1, lambda n: n / 0, 1))
    slow, wrong = fuzz.attempt("slow", 0, 0), fuzz.attempt("wrong", 0, 0)
    assert slow is not None
    assert slow.error.startswith("TooSlow")
    assert wrong is not None
    assert wrong.error.startswith("ZeroDivisionError")


def test_a_stopped_run_goes_on_where_its_journal_ends(tmp_path: Path):
    arguments = ["--runs", "30", "--only", "safetensors", "--jobs", "1"]
    journal = tmp_path / "journal.jsonl"
    assert fuzz.main([*arguments, "--journal", str(journal)]) == 0
    whole = journal.read_text()
    fault = fuzz.Fault("safetensors", 3, "ValueError: made up", "formats/x.py:1")
    (batch,) = fuzz.read_journal(journal)
    journal.write_text(json.dumps(batch._replace(faults=[fault])) + "\n" + whole[:20])
    assert fuzz.main([*arguments, "--journal", str(journal)]) == 1  # read, not run again
