"""A hub's repository as Ollama names it: ``hf.co/ORG/REPO:TAG``."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelscan.formats.files import describe, is_projector

if TYPE_CHECKING:
    from modelscan.core.plan import Plan

HUBS = {"huggingface": "hf.co", "modelscope": "modelscope.cn"}


def hub_name(plan: Plan, *, several_files: bool = False) -> str | None:
    """The name that a server pulls; None for a local file.

    The hubs read a tag as the quantization in a file's name. A file without one is the repository's
    only file, or is named in full (``several_files``: the repository has others).
    """
    hub = HUBS.get(plan.source)
    if hub is None:
        return None
    files = [name for name in plan.files if not is_projector(name)]
    label = describe(files[0]).quantization if files else plan.quantization
    if label is None and several_files and files:
        label = PurePosixPath(files[0]).name
    return f"{hub}/{plan.repo}" + (f":{label}" if label else "")
