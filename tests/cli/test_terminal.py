"""What a person sees: real commands in a real terminal of 80 columns."""

from __future__ import annotations

import fcntl
import io
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

from modelscan.cli.document import Bar, Table
from modelscan.cli.output import Mode, Output
from modelscan.cli.terminal import draw_bar, draw_table, is_verbatim, wrap
from modelscan.core.units import GIB

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
        "run(['config', 'list']); sys.stderr.write(str('rich' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("False")


def test_a_row_that_cannot_fit_becomes_a_record() -> None:
    """Nothing that must be whole is cut: below the width of its parts, one field per line."""
    table = Table(
        ("NAME", "STATE", "ENDPOINT", "TARGET"),
        [],
        whole=("STATE", "ENDPOINT"),
        optional=("TARGET",),
    )
    row = ["a-name-of-its-own", "running", "http://127.0.0.1:41000", "local"]
    lines = draw_table(table, [row], 55).splitlines()
    assert [line.split() for line in lines] == [["NAME", "STATE", "ENDPOINT"], row[:3]]
    records = draw_table(table, [row, row], 40)
    assert records.count("endpoint  http://127.0.0.1:41000") == 2
    assert max(map(len, records.splitlines())) <= 40


def test_a_column_without_values_is_left_out() -> None:
    table = Table(("NAME", "SPEED", "SIZE"), [], numeric=("SPEED", "SIZE"))
    assert draw_table(table, [["a", "-", "3"], ["b", "-", "4"]], 80).splitlines()[0] == "NAME  SIZE"


def test_a_memory_bar_is_as_long_as_its_share() -> None:
    bar = Bar("GPU 0", [("weights", 6 * GIB), ("KV cache", 2 * GIB)], 16 * GIB)
    first, legend = draw_bar(bar, 80).splitlines()
    assert (first.count("█"), first.count("▓"), first.count("·")) == (15, 5, 20)
    assert first.endswith("8.00 GiB of 16.0 GiB")
    assert legend.split() == ["█", "weights", "6.00", "GiB", "▓", "KV", "cache", "2.00", "GiB"]
    for width in (30, 50, 120):
        assert len(draw_bar(bar, width).splitlines()[0]) <= max(width, 39)


def test_a_long_warning_has_a_hanging_indent() -> None:
    err = io.StringIO()
    output = Output(Mode.HUMAN, io.StringIO(), err, width=40)
    output.warn("the routing file was changed by another program while it was read")
    lines = err.getvalue().splitlines()
    assert lines[0].startswith("warning: the")
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert max(map(len, lines)) <= 40


def test_a_text_below_its_row() -> None:
    """Texts that few rows have are lines of their own; unknown ones are no line."""
    table = Table(("CHECK", "DETAIL", "HINT"), [], folded=("DETAIL",), below=("HINT",))
    rows = [["gpu", "none", "-"], ["disk", "full", "free some space on /a/path, then try again"]]
    assert draw_table(table, rows, 40).splitlines() == [
        "CHECK  DETAIL", "gpu    none", "disk   full", "  hint: free some space on /a/path, then",
        "        try again",
    ]  # fmt: skip


def test_wrapping_keeps_what_one_copies_whole() -> None:
    path = "/srv/" + "a" * 50
    text = f'the file {path} is gone\n    "path": "{path}", and more words than fit here'
    assert wrap(text, 30).split("\n") == [
        "the file", path, "is gone", '    "path":', f'    "{path}",', "    and more words than fit",
        "    here",
    ]  # fmt: skip
