"""Settings that cannot be read: what goes on with a warning, what is refused, how it is repaired."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelscan.state.config import load

Run = Callable[..., Any]
GOES_ON = (
    ("list",), ("stop", "--all"), ("remove", "--all", "--yes"), ("route", "list"),
    ("target", "list"), ("cache", "list"), ("gpu",), ("catalog", "search", "qwen", "--limit", "1"),
)  # fmt: skip
IS_REFUSED = (("plan", "demo"), ("deploy", "demo"), ("config", "show"), ("config", "get", "goal"))
BROKEN = (
    (b"offline = tru", "line 1 cannot be read: 'offline = tru': Invalid value"),
    (b"goal = 'speed'\nhttp_timeout_s 30", "line 2 cannot be read: 'http_timeout_s 30'"),
    (b"goal = 'speed'\ngoal = 'quality'", "line 2 cannot be read: \"goal = 'quality'\": goal is"),
    (b"# mine\ngaol = 'speed'", "line 2: there is no setting 'gaol' (did you mean 'goal'?)"),
    (b'routing_file = "a\\u0000b"', "line 1: routing_file = 'a\\x00b' is not a path"),
    (b"source = 'hf'", "line 1: source = 'hf' is not one of huggingface"),
    (b"[paths]\nhome = 1", "line 1: there is no setting 'paths'"),
    (b"goal = 'speed'\n\xff\xfe", "line 2 is not UTF-8 text"),
    (b"port_range = " + b"9" * 5000, "line 1 cannot be read"),
    (b"goal = " + b"[" * 5000, "line 1 cannot be read"),
)


@pytest.fixture
def file(clean_environment: Path) -> Path:
    (clean_environment / "config").mkdir(parents=True)
    return clean_environment / "config" / "config.toml"


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_a_broken_file(run_in_process: Run, file: Path, text: bytes, why: str) -> None:
    """It stops no command that starts nothing, and the hint of the others repairs it."""
    file.write_bytes(text + b"\n")
    listed = run_in_process("list", "--json")
    assert listed.code == 0 and why in listed.json["warnings"][0]
    checks = [
        c for c in run_in_process("doctor", "--json").json["checks"] if c["status"] == "error"
    ]
    assert why in checks[0]["detail"]
    for _ in range(len(checks) + 1):  # below [paths] there is another one
        refused = run_in_process("config", "show")
        if refused.code == 0:
            break
        hint = refused.err.partition("hint: ")[2].partition("   (")[0].strip()
        words = shlex.split(hint)
        if words[0] == "modelscan":
            assert run_in_process(*words[1:]).code == 0, hint
        else:
            subprocess.run(words, check=True)
    assert run_in_process("config", "show").code == 0


@pytest.mark.parametrize("words", GOES_ON)
def test_what_goes_on(run_in_process: Run, file: Path, words: tuple[str, ...]) -> None:
    file.write_text("goal = \n")
    ran = run_in_process(*words)
    assert ran.code == 0, ran.err
    assert "warning:" in ran.err and "line 1 cannot be read" in ran.err


@pytest.mark.parametrize("words", IS_REFUSED)
def test_what_is_refused(run_in_process: Run, file: Path, words: tuple[str, ...]) -> None:
    file.write_text("goal = \n")
    ran = run_in_process(*words)
    assert ran.code == 2 and "line 1 cannot be read" in ran.err
    assert "hint: modelscan config set goal --unset" in ran.err


def test_the_readable_lines_count(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where routes are written; and a broken `offline` sends nothing."""
    file.write_text("routing_file = '/srv/routes.yaml'\noffline = yes please\ntarget = [\n")
    monkeypatch.setenv("MODELSCAN_HTTP_TIMEOUT_S", "soon")
    config = load(tolerant=True)
    assert (str(config.routing_file), config.offline) == ("/srv/routes.yaml", True)
    assert (config.target, config.http_timeout_s, len(config.problems)) == ("local", 20.0, 3)
    assert config.offline_because("huggingface") == f"offline is set in {file}"


def test_several_problems_are_one_warning(run_in_process: Run, file: Path) -> None:
    file.write_text("a = 1\nb = 2\nc = 3\n")
    assert run_in_process("list").err.count("warning:") == 1
    assert "2 more: modelscan doctor" in run_in_process("list").err


def test_a_project_file_is_repaired_where_it_is(
    run_in_process: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "modelscan.toml").write_text("goal = 'cheap'\n")
    refused = run_in_process("config", "show")
    assert "hint: modelscan config set goal quality --project" in refused.err
    assert run_in_process("config", "set", "goal", "quality", "--project").code == 0
    assert run_in_process("config", "show").code == 0
