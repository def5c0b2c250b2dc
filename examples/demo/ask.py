"""Ask the demo model a question through llama.cpp's own server.

    python ask.py "How do I deploy a model?"

The server runs in a child process, because a failing engine must not take its caller along.
Needs only the package xllamacpp.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).resolve().parent.parent / "demo-model.gguf"
CONTEXT_TOKENS: Final = 1024
TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    finish_reason: str


def serve(path: str) -> None:
    """Serve the model on a free port, print the address, and stop when stdin closes."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx, params.n_parallel, params.n_gpu_layers = CONTEXT_TOKENS, 1, 0
    params.cpuparams.n_threads = 1  # more threads spin at barriers and are slower on a busy machine
    params.cache_ram_mib = 0
    params.no_extra_bufts = True
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def running(path: Path) -> Iterator[str]:
    """The base URL of a server for this file, stopped at the end of the block."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(path)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"},
    )
    assert child.stdin and child.stdout
    try:
        address = next((line.strip() for line in child.stdout if line.startswith("http")), None)
        if address is None:
            raise RuntimeError(f"the server did not start: exit code {child.wait()}")
        yield address
    finally:
        child.stdin.close()
        try:
            child.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def chat(
    url: str, messages: Sequence[Mapping[str, str]], *, temperature: float = 0.0, seed: int = 1
) -> Reply:
    body = {"messages": list(messages), "temperature": temperature, "seed": seed, "max_tokens": 120}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        choice = json.load(response)["choices"][0]
    return Reply(choice["message"]["content"], choice["finish_reason"])


def ask(url: str, question: str, *, temperature: float = 0.0, seed: int = 1) -> Reply:
    return chat(url, [{"role": "user", "content": question}], temperature=temperature, seed=seed)


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--serve"]:
        serve(arguments[1])
        return 0
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    with running(MODEL) as url:
        print(ask(url, " ".join(arguments)).text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
