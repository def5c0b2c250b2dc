"""Damages good inputs and runs the pure parsers on them: only the project's own errors, and soon.

    python -m scripts.fuzz [--runs 1000000] [--seed 0] [--only config,gguf] [--jobs 2]
                           [--journal FILE]

Every input follows from the seed and its number, so that a fault can be repeated with
``--seed S --only TARGET --first N --runs 1``. A fault is another error, or more than LIMIT_S
seconds of CPU time. Exit status 1 if there is one. With ``--journal``, a run that was stopped goes
on where it was: every finished batch is a line of that file.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.fuzz_targets import OWN, TARGETS

LIMIT_S = 5.0  # CPU time of one input
Batch = tuple[str, int, range]  # target, seed, numbers of the inputs


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


def _batches(options: argparse.Namespace) -> list[Batch]:
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


class Finished(NamedTuple):
    """A batch that was run: a line of the journal. ``code``: a hash of the parsers' sources."""

    target: str
    seed: int
    first: int
    inputs: int
    faults: list[Fault]
    code: str

    @property
    def key(self) -> tuple[str, int, int, int]:
        return self.target, self.seed, self.first, self.inputs


def _run(batch: Batch) -> Finished:
    target, seed, numbers = batch
    faults, ended = fuzz(target, seed, numbers)
    return Finished(target, seed, numbers.start, sum(ended.values()), faults, "")


def code_version() -> str:
    """A hash of modelscan's sources."""
    folder = Path(__file__).resolve().parents[1] / "modelscan"
    texts = (path.read_bytes() for path in sorted(folder.rglob("*.py")))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def read_journal(path: Path | None) -> list[Finished]:
    """The batches that a journal has; a line that was cut off is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path and path.exists() else ():
        with contextlib.suppress(ValueError, TypeError):
            target, seed, first, inputs, faults, code = json.loads(line)
            listed = [Fault(*fault) for fault in faults]
            found.append(Finished(target, seed, first, inputs, listed, code))
    return found


def _finished(options: argparse.Namespace) -> Iterator[Finished]:
    """Every batch: those of the journal, then the others as they are run."""
    journal = Path(options.journal) if options.journal else None
    batches = _batches(options)
    wanted = {(target, seed, n.start, len(n)): (target, seed, n) for target, seed, n in batches}
    for batch in read_journal(journal):
        if wanted.pop(batch.key, None):
            yield batch
    code = code_version()
    if journal:
        journal.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(options.jobs) as pool:
        for batch in pool.imap_unordered(_run, list(wanted.values())):
            batch = batch._replace(code=code)
            if journal:
                with journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(batch) + "\n")
            yield batch


def main(arguments: list[str]) -> int:
    """Command line; prints one line per kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--journal", help="go on where this file ends, and note finished batches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    batches = list(_finished(options))
    kinds = report(batches, options.seed)
    codes = {batch.code for batch in batches}
    seconds = time.monotonic() - started
    total = sum(batch.inputs for batch in batches)
    again = f", with {len(codes)} versions of the code" if len(codes) > 1 else ""
    print(f"{total:,} inputs{again}, {seconds:.0f} s of them now: {kinds} kinds of fault")
    return 1 if kinds else 0


def report(batches: Iterable[Finished], seed: int) -> int:
    """Print each kind of fault and the inputs by target; the number of kinds."""
    done: Counter[str] = Counter()
    kinds: dict[tuple[str, str, str], list[Fault]] = {}
    for batch in batches:
        done[batch.target] += batch.inputs
        for fault in batch.faults:
            key = (fault.target, fault.error.partition(":")[0], fault.where)
            kinds.setdefault(key, []).append(fault)
    for faults in kinds.values():
        first = faults[0]
        print(
            f"{len(faults)} x {first.target}: {first.error} at {first.where}; repeat: --seed "
            f"{seed} --only {first.target} --first {first.number} --runs 1"
        )
    print(", ".join(f"{name} {count:,}" for name, count in sorted(done.items())))
    return len(kinds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
