"""Every cell of the table of scopes, tried on a running gateway: paths, methods, keys, places."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served import Served, engines, routed, serving, write_routing

from modelscan.core.access import SCOPES
from modelscan.gateway.control.openapi import document
from modelscan.gateway.control.scopes import PATHS, TABLE, allows
from modelscan.gateway.data.paths import OPERATIONS, operation_of
from modelscan.gateway.scopes import INFERENCE, OTHER
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CELLS = [(row, method) for row in TABLE for method in row.methods]


class Asked:
    """One answer: whether the caller was refused, and the status."""

    def __init__(self, gateway: Served, method: str, path: str, key: str | None) -> None:
        connection = http.client.HTTPConnection(gateway.url.partition("//")[2], timeout=60)
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps({"model": "one", "messages": [{"role": "user", "content": "Hi"}]})
        connection.request(method, path, None if method == "GET" else body, headers)
        answer = connection.getresponse()
        self.status = answer.status
        streams = answer.getheader("content-type", "").startswith("text/event-stream")
        text = b"" if streams else answer.read()  # an endless stream is not read
        connection.close()
        # In words: errors of some dialects have no code.
        self.refused = self.status == 401 or (self.status == 403 and b" scope " in text)


def filled(path: str) -> str:
    """A path of the table with values for its parameters."""
    return re.sub(r"\{other:path\}", "score", re.sub(r"\{(?!other)[^}]*\}", "one", path))


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("scopes") / "home"
    with engines("one") as (one,):
        write_routing(home, routed(one.entry()))
        yield home


@pytest.fixture(scope="module")
def keys(module_home: Path) -> dict[str, str]:
    """One key per scope."""
    with ServerDatabase.open(module_home / "state") as database:
        store = KeyStore(database)
        return {scope: store.create(scope, KeyLimits((scope,)))[1] for scope in SCOPES}


@pytest.fixture(scope="module")
def locked(module_home: Path, keys: dict[str, str]) -> Iterator[Served]:
    """On this machine only, with keys."""
    with serving("--mcp", MODELSCAN_HOME=str(module_home)) as gateway:
        yield gateway


def test_every_cell_on_this_machine(locked: Served, keys: dict[str, str]) -> None:
    check(locked, keys, loopback=True)


def test_every_cell_where_others_can_connect(module_home: Path, keys: dict[str, str]) -> None:
    with serving("--mcp", "--expose", MODELSCAN_HOME=str(module_home)) as gateway:
        check(gateway, keys, loopback=False)


def check(gateway: Served, keys: dict[str, str], *, loopback: bool) -> None:
    faults = []
    for row, method in CELLS:
        path = filled(row.path)
        callers = [(scope, key, frozenset((scope,))) for scope, key in keys.items()]
        for name, key, scopes in [*callers, ("no key", None, None)]:
            allowed = allows(row, scopes, loopback=loopback)
            if Asked(gateway, method, path, key).refused is allowed:
                faults.append((method, path, name))
        # A wrong key is refused even where none is needed.
        if Asked(gateway, method, path, "sk-ms-wrong").status != 401:
            faults.append((method, path, "a wrong key"))
    assert faults == []


def test_other_methods_are_refused(locked: Served, keys: dict[str, str]) -> None:
    """A method that is not in the table does nothing, whatever the key."""
    patterns = [(re.sub(r"\{[^}:]*\}", "[^/]+", row.path), method) for row, method in CELLS]
    known = {
        (filled(row.path), method)
        for row in (*INFERENCE, *PATHS)
        for pattern, method in patterns
        if "{" not in pattern and re.fullmatch(pattern, filled(row.path))
    } | {(filled(row.path), method) for row, method in CELLS}
    for row in (*INFERENCE, *PATHS):
        path = filled(row.path)
        for method in METHODS:
            if (path, method) not in known:
                assert Asked(locked, method, path, keys["admin"]).status == 405, (method, path)


def test_without_any_key_everything_is_open_here(clean_environment: Path) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        with serving("--mcp") as gateway:
            cells = [(method, filled(row.path)) for row, method in CELLS]
            assert [cell for cell in cells if Asked(gateway, *cell, None).refused] == []


def test_the_log_of_changes_is_for_admins(locked: Served, keys: dict[str, str]) -> None:
    def changes(query: str) -> tuple[int, Any]:
        return locked.get(f"/v1/audit{query}", keys["admin"])

    status, page = changes("?limit=4")
    assert (status, [row["action"] for row in page["changes"]]) == (200, ["key.create"] * 4)
    last = page["changes"][-1]["id"]
    rest = changes(f"?before={last}")[1]["changes"]
    assert [row["id"] for row in rest] == list(range(last - 1, 0, -1))
    assert changes("?since=2099-01-01T00:00:00Z")[1]["changes"] == []
    for query in (
        "?limit=0",
        "?limit=x",
        "?limit=99999999999999999999",
        "?since=now",
        "?before=-1",
    ):
        status, problem = changes(query)
        assert (status, problem["code"]) == (400, "invalid_query")
    assert locked.get("/v1/audit", keys["operator"])[0] == 403


def test_code_and_documents_are_made_from_the_table() -> None:
    assert {path.decode() for path in OPERATIONS} == {row.path for row in INFERENCE}
    for row in PATHS:
        path = filled(row.path).encode()
        assert all(operation_of(method.encode(), path) is None for method in row.methods)
    assert operation_of(b"GET", b"/v1/score") == OTHER.operation == "other"
    paths = document("1")["paths"]
    for row, method in CELLS:
        operation = paths[re.sub(r":\w+}", "}", row.path)][method.lower()]
        assert operation["security"][-1] == {"key": list(row.scopes)}
        assert ({} in operation["security"]) is (row.open_on_loopback or row.public)
    places = [(method, row.path) for row, method in CELLS]
    assert len(places) == len(set(places)), "a path and method has one row"
    for row in TABLE:
        assert row.scopes and set(row.scopes) <= set(SCOPES), row
        assert allows(row, frozenset(), loopback=False) is row.public
