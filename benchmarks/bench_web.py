"""What open pages cost the gateway: viewers that poll as browsers do, and the CPU of its processes.

``python -m benchmarks.bench_web --viewers 100 --seconds 30`` starts a gateway on a temporary home.
Each viewer has a connection of its own and reads the live document every two seconds with its ETag.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

import psutil

EVERY_S = 2.0
_HEAD = (
    "GET /api/v1/live HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\nsec-fetch-site: same-origin\r\n"
    "user-agent: bench\r\n{etag}\r\n"
)


@dataclass
class Tally:
    """What all viewers saw: answers by status, and their times in seconds."""

    statuses: dict[int, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    received: int = 0


async def viewer(host: str, port: int, until: float, tally: Tally, seed: int) -> None:
    """One open page."""
    await asyncio.sleep(random.Random(seed).random() * EVERY_S)
    reader, writer = await asyncio.open_connection(host, port)
    etag = ""
    while time.monotonic() < until:
        began = time.monotonic()
        line = f"if-none-match: {etag}\r\n" if etag else ""
        writer.write(_HEAD.format(host=f"{host}:{port}", etag=line).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        fields = dict(one.lower().split(": ", 1) for one in head.split("\r\n")[1:] if ": " in one)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        etag = fields.get("etag", etag)
        tally.statuses[status] = tally.statuses.get(status, 0) + 1
        tally.times.append(time.monotonic() - began)
        tally.received += len(head) + len(body)
        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))
    writer.close()


async def watch(url: str, viewers: int, seconds: float) -> Tally:
    """All viewers for so long."""
    host, port = url.removeprefix("http://").split(":")
    tally, until = Tally(), time.monotonic() + seconds
    await asyncio.gather(
        *(viewer(host, int(port), until, tally, number) for number in range(viewers))
    )
    return tally


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and its children."""
    tree = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in tree)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    wishes = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "modelscan", "serve", "--port", "0", "--json"]
        environment = {**os.environ, "MODELSCAN_HOME": home, "MODELSCAN_OFFLINE": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as server:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            process = psutil.Process(server.pid)
            asyncio.run(watch(url, 1, 3))  # the first look starts what later ones use
            before, began = cpu_s(process), time.monotonic()
            time.sleep(wishes.seconds / 3)
            idle = (cpu_s(process) - before) / (time.monotonic() - began)
            before, began = cpu_s(process), time.monotonic()
            tally = asyncio.run(watch(url, wishes.viewers, wishes.seconds))
            busy = (cpu_s(process) - before) / (time.monotonic() - began)
            server.terminate()
    report(wishes.viewers, idle, busy, tally)


def report(viewers: int, idle: float, busy: float, tally: Tally) -> None:
    """Print the figures."""
    times = sorted(tally.times)
    print(f"viewers           {viewers}")
    print(f"CPU without any   {100 * idle:.2f} % of one CPU")
    print(f"CPU with them     {100 * busy:.2f} % of one CPU")
    print(
        f"answers           {tally.statuses} ({tally.received / max(1, len(times)):.0f} bytes each)"
    )
    for share in (0.5, 0.95, 0.99):
        print(f"p{100 * share:<16.0f}{1000 * times[int(share * (len(times) - 1))]:.1f} ms")
    print("ok" if busy - idle <= 0.05 else "over 5 %")


if __name__ == "__main__":
    main()
