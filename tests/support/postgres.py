"""A real PostgreSQL in a temporary folder, on a unix socket; started as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
from support.patience import START_S

USER = "modelscan"
GUEST, GUEST_PASSWORD = "guest", "gu3st-pass"


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None where it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    for folder in reversed(folders):
        if (folder / "initdb").is_file():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """One server; ``database()`` makes a new empty database and returns its address."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}

    def create(self) -> None:
        """Make the data folder; nothing is synced, the server dies with the tests."""
        self.folder.chmod(0o755)
        if os.getuid() == 0:
            owner = pwd.getpwnam("nobody")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-N", "--no-locale",
                  "-E", "UTF8")  # fmt: skip
        # One user needs a password; the owner does not.
        rules = f"local all {GUEST} scram-sha-256\nlocal all all trust\n"
        (self.data / "pg_hba.conf").write_text(rules)

    def start(self) -> None:
        """Start it and wait until it answers."""
        words = [str(self._programs / "postgres"), "-D", str(self.data), "-k", str(self.folder),
                 "-c", "listen_addresses=", "-c", "fsync=off", "-c", "synchronous_commit=off",
                 "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "wal_level=minimal",
                 "-c", "max_wal_senders=0", "-c", "shared_buffers=16MB"]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_dropped(), *words], stdout=log, stderr=log, env=self._environment,
                cwd=self.folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        words = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(words, check=False, env=self._environment).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it with all its sessions; SIGQUIT: without writing anything down."""
        if self._process is not None:
            for one in (how, signal.SIGQUIT, signal.SIGKILL):  # a test may have left it hanging
                self._process.send_signal(one)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(60)
                    break
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped as a machine that hangs is: connections stay open, nothing is answered."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        stopped = [process]
        try:
            process.suspend()  # first: from here on it starts no session
            for session in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # one that ended by itself
                    session.suspend()
                    stopped.append(session)
            yield
        finally:
            for one in reversed(stopped):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Execute a statement as the owner of everything."""
        return self._run("psql", "-h", str(self.folder), "-U", USER, "-d", database, "-XAtqc",
                         statement)  # fmt: skip

    def database(self) -> str:
        """A new empty schema: its address, as the setting ``database_url`` has it.

        A database of its own would be a copy of 7 MB.
        """
        name = f"t{uuid.uuid4().hex[:12]}"
        self.psql(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}&options=-csearch_path%3D{name}"

    def own_database(self) -> str:
        """The name of a new database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.psql(f"CREATE DATABASE {name}")
        return name

    def url(self, name: str, user: str = USER) -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def _run(self, program: str, *words: str) -> str:
        command = [*_dropped(), str(self._programs / program), *words]
        done = subprocess.run(
            command, check=False, env=self._environment, cwd=self.folder, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def _dropped() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]


def temporary() -> PostgresServer:
    """A server that is not started yet; its folder's path is short, as sockets need it."""
    programs = binaries()
    assert programs is not None
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="ms-pg-")), programs)
    server.create()
    return server
