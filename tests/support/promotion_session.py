"""From files to a served route and back, on a machine without a network; prints JSON.

python tests/support/promotion_session.py HOME — in a network namespace of its own, whose kernel
counts each packet that has no way out. It writes models in Q8_0 and Q4_0 and adapters, and uses
only the command line: check, register, promote, refuse, roll back, bundle.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

from support.gpustack_namespace import enter  # noqa: E402
from support.local_session import attempts_to_leave  # noqa: E402
from support.promotions import SAYS_YES  # noqa: E402
from support.talking_gguf import write_talking_adapter, write_talking_gguf  # noqa: E402


def command(*words: str, code: int = 0) -> Any:
    """The JSON of a command that ends with this code."""
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *words, "--json"], capture_output=True, text=True
    )
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    home = Path(sys.argv[1])
    os.environ["MODELSCAN_HOME"] = str(home)
    folder = home / "models"
    folder.mkdir(parents=True)
    write_talking_gguf(folder / "good-q8_0.gguf", "yes", quantization="Q8_0")
    write_talking_gguf(folder / "good-q4_0.gguf", "yes", quantization="Q4_0")
    worse = write_talking_adapter(folder / "worse.gguf", "yes", "no")
    wrong = write_talking_adapter(folder / "wrong.gguf", "yes", "no", width=64)
    gate = folder / "says-yes.yaml"
    gate.write_text(SAYS_YES)
    enter()
    print(json.dumps({**_session(folder, worse, wrong, f"{gate}>=0.8"),
                      "attempts": attempts_to_leave()}))  # fmt: skip


def _session(folder: Path, worse: Path, wrong: Path, gate: str) -> dict[str, Any]:
    base = str(folder / "good-q8_0.gguf")
    routing = Path(command("config", "get", "routing_file")["value"])
    command("registry", "add", "talker")
    command("registry", "version", "add", "talker", "--from", base)
    command("registry", "version", "add", "talker", "--from", str(folder / "good-q4_0.gguf"))
    command("registry", "check-adapter", str(worse), "--base", base)
    refused = command("registry", "check-adapter", str(wrong), "--base", base, code=3)
    command("deploy", base, "--adapter", str(wrong), "--name", "never", code=3)
    added = command(
        "registry", "version", "add", "talker", "--from", str(worse), "--base", "talker@1"
    )
    again = command(
        "registry", "version", "add", "talker", "--from", str(worse), "--base", "talker@1"
    )
    options = ("--route", "talk", "--gate", gate)
    first = command("registry", "promote", "talker@1", *options)
    second = command("registry", "promote", "talker@2", *options)
    after = routing.read_bytes()
    worst = command("registry", "promote", "talker@3", *options, code=1)
    kept = routing.read_bytes() == after
    command("route", "export", "--bundle", str(folder / "one.json"))
    command("route", "export", "--bundle", str(folder / "two.json"))
    back = command("registry", "rollback", "talk")
    listed = [one["name"] for one in command("list")["deployments"]]
    command("remove", *listed, "--yes")
    return {
        "checks": [one["name"] for one in refused["checks"] if one["state"] == "fails"],
        "versions": [added["version"], again["version"]],
        "states": [one["state"] for one in (first, second, worst, back)],
        "current": [one["current"] for one in (first, second, worst, back)],
        "kept": kept,
        "bundles": (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes(),
        "listed": sorted(listed),
    }


if __name__ == "__main__":
    main()
