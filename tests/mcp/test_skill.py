"""The printed SKILL.md: its head is read by assistants, its commands exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import click
import yaml
from conftest import Ran

from modelscan.cli.commands import shown
from modelscan.cli.framework import Root
from modelscan.mcp.tools import TOOLS


def _command(words: list[str]) -> click.Command:
    """The command of a line; fails where there is none."""
    at: click.Command = Root(name="modelscan")
    for word in words:
        nested = at.get_command(click.Context(at), word) if isinstance(at, click.Group) else None
        if nested is None:
            break
        at = nested
    assert at.name != "modelscan", words
    return at


def test_every_line_of_the_skill_is_a_command(run_in_process: Callable[..., Ran]) -> None:
    text = run_in_process("skill").out
    _, head, body = text.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["name"] == "modelscan"
    assert 100 < len(facts["description"]) <= 1024
    lines = re.findall(r"^modelscan (.+)$", body, re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line)
        command = _command(words)
        options = {name for one in command.params for name in one.opts}
        assert {one for one in words if one.startswith("--")} <= options, line
    assert all(f"`modelscan {entry.name}`" in body for entry in shown())
    assert all(f"`{row.name}`" in body for row in TOOLS)
