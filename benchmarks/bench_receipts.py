"""What receipts cost a gateway: CPU time per request with and without them, in alternating rounds.

    python -m benchmarks.bench_receipts [--rounds 6] [--json FILE]

Three gateways run at once, with the same keys, routes and number of processes:

on    receipts are written (the default)
off   ``modelscan trace off``: they are made, for budgets, signals and metrics, and not stored
none  none is made, which no setting does (benchmarks/without_receipts)

In each round each of them gets the same load, one after the other, in another order. Reported are
the differences within a round, in microseconds of CPU time per request: of the worker, which
answers the requests; of the serving process's event loop, which takes the receipts; and of its
other threads, one of which writes them. Needs gcc, wrk and taskset.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.bench_gateway import backends, gateway
from benchmarks.gateway_load import Cell, wrk
from benchmarks.gateway_peers import environment

AIM_US = 4.0  # of the worker: what a request waits for
CELLS = (Cell("c16", 16, 1_000), Cell("c1", 1, 1_000))
SECONDS, SETTLE_S = 3, 2.0  # receipts of a quiet gateway are written within a second and a half
PARTS = ("worker", "serving", "writer")


class Spent(NamedTuple):
    """CPU time of a gateway's parts, in seconds or in microseconds per request."""

    worker: float
    serving: float
    writer: float


def _on(_: Path) -> dict[str, str]:
    return {}


def _off(folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "modelscan", "trace", "off"]
    subprocess.run(command, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
    return {}


def _none(_: Path) -> dict[str, str]:
    here = Path(__file__).with_name("without_receipts")
    return {"PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])}


ARMS: dict[str, Callable[[Path], dict[str, str]]] = {"on": _on, "off": _off, "none": _none}


def spent(pid: int) -> Spent:
    """What the process tree of a gateway used so far, by nanoseconds of its threads."""
    main = _thread_s(pid, pid)
    threads = sum(_thread_s(pid, int(one.name)) for one in Path(f"/proc/{pid}/task").iterdir())
    workers = [one.pid for one in psutil.Process(pid).children(recursive=True)]
    return Spent(
        sum(_thread_s(one, int(task.name))
            for one in workers for task in Path(f"/proc/{one}/task").iterdir()),
        main, threads - main,
    )  # fmt: skip


def _thread_s(pid: int, thread: int) -> float:
    with contextlib.suppress(OSError):  # it ended meanwhile
        text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
        return int(text.split()[0]) * 1e-9
    return 0.0


def per_request(cell: Cell, port: int, pid: int, folder: Path) -> Spent:
    """Microseconds of each part per request, under this load."""
    before = spent(pid)
    load = wrk(cell, port, SECONDS, folder)
    time.sleep(SETTLE_S)
    after = spent(pid)
    if load.bad or not load.requests:
        raise SystemExit(f"{load.bad} of {load.requests} requests failed")
    return Spent(*((b - a) * 1e6 / load.requests for a, b in zip(before, after, strict=True)))


def rounds(count: int) -> list[dict[str, dict[str, Spent]]]:
    """Of each round, by cell and arm."""
    result = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstreams = stack.enter_context(backends(folder))
        running = {
            name: stack.enter_context(gateway("modelscan", upstreams, prepare))
            for name, prepare in ARMS.items()
        }
        for port, start in running.values():
            per_request(CELLS[0], port, int(start["pid"]), folder)
        names = list(ARMS)
        for number in range(count):
            row: dict[str, dict[str, Spent]] = {}
            for cell in CELLS:
                order = names[number % 3 :] + names[: number % 3]
                spent_of = {
                    name: per_request(cell, running[name][0], int(running[name][1]["pid"]), folder)
                    for name in order
                }
                row[cell.name] = {name: spent_of[name] for name in names}
            result.append(row)
            print(number, {cell: {arm: round(sum(one), 1) for arm, one in of.items()}
                           for cell, of in row.items()}, flush=True)  # fmt: skip
    return result


def differences(
    rows: list[dict[str, dict[str, Spent]]], cell: str, without: str
) -> dict[str, list[float]]:
    """Of each part and of all, the rise of each round."""
    pairs = [(row[cell]["on"], row[cell][without]) for row in rows]
    found = {part: [getattr(on, part) - getattr(off, part) for on, off in pairs] for part in PARTS}
    return found | {"all": [sum(on) - sum(off) for on, off in pairs]}


def table(rows: list[dict[str, dict[str, Spent]]]) -> str:
    """Medians and the smallest ones of the rises."""
    lines = [
        "| load | receipts on, against | worker | serving loop | writer | all | least | ratio |"
    ]
    lines.append("|---" * 8 + "|")
    for cell in (one.name for one in CELLS):
        for without in ("off", "none"):
            rise = differences(rows, cell, without)
            middle = [f"{statistics.median(rise[part]):.1f}" for part in (*PARTS, "all")]
            ratios = [sum(row[cell]["on"]) / sum(row[cell][without]) for row in rows]
            figures = [*middle, f"{min(rise['all']):.1f}", f"{statistics.median(ratios):.2f}"]
            lines.append(f"| {cell} | {without} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for program in ("gcc", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(f"bench_receipts needs {program} (Debian: apt install wrk gcc)")
    rows = rounds(options.rounds)
    print(table(rows))
    if options.json:
        plain = [{cell: {arm: one._asdict() for arm, one in of.items()} for cell, of in row.items()}
                 for row in rows]  # fmt: skip
        options.json.write_text(json.dumps(plain, indent=1))
    rise = statistics.median(differences(rows, CELLS[0].name, "none")["worker"])
    print(f"a request's worker: {rise:+.1f} us with receipts (aim: at most {AIM_US:g})")
    return 0 if rise <= AIM_US else 1


if __name__ == "__main__":
    sys.exit(main())
