"""The load of bench_gateway: wrk for requests, paced streams for the price of one chunk."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway_peers import KEY, MODEL, ROLE

EVENT_BYTES = 183  # of one event of the stub, with its chunk framing at the client
_HEADERS = {
    "Authorization": f"Bearer {KEY}", "Content-Type": "application/json",
    "Accept": "application/json", "Accept-Encoding": "gzip, deflate",
    "User-Agent": "OpenAI/Python 2.8.1", "X-Stainless-Lang": "python",
    "X-Stainless-Package-Version": "2.8.1", "X-Stainless-OS": "Linux", "X-Stainless-Arch": "x64",
    "X-Stainless-Runtime": "CPython", "X-Stainless-Runtime-Version": "3.11.7",
    "X-Stainless-Async": "false", "X-Stainless-Retry-Count": "0",
    "X-Stainless-Read-Timeout": "600",
}  # fmt: skip
_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_SENTENCE = 'Please explain "this" part of the code:\n```python\nprint(1)\n``` and more words. '


@dataclass(frozen=True)
class Cell:
    """One load. ``stream`` events per answer (0: none), ``pause_ms`` between them."""

    name: str
    connections: int
    body_bytes: int
    stream: int = 0
    pause_ms: int = 0


@dataclass(frozen=True)
class Load:
    """What was answered; ``bad``: other statuses and broken connections."""

    requests: int
    bytes_read: float
    bad: int


def body(cell: Cell, model: str) -> str:
    """A chat request of about the cell's size."""
    messages: list[dict[str, str]] = []
    while len(json.dumps(messages)) < cell.body_bytes - 200:
        text = _SENTENCE * max(1, min(4, cell.body_bytes // 400))
        messages.append({"role": "user", "content": text})
    document = {"messages": messages, "model": model, "temperature": 0.7}
    document |= {"max_tokens": cell.stream or 200, "stream": bool(cell.stream)}
    return json.dumps(document | {"x_ms": cell.pause_ms}, separators=(",", ":"))


def script(cell: Cell, folder: Path) -> Path:
    """A wrk script: nine of ten requests use a model's name, one a role with a policy."""
    bodies = [body(cell, ROLE if at == 9 else MODEL) for at in range(10)]
    headers = ",".join(
        f"[{json.dumps(name)}]={json.dumps(value)}" for name, value in _HEADERS.items()
    )
    texts = ",".join(f"[==[{text}]==]" for text in bodies)
    path = folder / f"{cell.name}.lua"
    path.write_text(
        f"local H={{{headers}}}\nlocal B={{{texts}}}\nlocal R={{}}\nlocal i=0\n"
        "function init(a) for k=1,10 do "
        'R[k]=wrk.format("POST","/v1/chat/completions",H,B[k]) end end\n'
        "function request() i=i%10+1; return R[i] end\n"
    )
    return path


def wrk(cell: Cell, port: int, seconds: int, folder: Path) -> Load:
    """Run wrk on the second core."""
    command = [
        "taskset", "-c", "1", "wrk", "-t1", f"-c{cell.connections}", f"-d{seconds}s",
        "--timeout", "20s", "-s", str(script(cell, folder)), f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) requests in [\d.]+\w+, ([\d.]+)(\w+) read", out)
    if found is None:
        raise RuntimeError(f"wrk printed no result:\n{out}")
    bad = sum(int(number) for number in re.findall(r"responses: (\d+)", out))
    errors = re.search(r"Socket errors: (.*)", out)
    bad += sum(int(number) for number in re.findall(r"\d+", errors.group(1))) if errors else 0
    return Load(int(found.group(1)), float(found.group(2)) * _UNITS[found.group(3)], bad)


def paced_streams(cell: Cell, port: int) -> tuple[Load, list[float]]:
    """Streams with pauses, all at once; the second value: times to the first event, in ms."""
    text = body(cell, MODEL).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())
    lines += f"Host: x\r\nContent-Length: {len(text)}\r\n\r\n"
    head = f"POST /v1/chat/completions HTTP/1.1\r\n{lines}".encode()
    return asyncio.run(_paced(cell, port, head + text))


async def _paced(cell: Cell, port: int, raw: bytes) -> tuple[Load, list[float]]:
    firsts: list[float] = []
    loop = asyncio.get_running_loop()

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun, events, tail = loop.time(), 0, b""
        writer.write(raw)
        while not tail.endswith(b"0\r\n\r\n"):
            data = await asyncio.wait_for(reader.read(65_536), 60)
            if not data:
                break
            events += data.count(b"data: {")
            if events and len(firsts) < 1_000_000 and tail == b"":
                firsts.append((loop.time() - begun) * 1e3)
            tail = (tail + data)[-8:]
        writer.close()
        return events

    counts = await asyncio.gather(*(one() for _ in range(cell.connections)))
    bad = sum(count <= cell.stream for count in counts)
    return Load(sum(counts), 0.0, bad), firsts
