"""Start-up: CPU time (user + system) of whole processes, as a ratio to a bare interpreter.

Each round runs every command once, so that a drifting machine drifts for all; the median of the
rounds is printed. Peers are installed into .cache/peers (their own environment).
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".cache" / "peers"
PEER_PACKAGES = ("llmfit", "hf-mem")


def cpu_seconds(command: list[str], env: dict[str, str]) -> float:
    """User + system seconds of one run, children included."""
    with open(os.devnull, "w") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, stdin=sink, env=env, cwd=ROOT)
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def install_peers() -> Path | None:
    """The peers' bin folder, or None where they do not install."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEER_PACKAGES],
        check=False,
    )
    return PEERS / "bin" if done.returncode == 0 else None


def commands(peers: Path | None) -> dict[str, list[str]]:
    """What is measured, by label. The first is the unit."""
    ours = [sys.executable, "-m", "modelscan"]
    table = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "modelscan --version": [*ours, "--version"],
        "modelscan --help": [*ours, "--help"],
        "modelscan catalog search qwen": [*ours, "catalog", "search", "qwen"],
        "modelscan plan qwen3-8b --gpu 'RTX 4090'": [
            *ours,
            "plan",
            "qwen3-8b",
            "--gpu",
            "RTX 4090",
        ],
        "modelscan list": [*ours, "list"],
        "modelscan gpu": [*ours, "gpu"],
    }
    if peers:
        table |= {
            "llmfit --version": [str(peers / "llmfit"), "--version"],
            "llmfit search qwen": [str(peers / "llmfit"), "search", "qwen"],
            "hf-mem --help": [str(peers / "hf-mem"), "--help"],
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    # An installed modelscan has its bytecode, also where PYTHONDONTWRITEBYTECODE keeps us from it.
    compileall.compile_dir(ROOT / "modelscan", quiet=1)
    table = commands(None if options.no_peers else install_peers())
    samples: dict[str, list[float]] = {label: [] for label in table}
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "MODELSCAN_HOME": home}
        for round_number in range(options.rounds + 1):
            for label, command in table.items():
                seconds = cpu_seconds(command, env)
                if round_number:  # the first warms the caches
                    samples[label].append(seconds)
    report(samples)


def report(samples: dict[str, list[float]]) -> None:
    unit = statistics.median(samples["python -c pass"])
    print(
        f"{'command':<44} {'CPU ms':>8} {'ratio':>7}   (median of {len(samples['python -c pass'])})"
    )
    for label, values in samples.items():
        median = statistics.median(values)
        print(f"{label:<44} {median * 1000:8.1f} {median / unit:6.1f}x")


if __name__ == "__main__":
    main()
