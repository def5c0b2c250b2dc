"""Receipts in large numbers: insert rate, size, p95 of ``trace list`` and ``cost``, retention.

python -m benchmarks.bench_traces [--receipts 10000000]
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from modelscan.core.receipt import Receipt, RouteChoice, ToolUse
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess, find_cost, list_spans, show_span
from modelscan.traces.cost import OwnCosts
from modelscan.traces.retention import DAY_S
from modelscan.traces.rollup_days import merge_days
from modelscan.traces.store import DELETED_AT_ONCE, ReceiptStore
from modelscan.traces.writer import BATCH

DAYS, ROUTES, REPEATS = 30, 40, 40
MOST_MS, LEAST_PER_S = 200.0, 20_000
_CHOICE = RouteChoice("role", "scored", 3)


def receipts(count: int, now: float) -> Iterator[Receipt]:
    """Requests of thirty days to forty routes, local and hosted, with one error in a hundred."""
    rng = random.Random(1)
    prefix = f"{rng.getrandbits(96):024x}"
    begin, step = now - DAYS * DAY_S, DAYS * DAY_S / count
    for number in range(count):
        route = f"route-{int(rng.random() ** 3 * ROUTES):02d}"  # a few have most requests
        hosted = route.endswith("7")
        used = int(rng.lognormvariate(6.5, 1.2))
        yield Receipt(
            f"{prefix}{number:08x}", begin + number * step, "chat", route, route, None,
            ("auto: at most 600 characters -> fast, thinking off",) if number % 5 == 0 else (),
            "gpt-4o" if hosted else "qwen3-8b", f"{route}-a",
            "api.openai.com" if hosted else "127.0.0.1", "third_party" if hosted else "local",
            502 if number % 100 == 0 else 200, None, True, 0.3, 2.5, None, used, used // 8,
            used // 2, None, "stop", 0, None, f"key-{number % 7}", "127.0.0.1", used * 4, used,
            used * 4 if hosted else 0, ("api.openai.com",) if hosted else (),
            ("text",) if hosted else (), (ToolUse("search", 1),) if number % 9 == 0 else (),
            _CHOICE, "full", 32_768, "engine",
        )  # fmt: skip


def write(store: ReceiptStore, count: int, now: float) -> tuple[float, float]:
    """Write them in the gateway's batches; returns the seconds, and those of CPU time, without
    making the receipts."""
    spent, cpu, batch = 0.0, 0.0, []
    for one in itertools.chain(receipts(count, now), [None]):
        if one is not None:
            batch.append(one)
        if batch and (one is None or len(batch) == BATCH):
            begin, used = time.perf_counter(), time.process_time()
            store.write(batch)
            spent += time.perf_counter() - begin
            cpu += time.process_time() - used
            batch = []
    while store.prune(now) or _unmerged(store, now):
        pass
    return spent, cpu


def _unmerged(store: ReceiptStore, now: float) -> bool:
    """Whether sums of old days are still hourly: a gateway merges some each minute."""
    with store._database.writing() as connection:
        return bool(merge_days(connection, now))


def p95_ms(action: Callable[[], object]) -> tuple[float, float]:
    """Of the time, and of the CPU time: on a busy machine they differ."""
    action()
    times, cpu = [], []
    for _ in range(REPEATS):
        begin, used = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - begin) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return statistics.quantiles(times, n=20)[-1], statistics.quantiles(cpu, n=20)[-1]


def questions(access: TraceAccess, some_id: str) -> dict[str, Callable[[], object]]:
    """What is asked, by its command."""
    own = OwnCosts(350, 0.3)
    return {
        "trace list": lambda: list_spans(access, limit=50),
        "trace list --route (many)": lambda: list_spans(access, limit=50, route="route-00"),
        "trace list --route (few)": lambda: list_spans(access, limit=50, route="route-39"),
        "trace list --status 502": lambda: list_spans(access, limit=50, status=502),
        "trace list --status 418 (none)": lambda: list_spans(access, limit=50, status=418),
        "trace list --since 1h": lambda: list_spans(access, limit=50, since_s=3600),
        "trace list --since 20d --route": lambda: list_spans(
            access, limit=50, since_s=20 * DAY_S, route="route-38", status=502
        ),
        "trace show": lambda: show_span(access, some_id),
        "trace cost": lambda: find_cost(access, own=own),
        "trace cost --since 7d": lambda: find_cost(access, since_s=7 * DAY_S, own=own),
    }


def retention(store: ReceiptStore, count: int, now: float) -> tuple[int, float]:
    """Delete what is older than 29 days, in batches; returns how many and the longest batch."""
    store.keep_s = 29 * DAY_S
    deleted, longest = 0, 0.0
    while True:
        begin = time.perf_counter()
        gone = store.prune(now)
        longest = max(longest, time.perf_counter() - begin)
        deleted += gone
        if gone < DELETED_AT_ONCE:
            return deleted, longest


def _file_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=10_000_000)
    count = parser.parse_args().receipts
    now = time.time()
    failed = []
    with tempfile.TemporaryDirectory() as folder, ServerDatabase.open(Path(folder)) as database:
        access = TraceAccess(load({"offline": True}), database)
        store = ReceiptStore(database, keep_s=1e9, keep_bytes=10**13)
        spent, cpu = write(store, count, now)
        rate = count / spent
        print(f"{count:,} receipts: {rate:,.0f} per second ({count / cpu:,.0f} of CPU time), "
              f"{_file_bytes(Path(folder)) / count:.0f} bytes each")  # fmt: skip
        failed += [f"{rate:,.0f} receipts per second"] if rate < LEAST_PER_S else []
        some_id = store.newest(1)[0].trace_id
        for name, action in questions(access, some_id).items():
            value, cpu = p95_ms(action)
            print(f"{name:32} p95 {value:7.1f} ms, {cpu:6.1f} ms of CPU time")
            failed += [f"{name}: {value:.0f} ms"] if value > MOST_MS else []
        deleted, longest = retention(store, count, now)
        print(f"retention: {deleted:,} deleted, the longest batch took {longest * 1000:.0f} ms")
        failed += [] if abs(deleted * DAYS / count - 1) < 0.01 else [f"{deleted:,} deleted"]
    print("missed: " + "; ".join(failed) if failed else "every target is met")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
