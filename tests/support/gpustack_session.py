"""A running rig for a test module, and modelscan pointed at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import gpustack_install, gpustack_namespace
from support.gpustack_calls import call
from support.patience import CHANGE_S, START_S

TESTS = Path(__file__).resolve().parents[1]


class Server:
    """The rig behind ``url``: ``keys`` by scope, ``models`` by name; orders go through stdin."""

    def __init__(self, version: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(TESTS)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.gpustack_rig", version], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TESTS.parent,
        )  # fmt: skip
        self.facts = self._line(2 * START_S)
        if not self.facts.get("ready"):
            self.process.wait(30)
            raise RuntimeError(f"GPUStack {version} did not start: {self.facts.get('error')}")
        self.url: str = self.facts["url"]
        self.keys: dict[str, str] = self.facts["keys"]
        self.models: dict[str, str] = self.facts["models"]
        self.prefix: str = self.facts["prefix"]

    def _line(self, patience_s: float) -> dict[str, Any]:
        assert self.process.stdout
        timer = threading.Timer(patience_s, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        return json.loads(line) if line else {"ready": False, "error": "the rig ended"}

    def order(self, text: str) -> None:
        """``kill server`` or ``start server``; returns when it is done."""
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self._line(START_S)
        assert answer.get("done") == text, answer

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A management call, without the client under test."""
        return call(self.url, method, self.prefix + path, body, self.keys["all"])

    def rows(self, kind: str) -> list[Any]:
        return list(self.ask("GET", f"/{kind}")["items"])

    def model(self, name: str) -> Any:
        return next((row for row in self.rows("models") if row["name"] == name), None)

    def clear(self) -> None:
        for row in self.rows("models"):
            self.ask("DELETE", f"/models/{row['id']}")

    def end(self) -> None:
        if self.process.poll() is None and self.process.stdin:
            self.process.stdin.close()
            try:
                self.process.wait(CHANGE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def validating(cli: Callable[..., Any]) -> Callable[..., Any]:
    """``cli`` that checks every JSON document it sees against its schema."""

    def run(*words: str, **settings: Any) -> Any:
        done = cli(*words, **settings)
        if "--json" in words and done.out.startswith("{"):
            document = done.json
            name = document["schema"].removeprefix("modelscan.").rpartition("/")[0]
            schema = TESTS.parent / "modelscan" / "schemas" / f"{name}.json"
            jsonschema.validate(document, json.loads(schema.read_text()))
        return done

    return run


def why_not() -> str | None:
    """Why no rig can run here; None when it can."""
    return gpustack_install.unavailable() or gpustack_namespace.unavailable()


def start_or_skip(version: str) -> Server:
    reason = why_not()
    if reason:
        pytest.skip(f"no real GPUStack: {reason}")
    return Server(version)
