"""What a person sees: real commands in a real terminal of 80 columns."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import REPOSITORY

from modelscan.cli.terminal import is_verbatim

COLUMNS = 80
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
ROUTING = """\
version: 1
routing:
  mode: direct
  direct:
    providers:
      - {name: a-rather-long-name-of-an-entry, type: openai, base_url: "https://api.example.com/x/y", model: someone/some-model-with-a-long-name}
"""
COMMANDS = (
    ["catalog", "search", "qwen"],
    ["catalog", "search", "coder", "--tools"],
    ["catalog", "info", "qwen3-8b", "--gpu", "RTX 4090"],
    ["catalog", "info", "openai/gpt-4o"],
    ["catalog", "info", "qwen3-8b", "gemma-3-27b-it"],
    ["catalog", "passport", "qwen3-8b", "--offline"],
    ["catalog", "sources"],
    ["gpu", "--gpu", "4x H100 80GB"],
    ["gpu", "facts", "RTX 4090"],
    ["route", "list"],
    ["route", "validate"],
    ["config", "show"],
    ["doctor"],
)


def terminal(*arguments: str, **variables: str) -> str:
    """What the command writes to a terminal, with its escape sequences."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelscan", *arguments],
        stdin=side, stdout=side, stderr=side, cwd=REPOSITORY, env=environment,
    )  # fmt: skip
    os.close(side)
    written = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    os.close(main)
    process.wait()
    return written.decode().replace("\r\n", "\n")


@pytest.fixture(autouse=True)
def routing(clean_environment: Path) -> None:
    file = clean_environment / "config" / "routing.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(ROUTING)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_nothing_is_wider_than_the_terminal(arguments: list[str]) -> None:
    """At 80 columns no row wraps; only what one copies may be longer."""
    text = ESCAPE.sub("", terminal(*arguments))
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    for line in lines:
        copied = is_verbatim(line.strip().removeprefix("hint: ")) or is_verbatim(
            line.split("  ")[-1]
        )
        assert len(line) <= COLUMNS or copied, line


def test_ids_and_numbers_are_whole() -> None:
    """The first column and the memory of each model, as a pipe has them."""
    text = terminal("catalog", "search", "coder", "--limit", "9")
    piped = subprocess.run(
        [sys.executable, "-m", "modelscan", "catalog", "search", "coder", "--limit", "9"],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    ).stdout  # fmt: skip
    for row in piped.splitlines()[1:]:
        cells = row.split("\t")
        assert re.search(rf"^{re.escape(cells[0])} .*\b{re.escape(cells[3])}\b", text, re.M), row


def test_gpu_names_are_whole() -> None:
    text = terminal("gpu", "--gpu", "2x H100 80GB")
    assert "NVIDIA H100 SXM5 80 GB" in text
    assert "…" not in text


def test_colour_only_where_it_is_wanted() -> None:
    """NO_COLOR and a dumb terminal get plain text; a dumb one no spinner either."""
    assert "\x1b[31merror:" in terminal("show", "nothing")
    assert "\x1b[31m" not in terminal("show", "nothing", NO_COLOR="1")
    assert "\x1b" not in terminal("catalog", "info", "qwen3-8b", TERM="dumb")


def test_a_pipe_needs_no_rich() -> None:
    """rich is imported for a terminal only."""
    code = (
        "import sys; from modelscan.cli.app import run; run(['catalog', 'search', 'qwen']);"
        "run(['doctor']); sys.stderr.write(str('rich' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("False")
