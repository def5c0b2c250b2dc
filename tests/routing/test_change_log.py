"""Edits of the routing file by commands are in the server's log of changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.postgres import PostgresServer

ADD = ("route", "add", "coder", "--base-url", "http://127.0.0.1:8080", "--model", "lab/coder")
Run = Callable[..., Ran]


def changes(run: Run) -> list[dict[str, Any]]:
    done = run("server", "audit", "--json")
    assert done.code == 0, done.out
    return [row for row in done.json["changes"] if row["action"].startswith("routing.")][::-1]


def test_who_changed_what_without_a_gateway(clean_environment: Path, run_in_process: Run) -> None:
    run = run_in_process
    assert run("key", "create", "k", "--json").code == 0  # there is a server's database now
    commands = (
        ADD, ("route", "edit", "coder", "--set", "tags=[fast]"), ("route", "alias", "gpt", "coder"),
        ("route", "undo"), ("route", "remove", "coder"),
    )  # fmt: skip
    for words in commands:
        done = run(*words, "--json")
        assert done.code == 0, (words, done.out)
    rows = changes(run)
    assert [row["action"] for row in rows] == ["routing.edit"] * 3 + [
        "routing.undo",
        "routing.edit",
    ]
    assert all("coder" in rows[at]["target"] for at in (0, 1, 4)), rows
    assert {row["actor_kind"] for row in rows} == {"user"}
    assert rows[0]["before"] is None and rows[0]["after"] == rows[1]["before"]
    # Nothing changed, nothing written, and a refused change: no rows.
    assert run("route", "add", "other", "--base-url", "http://h:1", "--model", "m",
               "--dry-run").code == 0  # fmt: skip
    assert run("route", "edit", "none", "--set", "tags=[a]").code != 0
    assert len(changes(run)) == len(rows)


def test_without_a_server_there_is_no_database(
    clean_environment: Path, run_in_process: Run
) -> None:
    assert run_in_process(*ADD).code == 0
    assert not list(clean_environment.rglob("server.sqlite3"))


def test_a_database_that_is_away_costs_the_row_and_says_so(
    clean_environment: Path, run_in_process: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://me@/x?host={tmp_path}"
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", url)
    done = run_in_process(*ADD, "--json")
    assert done.code == 0
    assert any("the log of changes has no row" in one for one in done.json["warnings"])


def test_two_machines_write_into_one_log(
    clean_environment: Path, run_in_process: Run, postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", postgres.database())
    assert run_in_process(*ADD).code == 0
    assert [row["target"] for row in changes(run_in_process)] == ["add coder"]
