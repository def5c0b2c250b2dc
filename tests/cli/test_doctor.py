"""``doctor`` finds what is broken here, and still looks at the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def _checks(ran: Any) -> dict[str, str]:
    return {check["name"]: check["status"] for check in ran.json["checks"]}


def test_broken_settings_are_one_row_of_many(run_in_process: Run, clean_environment: Path) -> None:
    (clean_environment / "config").mkdir(parents=True)
    (clean_environment / "config/config.toml").write_text("offline = [")
    ran = run_in_process("doctor", "--json")
    found = _checks(ran)
    assert (ran.code, found["settings"], found["modelscan"]) == (1, "error", "ok")
    assert ran.json["errors"] == 1


def test_a_broken_store_is_named(run_in_process: Run, clean_environment: Path) -> None:
    assert _checks(run_in_process("doctor", "--json"))["store"] == "ok"
    (clean_environment / "state").mkdir(parents=True)
    (clean_environment / "state/modelscan.sqlite3").write_bytes(os.urandom(4096))
    ran = run_in_process("doctor", "--json")
    assert (ran.code, _checks(ran)["store"]) == (1, "error")
    assert run_in_process("doctor", "-q").out.split() == ["store"]


def test_a_broken_settings_file_is_not_added_to(
    run_in_process: Run, clean_environment: Path
) -> None:
    file = clean_environment / "config/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("offline = [\n")
    ran = run_in_process("config", "set", "goal", "speed")
    assert ran.code == 2 and "line 1 cannot be read: 'offline = ['" in ran.err
    assert "hint: modelscan config set offline --unset" in ran.err
    assert file.read_text() == "offline = [\n"
    assert run_in_process("config", "set", "offline", "true").code == 0  # the broken line itself


def test_show_and_get_agree_on_every_setting(run_in_process: Run) -> None:
    for row in run_in_process("config", "show", "--json").json["settings"]:
        got = run_in_process("config", "get", row["key"], "--json").json
        assert (got["value"], got["origin"]) == (row["value"], row["origin"]), row["key"]


def test_a_working_folder_that_was_deleted(
    run_in_process: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run_in_process("list").code == 0
    assert run_in_process("plan", "demo", "-q").code == 0


@pytest.mark.parametrize(
    ("variable", "value", "status", "words"),
    [
        (
            "HTTPS_PROXY",
            "http://me:s3cr3t@proxy.example:3128",
            "ok",
            "by http://proxy.example:3128",
        ),
        ("HTTPS_PROXY", "proxy.example:abc", "error", "HTTPS_PROXY=http://proxy.example:abc"),
        ("SSL_CERT_FILE", "/none.pem", "error", "SSL_CERT_FILE=/none.pem"),
        ("UNRELATED", "1", "ok", "models.dev, 127.0.0.1:9: direct"),
    ],
)
def test_how_requests_would_leave(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, status: str,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)
    ran = run_in_process("doctor", "--json")
    row = next(check for check in ran.json["checks"] if check["name"] == "network")
    assert (row["status"], words in row["detail"]) == (status, True), row
    assert (row["hint"] is None) is (status == "ok")
    assert "s3cr3t" not in ran.out
