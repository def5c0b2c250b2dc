"""``modelscan skill``: a SKILL.md that teaches an assistant these commands."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.cli.commands import shown
from modelscan.cli.document import Document, Text
from modelscan.cli.examples import EXAMPLES
from modelscan.cli.framework import single
from modelscan.mcp.tools import TOOLS, ToolRow

_HEAD = """\
---
name: modelscan
description: Find open models that fit this machine's GPUs, estimate their memory, plan, run,
  verify and route them with the modelscan command. Use it when the user wants to run a model
  locally or on their servers, asks which model fits, or asks about deployments, routes, their
  speed or their cost.
---

# modelscan

Rules:

- Add `--json` to read an answer: one document with `schema` and `warnings`. Sizes are bytes, null
  is unknown (not zero, not no).
- Exit codes: 0 ok, 1 failed, 2 wrong arguments, 3 does not fit or not possible here, 4 a key is
  missing or wrong, 5 a server failed. An error has a hint with a command to paste.
- Ask the user before `deploy`, `start`, `stop`, `remove` and everything else that changes
  something.
- Never put a key on a command line: `env:NAME` or `file:PATH`.
- `modelscan COMMAND --help` has every option, with examples.
"""
_STEPS = (
    ("Find a model that fits", ("catalog search", "catalog info")),
    ("Size it", ("estimate", "plan")),
    ("Run it and use it", ("deploy", "show", "connect")),
    ("See what runs", ("list", "top", "logs")),
    ("End it", ("stop", "remove")),
)
_EFFECTS = {"read": "reads", "change": "changes, confirmed", "destroy": "destroys, confirmed"}


@dataclass(frozen=True, slots=True)
class Skill:
    """The text of a SKILL.md."""

    text: str


def skill() -> Document[Skill]:
    """Print a SKILL.md: what modelscan does, its commands and rules, for an assistant.

    For Claude Code: modelscan skill > ~/.claude/skills/modelscan/SKILL.md.
    """
    text = skill_text()
    return Document("skill", Skill(text), [Text(text.rstrip("\n"))], ["modelscan"])


def skill_text() -> str:
    """The file's content, made from the tables of commands, examples and tools."""
    return "\n".join((_HEAD, *_steps(), *_commands(), *_tools()))


def _steps() -> list[str]:
    lines: list[str] = []
    for title, commands in _STEPS:
        examples = [line for command in commands for line in EXAMPLES[command]]
        lines += [f"## {title}", "", "```sh", *(f"modelscan {one}" for one in examples), "```", ""]
    return lines


def _commands() -> list[str]:
    rows = [f"| `modelscan {entry.name}` | {entry.help} |" for entry in shown()]
    return ["## Commands", "", "| Command | What it does |", "|---|---|", *rows, ""]


def _tools() -> list[str]:
    head = (
        "## Tools", "",
        "`modelscan mcp` (stdio) and `modelscan serve --mcp` (HTTP, `/mcp`) offer these tools;",
        "those that change something only with `--allow-changes`.", "",
        "| Tool | | What it does |", "|---|---|---|",
    )  # fmt: skip
    return [*head, *(_tool(row) for row in TOOLS), ""]


def _tool(row: ToolRow) -> str:
    return f"| `{row.name}` | {_EFFECTS[row.effect]} | {row.description} |"


app = single(skill)
