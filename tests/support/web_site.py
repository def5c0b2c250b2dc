"""A gateway with its pages, as a real process with a deployment, requests, results and attacks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.patience import COMMAND_S
from support.served import Engine, Served, serving

HOSTILE = "<img src=x onerror=alert(1)>"
ROUTE = "evil'\"<b>"


@dataclass
class WebSite:
    """A running gateway with its pages."""

    served: Served
    home: Path
    engine: Engine

    @property
    def url(self) -> str:
        """Its root."""
        return self.served.url

    @property
    def key(self) -> str:
        """The pages' key of this start."""
        port = self.url.rpartition(":")[2]
        return (self.home / "state" / f"pages-{port}.key").read_text().strip()

    def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of a page."""
        return fetch("GET", self.url + path, None, **headers)

    def change(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> int:
        """The status of a change as a browser's page sends it."""
        own = {"Origin": self.url, "Sec-Fetch-Site": "same-origin",
               "Content-Type": "application/json", **headers}  # fmt: skip
        data = b"" if body is None else json.dumps(body).encode()
        return fetch(method, self.url + path, data, **own)[0]


def fetch(
    method: str, url: str, body: bytes | None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Any request; the answer's headers in lower case."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=COMMAND_S)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {"Accept": "text/html", **sent})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, text, {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def run(home: Path, *words: str) -> str:
    """A command of modelscan in this home."""
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *words], capture_output=True, text=True,
        timeout=COMMAND_S, env={**os.environ, **variables(home)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def variables(home: Path) -> dict[str, str]:
    """The environment of a process in this home."""
    return {"MODELSCAN_HOME": str(home), "MODELSCAN_OFFLINE": "1"}


@contextlib.contextmanager
def web_site(home: Path) -> Iterator[WebSite]:
    """A gateway with the bundled model running, a backend with a hostile name, and some requests."""
    run(home, "deploy", "demo")
    engine = HostileEngine("hostile").start()
    entry = engine.entry(name=ROUTE, model=HOSTILE, tags=[])
    file = home / "config" / "routing.yaml"
    add_entry(file, entry)
    try:
        with serving(**variables(home)) as served:
            site = WebSite(served, home, engine)
            for model in ("demo", ROUTE, HOSTILE):
                served.chat(model, max_tokens=4)
            yield site
    finally:
        engine.stop()
        with contextlib.suppress(AssertionError):
            run(home, "stop", "--all", "--drain", "0")


class HostileEngine(Engine):
    """Its answers are markup."""

    def text(self, body: dict[str, Any]) -> str:
        return HOSTILE


def add_entry(file: Path, entry: dict[str, Any]) -> None:
    """Add an entry to a routing file."""
    import yaml

    document = yaml.safe_load(file.read_text()) if file.exists() else {"version": 1}
    routing = document.setdefault("routing", {"mode": "direct"})
    routing.setdefault("direct", {}).setdefault("providers", []).append(entry)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document))
