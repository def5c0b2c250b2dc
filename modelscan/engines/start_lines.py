"""A plan as the command line that starts it with the engine's own program, on any machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.plan import Plan

LOCAL, MODELSCOPE = "local_path", "modelscope"


def line(program: Sequence[str], plan: Plan, variables: Mapping[str, str] | None = None) -> str:
    """Variables, the program with its model, the plan's options: quoted for a POSIX shell."""
    values = {**(variables or {}), **plan.env}
    assignments = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    return " ".join([*assignments, *map(shlex.quote, (*program, *plan.parameters))])


def local_file(plan: Plan) -> str:
    """The model's first file: below its folder, or by its name where it is on a hub."""
    first = plan.files[0] if plan.files else ""
    if plan.source != LOCAL:
        return first or plan.repo
    if not first or plan.repo.endswith(first):  # a repository of one file
        return plan.repo
    return str(PurePath(plan.repo) / first)  # an absolute ``first`` replaces the folder
