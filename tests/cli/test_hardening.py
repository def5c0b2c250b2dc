"""What a careless or hostile environment does to the commands: errors in words, never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def refused(ran: Any, code: int, *words: str) -> None:
    """An error in the contract's form that says ``words``."""
    assert ran.code == code, ran.err
    assert ran.err.startswith("error: "), ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, ran.err


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("~nobody-of-that-name/x", "no such home folder"),
        ("/tmp/" + "x" * 300, "File name too long"),
        ("/proc/1/no-such-place", "No such file"),
        (__file__, "is a file"),
    ],
)
def test_a_home_that_cannot_be(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch, home: str, words: str
) -> None:
    monkeypatch.setenv("MODELSCAN_HOME", home)
    ran = run_in_process("config", "set", "goal", "speed")
    refused(ran, 2 if home.startswith("~") else 1, words, "hint: ")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("http_timeout_s", "nan", "is not a number"),
        ("http_timeout_s", "inf", "is not a number"),
        ("http_timeout_s", "-3", "is not between 0.1 and 1e+12"),
        ("http_timeout_s", "0", "is not between 0.1 and 1e+12"),
        ("catalog_max_age_s", "9" * 400, "is not between 0 and 1e+12"),
        ("catalog_max_age_s", "1.5", "is not a whole number"),
        ("machine_watts", "-4", "is not between 0"),
        ("offline", "maybe", "is not true or false"),
        ("goal", "", "is none of quality, speed, context"),
    ],
)
def test_settings_out_of_range(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch, key: str, value: str, why: str
) -> None:
    refused(run_in_process("config", "set", "--", key, value), 2, why, "hint: ")
    if value:
        monkeypatch.setenv(f"MODELSCAN_{key.upper()}", value)
        refused(run_in_process("config", "show"), 2, why, f"hint: unset MODELSCAN_{key.upper()}")


@pytest.mark.parametrize("text", ["a\x01b\x7fc", "a\u2028b\x85c", 'a"b\\c', "one\ntwo\tthree"])
def test_any_text_survives_the_settings_file(run_in_process: Run, text: str) -> None:
    """Written, kept while another setting changes, and read back as it was."""
    for key, value in (("target", text), ("goal", "speed"), ("goal", "quality")):
        assert run_in_process("config", "set", key, value).code == 0
    assert json.loads(run_in_process("config", "get", "target", "--json").out)["value"] == text


def test_bytes_that_are_no_text_are_refused(run_in_process: Run) -> None:
    ran = run_in_process("config", "set", "target", os.fsdecode(b"\xff"))
    refused(ran, 2, "is not text")


def test_a_wrong_setting_is_mended_by_config_set(
    run_in_process: Run, clean_environment: Path
) -> None:
    """The very command that the hint names must work while the file is wrong."""
    file = clean_environment / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("# mine\ngoal = 'cheap'\n")
    ran = run_in_process("config", "show")
    refused(ran, 2, "hint: modelscan config set goal quality")
    assert run_in_process("config", "set", "goal", "quality").code == 0
    assert file.read_text() == '# mine\ngoal = "quality"\n'
    assert run_in_process("config", "show").code == 0


def test_true_and_false_read_as_they_are_written(run_in_process: Run) -> None:
    assert run_in_process("config", "get", "offline").out == "false\n"


def test_a_folder_in_a_files_place(run_in_process: Run, clean_environment: Path) -> None:
    (clean_environment / "config" / "config.toml").mkdir(parents=True)
    refused(run_in_process("config", "set", "goal", "speed"), 1, "is a folder")


def test_ids_in_an_ascii_terminal(cli: Run, clean_environment: Path) -> None:
    """A path outside ASCII, on a stdout that has only ASCII."""
    env = {"MODELSCAN_HOME": str(clean_environment / "größe"), "PYTHONIOENCODING": "ascii"}
    for flags in (["-q"], ["--json"], []):
        ran = cli("config", "path", *flags, env=env)
        assert (ran.code, ran.err) == (0, "")
