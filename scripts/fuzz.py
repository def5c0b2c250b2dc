"""Damages good inputs and runs the pure parsers on them: only the project's own errors, and soon.

    python -m scripts.fuzz [--runs 1000000] [--seed 0] [--only config,gguf] [--jobs 2]

Every input follows from the seed and its number, so that a fault can be repeated with
``--seed S --only TARGET --first N --runs 1``. A fault is another error, or more than LIMIT_S
seconds of CPU time. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from scripts.fuzz_targets import OWN, TARGETS

LIMIT_S = 5.0  # CPU time of one input


class TooSlow(BaseException):
    """The input took longer than its limit. Not an Exception, so that no parser swallows it."""


class Fault(NamedTuple):
    """An input, by number, and what it did: ``where`` is the last line of the project's code."""

    target: str
    number: int
    error: str
    where: str


def fuzz(target: str, seed: int, numbers: range) -> tuple[list[Fault], Counter[str]]:
    """The faults among the inputs with these numbers, and how the inputs ended."""
    faults: list[Fault] = []
    ended: Counter[str] = Counter()
    for number in numbers:
        fault = attempt(target, seed, number)
        if fault is not None:
            faults.append(fault)
        ended["fault" if fault else "done"] += 1
    return faults, ended


def attempt(target: str, seed: int, number: int) -> Fault | None:
    """One input; None if it was read, or refused with an error of the project's own."""
    chosen = TARGETS[target]
    case = chosen.make(random.Random(f"{target} {seed} {number}"))
    try:
        with _limited():
            chosen.run(case)
    except OWN:
        return None
    except (Exception, TooSlow) as error:  # noqa: BLE001  any other error is what is looked for
        return Fault(target, number, f"{type(error).__name__}: {error}"[:200], _where(error))
    return None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raises TooSlow after LIMIT_S seconds of CPU time."""

    def stop(*_: object) -> None:
        raise TooSlow(f"more than {LIMIT_S:g} s of CPU time")

    old = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}modelscan{os.sep}" in frame.filename]
    frame = (own or frames)[-1]
    return f"{frame.filename.rpartition(os.sep + 'modelscan' + os.sep)[2]}:{frame.lineno}"


def _batches(options: argparse.Namespace) -> list[tuple[str, int, range]]:
    names = options.only.split(",") if options.only else list(TARGETS)
    total = sum(TARGETS[name].weight for name in names)
    batches = []
    for name in names:
        count = -(-options.runs * TARGETS[name].weight // total)
        for start in range(options.first, options.first + count, 2000):
            end = min(start + 2000, options.first + count)
            batches.append((name, options.seed, range(start, end)))
    random.Random(0).shuffle(batches)
    return batches


def _run(batch: tuple[str, int, range]) -> tuple[str, list[Fault], int]:
    faults, ended = fuzz(*batch)
    return batch[0], faults, sum(ended.values())


def main(arguments: list[str]) -> int:
    """Command line; prints one line per kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    started, done = time.monotonic(), Counter[str]()
    kinds: dict[tuple[str, str, str], list[Fault]] = {}
    with multiprocessing.Pool(options.jobs) as pool:
        for target, faults, count in pool.imap_unordered(_run, _batches(options)):
            done[target] += count
            for fault in faults:
                key = (fault.target, fault.error.partition(":")[0], fault.where)
                kinds.setdefault(key, []).append(fault)
    for faults in kinds.values():
        first = faults[0]
        print(
            f"{len(faults)} x {first.target}: {first.error} at {first.where}; repeat: --seed "
            f"{options.seed} --only {first.target} --first {first.number} --runs 1"
        )
    sizes = ", ".join(f"{name} {count:,}" for name, count in sorted(done.items()))
    seconds = time.monotonic() - started
    print(
        f"{sum(done.values()):,} inputs ({sizes}) in {seconds:.0f} s: {len(kinds)} kinds of fault"
    )
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
