"""CPU time per request and per streamed chunk of gateways, in alternating rounds of one run.

    python -m benchmarks.bench_gateway [--rounds 3] [--only modelscan,nginx] [--json FILE]

Processor 0 runs the gateway, processor 1 the load and two backends (gateway_stub.c). What counts is
utime + stime of the gateway's whole process tree, divided by the answered requests; where a machine
does other work too, only ratios within a run mean something. modelscan runs with every duty on:
key, policy, route, token counts, receipts to SQLite. Needs gcc, wrk and taskset.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.gateway_load import EVENT_BYTES, Cell, paced_streams, wrk
from benchmarks.gateway_peers import KEY, command, environment, installed

STUB = Path(__file__).with_name("gateway_stub.c")
CELLS = (
    Cell("c1", 1, 1_000), Cell("c16", 16, 1_000), Cell("c64", 64, 1_000),
    Cell("c16_100k", 16, 100_000), Cell("sse16", 16, 1_000, stream=200),
    Cell("slow64", 64, 1_000, stream=100, pause_ms=5),
)  # fmt: skip
SECONDS = 2
SETTLE_S = 0.7  # receipts are written every half second: their work belongs to the requests
START_S = 60.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def backends(folder: Path) -> Iterator[list[int]]:
    """Two ports of the stub, on processor 1."""
    program = folder / "stub"
    subprocess.run(["gcc", "-O2", "-o", program, STUB], check=True)
    ports = [free_port(), free_port()]
    process = subprocess.Popen(["taskset", "-c", "1", program, *map(str, ports)])
    try:
        yield ports
    finally:
        process.kill()
        process.wait()


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a tree of processes, in seconds."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def memory_mib(process: psutil.Process) -> float:
    """Resident memory of a tree of processes, in MiB."""
    return (
        sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 2**20
    )


def answers(port: int) -> bool:
    """Whether a request to a model is answered."""
    body = b'{"model":"bench-model","messages":[{"role":"user","content":"x"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(5)
            sock.sendall(head.encode() + body)
            return b" 200 " in sock.recv(64)
    except OSError:
        return False


def _as_it_is(_: Path) -> dict[str, str]:
    return {}


@contextmanager
def gateway(
    name: str, upstreams: list[int], prepare: Callable[[Path], dict[str, str]] = _as_it_is
) -> Iterator[tuple[int, dict[str, float]]]:
    """A running gateway on processor 0; yields its process id and what its start cost.

    ``prepare`` changes its folder before the start and returns further environment variables.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        line = ["taskset", "-c", "0", *command(name, port, upstreams, folder)]
        variables = environment(folder) | prepare(folder)
        begun = time.perf_counter()
        process = subprocess.Popen(
            line, env=variables, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - begun > START_S:
                    raise RuntimeError(f"{name} did not start")
                time.sleep(0.02)
            tree = psutil.Process(process.pid)
            start = {"start_s": time.perf_counter() - begun, "start_cpu_s": cpu_s(tree)}
            yield port, start | {"pid": process.pid, "idle_mib": memory_mib(tree)}
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def measured(cell: Cell, port: int, pid: int, folder: Path) -> dict[str, float]:
    """Microseconds per request, or per event of a stream."""
    tree = psutil.Process(pid)
    before = cpu_s(tree)
    row: dict[str, float] = {}
    if cell.pause_ms:
        load, firsts = paced_streams(cell, port)
        units = float(load.requests)
        row["first_ms"] = statistics.median(firsts) if firsts else 0.0
    else:
        load = wrk(cell, port, SECONDS, folder)
        units = load.bytes_read / EVENT_BYTES if cell.stream else float(load.requests)
    time.sleep(SETTLE_S)
    return row | {"us": (cpu_s(tree) - before) * 1e6 / max(1.0, units), "bad": load.bad}


def one_round(name: str, upstreams: list[int], folder: Path) -> dict[str, Any]:
    """All cells of one gateway."""
    with gateway(name, upstreams) as (port, start):
        pid = int(start["pid"])
        wrk(CELLS[1], port, 1, folder)
        cells = {cell.name: measured(cell, port, pid, folder) for cell in CELLS}
        return {"name": name, **start, "used_mib": memory_mib(psutil.Process(pid)), "cells": cells}


def table(rows: list[dict[str, Any]]) -> str:
    """Medians per gateway, and the ratio to nginx."""
    names = list(dict.fromkeys(row["name"] for row in rows))

    def median(name: str, cell: str) -> float:
        return float(statistics.median(r["cells"][cell]["us"] for r in rows if r["name"] == name))

    head = ["gateway", *(cell.name for cell in CELLS), "c16 / nginx", "MiB", "start s", "bad"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in names:
        mine = [row for row in rows if row["name"] == name]
        ratio = median(name, "c16") / median("nginx", "c16") if "nginx" in names else float("nan")
        bad = sum(int(cell["bad"]) for row in mine for cell in row["cells"].values())
        figures = [f"{median(name, cell.name):.1f}" for cell in CELLS]
        figures += [f"{ratio:.2f}", f"{max(row['used_mib'] for row in mine):.0f}"]
        figures += [f"{statistics.median(row['start_s'] for row in mine):.2f}", str(bad)]
        lines.append(f"| {name} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for program in ("gcc", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(
                f"bench_gateway needs {program} (Debian: apt install wrk gcc util-linux)"
            )
    names = options.only.split(",") if options.only else installed()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as text, backends(Path(text)) as upstreams:
        for number in range(options.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                try:
                    rows.append(one_round(name, upstreams, Path(text)))
                except RuntimeError as error:  # a peer that cannot run here ends no comparison
                    print(error, flush=True)
                    continue
                print(
                    name,
                    {cell: round(row["us"], 1) for cell, row in rows[-1]["cells"].items()},
                    flush=True,
                )
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
