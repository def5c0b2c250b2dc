"""Every console block of the documentation runs and prints what it shows; every other command line
in it exists with its options.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest
from conftest import REPOSITORY
from support.console_blocks import commands, missing, run, with_free_ports

from modelscan.cli.framework import Root

PAGES = sorted(
    page
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"))
    if "```console\n" in page.read_text()
)
_PLAIN = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_DEADLINE_S = 900.0


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix().removeprefix("docs/")


@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("bash") is None, reason="the pages use bash")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    typed = commands(with_free_ports(page.read_text()))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "HOME": str(tmp_path)}
    ended = run(typed, env, tmp_path, _DEADLINE_S)
    for one, after in zip(typed, ended, strict=True):
        assert after.status == one.status, f"$ {one.command}\n{after.output}"
        assert missing(one, after) is None, (
            f"$ {one.command}\n{missing(one, after)}\n{after.output}"
        )


def _lines() -> list[tuple[str, str]]:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return [
        (page.name, line.partition("  #")[0].strip().removesuffix("&").strip())
        for page in pages
        for block in _PLAIN.findall(page.read_text())
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("modelscan ")
    ]


@pytest.mark.parametrize(("page", "line"), _lines())
def test_a_command_line_exists(page: str, line: str) -> None:
    """It is parsed by the command itself, and not run."""
    words = shlex.split(line)[1:]
    words = [word for word in words if word not in ("--offline", "--json", "-q")]
    command: click.Command = Root(name="modelscan")
    context = click.Context(command, info_name="modelscan")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: {line}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    values, rest, _ = command.make_parser(context).parse_args(words)
    assert not rest or command.allow_extra_args, f"{page}: {line}"
    assert values is not None
