"""A session on a machine without a network: requests, then every trace command; prints JSON.

python tests/support/local_session.py HOME — in a network namespace of its own, whose kernel counts
each packet that has no way out.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

from support.gpustack_namespace import enter  # noqa: E402
from support.served import engines, routed, serving, until, write_routing  # noqa: E402

from modelscan.state.config import load  # noqa: E402
from modelscan.state.server.database import ServerDatabase  # noqa: E402
from modelscan.traces.answers import TraceAccess, export_file, find_cost  # noqa: E402
from modelscan.traces.cost import OwnCosts  # noqa: E402
from modelscan.traces.store import EVERY  # noqa: E402


def attempts_to_leave() -> int:
    """Packets of this network namespace for which there was no route."""
    names, values = (
        line.split()
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line[:3] == "Ip:"
    )
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])


def command(*words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *words, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def main() -> None:
    home = Path(sys.argv[1])
    os.environ["MODELSCAN_HOME"] = str(home)
    enter()
    with engines("one") as (one,), serving_of(home, one) as gateway:
        assert gateway.chat("one")[0] == 200
        assert gateway.chat("fast")[0] == 200
        with ServerDatabase.open(home / "state") as database:
            access = TraceAccess(load({}), database)
            rows = until(lambda: len(found := access.store.newest(9)) >= 2 and found)
            export_file(access, home / "spans.json", "otlp-json", only=EVERY)
            find_cost(access, own=OwnCosts(100, 0.3))
        shown = [command("trace", "show", row.trace_id)["span"] for row in rows]
        silent = attempts_to_leave()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:  # the counter does count
        outside.connect_ex(("192.0.2.1", 9))
    print(json.dumps({"spans": shown, "attempts": silent, "counted": attempts_to_leave()}))


def serving_of(home: Path, one: Any) -> Any:
    write_routing(home, routed(one.entry()))
    return serving()


if __name__ == "__main__":
    main()
