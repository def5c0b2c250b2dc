"""A gateway over some ports, in the foreground: for conformance runs from outside.

python tests/support/gateway_serve.py PORT DATABASE UPSTREAM_PORT,UPSTREAM_PORT [WORKERS]
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

from support.gateway_control import Control  # noqa: E402
from support.gateway_rig import Gateway, access, backend, key, route, table  # noqa: E402

from modelscan.gateway.snapshot import Snapshot  # noqa: E402
from modelscan.routing.table import BodyPolicy, RouteCandidate  # noqa: E402

POLICY = BodyPolicy(
    {"chat_template_kwargs": {"enable_thinking": False}, "temperature": 0.2, "top_k": 20}, {}
)


def snapshot(ports: list[int]) -> Snapshot:
    """Two names over all ports: an alias, and a role with a policy."""
    backends = [backend(f"b{port}", port, served_model="upstream-model") for port in ports]
    indexes = range(len(backends))
    made = table(
        backends,
        route("fast", *indexes, kind="alias"),
        route("coder", *(RouteCandidate(at, POLICY) for at in indexes), kind="role"),
    )
    return Snapshot(made, access(key(), key("sk-ms-2", "key2", 1, models=("coder",))))


def main() -> None:
    port, ports = int(sys.argv[1]), [int(text) for text in sys.argv[3].split(",")]
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory() as folder:
        control = Control(Path(folder) / "control.sock")
        with Gateway(snapshot(ports), port=port, workers=workers, control=control.path):
            stop.wait()


if __name__ == "__main__":
    main()
