"""The scripts of the recipes, and the environment that the header of each states (PEP 723)."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeKind

_BLOCK = re.compile(r"(?m)^# /// script\n(?P<body>(?:#(?: .*)?\n)+?)# ///$")


class ScriptEnvironment(NamedTuple):
    """The range of Python versions, and requirements with exact versions."""

    python: str
    requirements: tuple[str, ...]


def script_text(kind: RecipeKind) -> str:
    """The script of a recipe. It is the same for every model: parameters are in the manifest."""
    folder = resources.files("modelscan.recipes") / "scripts"
    return (folder / f"{kind.script}.py.txt").read_text(encoding="utf-8")


def environment_of(script: str) -> ScriptEnvironment:
    """What the script's header states."""
    match = _BLOCK.search(script)
    assert match is not None, "a script has a PEP 723 header"
    lines = "\n".join(line.removeprefix("#").strip() for line in match["body"].splitlines())
    python = re.search(r'requires-python = "([^"]+)"', lines)
    listed = re.search(r"dependencies = \[(.*?)\]", lines, re.DOTALL)
    assert python is not None and listed is not None, "a header states Python and packages"
    return ScriptEnvironment(python[1], tuple(re.findall(r'"([^"]+)"', listed[1])))


def script_folder() -> Path:
    """Where the scripts are, for checks over all of them."""
    return Path(__file__).resolve().parent / "scripts"
