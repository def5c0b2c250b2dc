"""What scripts rely on: exit codes, error form, suggestions, quiet pipes, global flags."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran

from modelscan import __version__


def test_version(cli: Callable[..., Ran]) -> None:
    """``--version`` answers without importing anything."""
    for flag in ("--version", "-V"):
        assert cli(flag).out == f"modelscan {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["confg"], "modelscan config"),
        (["config", "shw"], "modelscan config show"),
        (["config", "ste"], "modelscan config set"),
        (["serch", "qwen"], "modelscan catalog search qwen"),
        (["plann", "demo", "--gpu", "2x H100"], "modelscan plan demo --gpu '2x H100'"),
        (["cache", "remove", "x"], "modelscan cache --help"),
        (["route", "delete", "x"], "modelscan route"),
        (["ps", "--jsn"], "--json"),
        (["config", "get", "ofline"], "modelscan config get offline"),
        (["route", "show", "nothing"], "modelscan route list"),
    ],
)
def test_typos_get_a_suggestion(cli: Callable[..., Ran], arguments: list[str], hint: str) -> None:
    """Exit 2, ``error:`` and a hint that names the nearest."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert hint in ran.err.partition("\n\nhint: ")[2]
    assert ran.out == ""


def test_usage_errors_speak_json(cli: Callable[..., Ran]) -> None:
    """Also when the mistake is in the arguments themselves."""
    ran = cli("config", "get", "--json")
    assert (ran.code, ran.json["schema"], ran.err) == (2, "modelscan.error/1", "")


@pytest.mark.parametrize("arguments", [[], ["config"]])
def test_nothing_asked_prints_help_on_stderr(cli: Callable[..., Ran], arguments: list[str]) -> None:
    """Exit 2: a script that forgot its command must not go on."""
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: modelscan" in ran.err


def test_global_flags_before_and_after(run_in_process: Callable[..., Ran]) -> None:
    """``modelscan --json config path`` and ``modelscan config path --json`` are the same."""
    first, second = (
        run_in_process("--json", "config", "path"),
        run_in_process("config", "path", "--json"),
    )
    assert first.json == second.json


def test_help_of_every_command_and_its_aliases(run_in_process: Callable[..., Ran]) -> None:
    """Every registered command can be imported and explains itself."""
    from modelscan.cli.commands import COMMANDS

    for entry in COMMANDS:
        for name in (entry.name, *entry.aliases):
            ran = run_in_process(name, "--help")
            assert ran.code == 0, name
            assert "Usage: modelscan" in ran.out
            assert "--json" in ran.out


def test_head_ends_quietly() -> None:
    """A reader that goes away is not an error."""
    done = subprocess.run(
        f"{sys.executable} -m modelscan config show | head -n 1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("SETTING\tVALUE\tORIGIN\n", "")


def test_settings_have_origins(cli: Callable[..., Ran], tmp_path: Path) -> None:
    """flag > variable > project file > user file > default."""
    (tmp_path / "modelscan.toml").write_text('goal = "speed"\nsource = "modelscope"\n')
    assert cli("config", "set", "goal", "context").code == 0
    assert cli("config", "set", "http_timeout_s", "5").code == 0
    ran = cli(
        "config",
        "show",
        "--json",
        "--offline",
        cwd=tmp_path,
        env={"MODELSCAN_SOURCE": "huggingface"},
    )
    found = {row["key"]: (row["value"], row["origin"]) for row in ran.json["settings"]}
    assert found["offline"] == (True, "flag")
    assert found["source"] == ("huggingface", "env:MODELSCAN_SOURCE")
    assert found["goal"] == ("speed", str(tmp_path / "modelscan.toml"))
    assert found["http_timeout_s"][0] == 5.0
    assert found["http_timeout_s"][1].endswith("config.toml")
    assert found["target"] == ("local", "default")


def test_config_set_keeps_comments_and_refuses_nonsense(
    cli: Callable[..., Ran], clean_environment: Path
) -> None:
    """A literal key, an unknown setting and a value of the wrong kind are exit 2; nothing is lost."""
    file = clean_environment / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('# mine\ngoal = "speed" # fast\n')
    assert cli("config", "set", "goal", "quality").code == 0
    assert file.read_text() == '# mine\ngoal = "quality"\n'
    for key, value in (
        ("hf_token", "hf_abcdefgh"),
        ("nope", "1"),
        ("offline", "maybe"),
        ("goal", "x"),
    ):
        ran = cli("config", "set", key, value)
        assert ran.code == 2, key
        assert "hf_abcdefgh" not in ran.out + ran.err
    assert file.read_text() == '# mine\ngoal = "quality"\n'
    assert cli("config", "set", "goal", "--unset").code == 0
    assert file.read_text() == "# mine\n"


def test_a_broken_settings_file_is_named_with_its_line(
    cli: Callable[..., Ran], clean_environment: Path
) -> None:
    """Exit 2, no traceback."""
    file = clean_environment / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("goal = \n")
    ran = cli("config", "show")
    assert ran.code == 2
    assert str(file) in ran.err
    assert "line 1" in ran.err
    assert "Traceback" not in ran.err


def test_no_color_on_a_terminal_when_asked(clean_environment: Path) -> None:
    """On a pseudo-terminal: colour by default, none with NO_COLOR or TERM=dumb."""
    assert "\x1b[31m" in _on_a_terminal({})
    assert "\x1b[" not in _on_a_terminal({"NO_COLOR": "1"})
    assert "\x1b[" not in _on_a_terminal({"TERM": "dumb"})


def _on_a_terminal(env: dict[str, str]) -> str:
    import pty

    chunks: list[bytes] = []
    old = dict(os.environ)
    os.environ.update({"TERM": "xterm-256color", **env})
    try:
        pty.spawn(
            [sys.executable, "-m", "modelscan", "route", "show", "nothing"],
            lambda fd: chunks.append(os.read(fd, 4096)) or chunks[-1],
        )
    finally:
        os.environ.clear()
        os.environ.update(old)
    return b"".join(chunks).decode()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli: Callable[..., Ran], shell: str) -> None:
    """A script per shell; an unknown shell is exit 2."""
    assert "modelscan" in cli("completion", shell).out
    assert cli("completion", "tcsh").code == 2


def test_completion_really_completes(cli: Callable[..., Ran]) -> None:
    """What the bash script asks for is answered with commands."""
    env = {"_MODELSCAN_COMPLETE": "bash_complete", "COMP_WORDS": "modelscan cat", "COMP_CWORD": "1"}
    assert "catalog" in cli(env=env).out


def test_a_read_only_home_is_explained(cli: Callable[..., Ran], tmp_path: Path) -> None:
    """Something on the path is a file: exit 1, a hint, no traceback."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    ran = cli("config", "set", "goal", "speed", env={"MODELSCAN_HOME": str(blocked / "home")})
    assert ran.code == 1
    assert "MODELSCAN_HOME" in ran.err
    assert json.loads(cli("config", "path", "--json").out)["schema"] == "modelscan.config.path/1"
