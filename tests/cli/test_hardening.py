"""What a careless or hostile environment does to the commands: errors in words, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelscan import __main__ as entry
from modelscan.supervisor import spawn

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
        ("~nobody-of-that-name/x", "home folder does not exist"),
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
        ("goal", "", "is not one of quality, speed, context"),
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
    refused(run_in_process("config", "set", "goal", "speed"), 1, "a folder has that name")


def test_ids_in_an_ascii_terminal(cli: Run, clean_environment: Path) -> None:
    """A path outside ASCII, on a stdout that has only ASCII."""
    env = {"MODELSCAN_HOME": str(clean_environment / "größe"), "PYTHONIOENCODING": "ascii"}
    for flags in (["-q"], ["--json"], []):
        ran = cli("config", "path", *flags, env=env)
        assert (ran.code, ran.err) == (0, "")


def through_shell(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", script, sys.executable, "-m", "modelscan", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("args", [("catalog", "list"), ("catalog", "list", "-q"), ("--help",)])
def test_a_reader_that_leaves_is_no_failure(args: tuple[str, ...]) -> None:
    """``set -o pipefail`` scripts go on: exit 0, not a word."""
    ran = through_shell('"$0" "$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}', *args)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("args", [("config", "path"), ("--help",), ("--version",)])
def test_a_closed_stdout(args: tuple[str, ...]) -> None:
    ran = through_shell('"$0" "$@" >&-', *args)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_full_disk_behind_stdout(flags: tuple[str, ...]) -> None:
    ran = through_shell('"$0" "$@" >/dev/full', "config", "show", *flags)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr and "Exception ignored" not in ran.stderr
    assert flags or "No space left" in ran.stderr


@pytest.mark.parametrize("command", ["show", "estimate", "catalog info", "route show"])
def test_arguments_that_are_no_text(cli: Run, command: str) -> None:
    refused(cli(*command.split(), os.fsdecode(b"\xff\xfe")), 2, "is not UTF-8 text")


@pytest.mark.parametrize("command", ["estimate", "plan", "catalog info", "route show"])
def test_foreign_text_does_not_drive_the_terminal(run_in_process: Run, command: str) -> None:
    ran = run_in_process(*command.split(), "a\x1b[31mb\x07")
    assert ran.code == 2
    assert "\x1b" not in ran.err and "\x07" not in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "catalog search x --max-vram nan",
        "catalog search x --max-vram 1e308",
        "gpu --watch --interval inf --count 1",
        "catalog offers qwen3-8b --tokens-per-s nan",
        "plan qwen3-8b --gpu H100 --memory-utilization nan",
        f"plan qwen3-8b --gpu H100 --parallel {'9' * 30}",
        "deploy demo --timeout nan",
    ],
)
def test_numbers_that_are_none(run_in_process: Run, words: str) -> None:
    refused(run_in_process(*words.split()), 2, "is not a number up to 1e+12", "--help")


def test_empty_options(run_in_process: Run) -> None:
    ran = run_in_process("plan", "qwen3-8b", "--gpu", "H100", "--quantization", " ")
    refused(ran, 2, "option '--quantization' is empty")


def test_a_watch_of_no_readings_is_refused(run_in_process: Run) -> None:
    refused(run_in_process("gpu", "--watch", "--count", "0"), 2, "--count")


def test_a_link_that_leads_to_itself(run_in_process: Run, clean_environment: Path) -> None:
    link = clean_environment / "config" / "config.toml"
    link.parent.mkdir(parents=True)
    link.symlink_to(link)
    refused(run_in_process("config", "set", "goal", "speed"), 1, "symbolic link")
    assert link.is_symlink()


def test_a_settings_file_of_a_windows_editor(run_in_process: Run, clean_environment: Path) -> None:
    file = clean_environment / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes("\ufeffgoal = 'speed'\r\n".encode())
    assert run_in_process("config", "get", "goal").out == "speed\n"
    assert run_in_process("config", "set", "offline", "true").code == 0
    assert run_in_process("config", "get", "goal").out == "speed\n"


def test_a_password_in_an_endpoint_is_not_kept(
    run_in_process: Run, clean_environment: Path
) -> None:
    ran = run_in_process("config", "set", "hf_endpoint", "https://me:hunter22@hub.example")
    refused(ran, 2, "credentials in a URL", "hint: modelscan config set hf_token env:NAME")
    for address in ("hub.example", "ftp://hub.example", "https://"):
        ran = run_in_process("config", "set", "hf_endpoint", address)
        refused(ran, 2, "is no address", "hint: modelscan config set hf_endpoint https://")
    assert "hunter22" not in ran.err
    assert not (clean_environment / "config" / "config.toml").exists()


@pytest.mark.parametrize(
    "model", ["hf:a/b@", "hf:a/b@../../x", "ms:a/b@c d", "~nobody-here/x.gguf"]
)
def test_references_that_lead_nowhere(run_in_process: Run, model: str) -> None:
    refused(run_in_process("estimate", model, "--offline"), 2, "hint: write")


@pytest.mark.parametrize(("blocks", "nearly_full"), [(1000, True), (1 << 20, False)])
def test_a_full_disk_cuts_no_bytecode(
    monkeypatch: pytest.MonkeyPatch, blocks: int, nearly_full: bool
) -> None:
    """A cut .pyc file, which Python before 3.13 writes, would break every later command."""
    disk = SimpleNamespace(f_bavail=blocks, f_frsize=4096)
    monkeypatch.setattr(entry.os, "statvfs", lambda _: disk)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    entry.keep_bytecode_whole()
    assert sys.dont_write_bytecode is nearly_full
    spawned = spawn._environment()
    assert (spawned.get("PYTHONDONTWRITEBYTECODE") == "1") is nearly_full
