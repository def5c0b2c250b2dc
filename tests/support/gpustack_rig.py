"""A real GPUStack on this machine, for tests: server, database, workers with simulated GPUs.

    PYTHONPATH=tests python -m support.gpustack_rig 2.3.0        (or 0.7.1)

installs what is missing under ``.cache/gpustack`` (kept between runs), starts everything, prints
one line of JSON when the workers take work, and then obeys lines on stdin: ``kill server``,
``start server``, ``quit``. When stdin closes, everything ends: nothing outlives a test run.

Real are server, scheduler, evaluation, workers and the proxy before the engines. Simulated are
GPUs (by the worker's own configuration), the container engine and vLLM (``stand_in_*.py``).

GPUStack listens on every interface and has no option against it, so all of it lives in a network
namespace that has nothing but ``lo``; one socket on 127.0.0.1 outside is carried in. That needs
Linux, and root or unprivileged user namespaces. PostgreSQL refuses to be root: there it is
``nobody``, and its files are in a temporary folder.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import gpustack_install as installation
from support import gpustack_namespace as namespace
from support.gpustack_calls import call
from support.gpustack_workers import WORKERS, worker_file
from support.patience import START_S

PASSWORD = "Rig-Password-1"
WORKER_STARTS = 5
TAKES_WORK = {"2.3.0": b"worker startup completed", "0.7.1": b"Started watching model instances"}

# On a machine with many busy processes a worker's answer comes later than the 20 s after which the
# server gives its work to no one; both live and die together here.
PATIENT = {
    "GPUSTACK_WORKER_UNREACHABLE_CHECK_MODE": "disabled",
    "GPUSTACK_WORKER_HEARTBEAT_GRACE_PERIOD": "3600",
}


class Rig:
    """Every process of one GPUStack. Lives inside the private network."""

    def __init__(self, version: str, root: Path) -> None:
        self.version, self.root = version, root
        self.modern = version.startswith("2")
        self.port = 30080 if self.modern else 8071
        self.scratch = Path(tempfile.mkdtemp(prefix="gpustack-rig-"))  # short: unix sockets
        self.scratch.chmod(0o755)
        self.tests = os.getppid()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.again: dict[str, list[Callable[[], object]]] = {}  # starts that a program has left
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
        self.env = {**kept, "HOME": str(self.scratch), "NO_PROXY": "*", "no_proxy": "*",
                    "RIG_API_KEY": "gpustack_0000_must_never_be_shown", **PATIENT}  # fmt: skip

    def run(self, name: str, argv: list[object], **more: Any) -> subprocess.Popen[bytes]:
        log = (self.scratch / f"{name}.log").open("ab")
        env = {**self.env, **more.pop("env", {})}
        process = subprocess.Popen(
            [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd="/", env=env, preexec_fn=namespace.die_with_parent, **more,
        )  # fmt: skip
        log.close()
        self.running[name] = process
        return process

    def until(self, what: str, look: Callable[[], Any], every_s: float = 0.2) -> Any:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if os.getppid() != self.tests:  # the tests were killed: stop, too
                raise RuntimeError("the tests have ended")
            for name, process in list(self.running.items()):
                if process.poll() is None:
                    continue
                if not self.again.get(name):
                    raise RuntimeError(f"{name} ended ({process.returncode}): {self.tail(name)}")
                self.again[name].pop()()
            with contextlib.suppress(OSError, KeyError, ValueError):
                found = look()
                if found:
                    return found
            time.sleep(every_s)
        raise RuntimeError(f"{what}: not there after {START_S:g} s: {self.tail('server')}")

    def tail(self, name: str) -> str:
        file = self.scratch / f"{name}.log"
        return file.read_text(errors="replace")[-1500:] if file.exists() else ""

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        return call(f"http://127.0.0.1:{self.port}", method, path, body, key or f"admin:{PASSWORD}")

    # the parts

    def database(self) -> None:
        programs = installation.postgres_programs(self.root)
        data = self.scratch / "database"
        who = namespace.nobody()
        data.mkdir()
        if who:
            os.chown(data, who["user"], who["group"])
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "gpustack", "--auth=trust", "--no-sync",
             "-E", "UTF8", "--locale=C"], check=True, cwd="/", stdout=subprocess.DEVNULL, **who,
        )  # fmt: skip
        options = ("fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        words = [word for option in options for word in ("-c", option)]
        self.run("postgres", [programs / "postgres", "-D", data, "-p", "5432", *words], **who)
        login = ["-h", "127.0.0.1", "-p", "5432", "-U", "gpustack"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.until("PostgreSQL", lambda: not subprocess.run(
            [programs / "pg_isready", *login], check=False, **quiet).returncode)  # type: ignore[call-overload]  # fmt: skip
        subprocess.run([programs / "createdb", *login, "gpustack"], check=True)

    def server(self) -> None:
        words: list[object] = [
            self.root / "venv/bin/gpustack", "start", "--data-dir", self.scratch / "server",
            "--disable-worker", "--disable-update-check", "--disable-metrics",
            "--port", self.port, "--bootstrap-password", PASSWORD,
        ]  # fmt: skip
        if self.modern:
            words += ["--database-url", "postgresql://gpustack@127.0.0.1:5432/gpustack",
                      "--gateway-mode", "disabled", "--disable-builtin-observability",
                      "--api-port", self.port, "--advertise-address", "127.0.0.1"]  # fmt: skip
        else:
            words += ["--host", "127.0.0.1", "--force-auth-localhost"]
        self.run("server", words)
        self.until("the server", lambda: self.ask("GET", "/healthz"))

    def docker(self, worker: str) -> dict[str, str]:
        """One each: a worker removes containers that it does not know."""
        address = self.scratch / f"{worker}.sock"
        program = Path(__file__).with_name("stand_in_docker.py")
        self.run(f"docker-{worker}", [sys.executable, program, address, self.scratch / worker],
                 env={"STAND_IN_GGUF": str(installation.DEMO_MODEL)})  # fmt: skip
        self.until("the container engine", address.exists, 0.05)
        return {"DOCKER_HOST": f"unix://{address}", "GPUSTACK_RUNTIME_DEPLOY": "Docker"}

    def workers(self, token: str, key: str) -> list[str]:
        names = list(WORKERS) if self.modern else ["h100x2"]
        for name in names:
            file = worker_file(
                self.scratch, name, self.version, f"http://127.0.0.1:{self.port}", token
            )
            env = (
                self.docker(name)
                if self.modern
                else {"STAND_IN_GGUF": str(installation.DEMO_MODEL)}
            )
            command = [self.root / "venv/bin/gpustack", "start", "--config-file", file, "-d"]
            start = functools.partial(self.run, f"worker-{name}", command, env=env)
            # On a busy machine a worker ends by itself: its own requests are too late.
            self.again[f"worker-{name}"] = [start] * WORKER_STARTS
            start()
        mark = TAKES_WORK[self.version]

        def ready() -> bool:
            logs = [(self.scratch / f"worker-{name}.log").read_bytes() for name in names]
            rows = self.ask("GET", f"{self.prefix}/workers", key=key)["items"]
            with_gpus = [r for r in rows if r["state"] == "ready" and r["status"]["gpu_devices"]]
            return all(mark in log for log in logs) and len(with_gpus) == len(names)

        self.until("the workers", ready, 0.5)
        return names

    @property
    def prefix(self) -> str:
        return "/v2" if self.modern else "/v1"

    def key(self, name: str, scope: list[str]) -> str:
        body: dict[str, Any] = {"name": name, "expires_in": 0}
        if self.modern:
            body["scope"] = scope
        return str(self.ask("POST", f"{self.prefix}/api-keys", body)["value"])

    def start(self) -> dict[str, Any]:
        """Everything; what a test needs to know of it."""
        if self.modern:
            self.database()
        self.server()
        if self.modern:
            there = self.ask("GET", "/v2/clusters")["items"]
            cluster = there[0] if there else self.ask(
                "POST", "/v2/clusters", {"name": "default", "provider": "Docker"})  # fmt: skip
            path = f"/v2/clusters/{cluster['id']}/registration-token"
            token = self.ask("GET", path)["token"]
        else:
            secret = self.scratch / "server/token"
            token = self.until("the token", lambda: secret.read_text().strip())
        keys = {"all": self.key("all", ["*"])}
        if self.modern:
            keys |= {name: self.key(name, [name]) for name in ("management", "inference")}
        names = self.workers(token, keys["all"])
        return {"version": self.version, "keys": keys, "workers": names, "prefix": self.prefix,
                "models": installation.models(self.root), "logs": str(self.scratch)}  # fmt: skip

    def kill_server(self) -> None:
        """Without notice, as a power cut would: the server and what it started."""
        process = self.running.pop("server")
        namespace.kill_tree(process.pid)
        process.wait()

    def end(self) -> None:
        import shutil

        for process in reversed(list(self.running.values())):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        namespace.kill_tree(os.getpid(), itself=False)
        if "RIG_KEEP" not in os.environ:
            shutil.rmtree(self.scratch, ignore_errors=True)


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def main() -> int:
    version = sys.argv[1]
    root = installation.install(version)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    namespace.enter()
    namespace.adopt_orphans()
    rig = Rig(version, root)
    threading.Thread(
        target=namespace.carry, args=(listener, rig.port), daemon=True, name="carry"
    ).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        say({"ready": True, "url": url, **rig.start()})
        for line in sys.stdin:
            order = line.strip()
            if order == "kill server":
                rig.kill_server()
            elif order == "start server":
                rig.server()
            elif order == "quit":
                break
            say({"done": order})
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        say({"ready": False, "error": str(error)})
        return 1
    finally:
        rig.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
