"""Reads the files of a downloaded repository that determine options of a Python engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.engines.repository_files import RepositoryFiles
from modelscan.models.adapters import read_adapter
from modelscan.models.templates import local_template


def read(folder: Path, adapters: Sequence[str]) -> RepositoryFiles:
    """The files' facts; empty if the folder does not exist (a preview). ``adapters``:
    ``NAME=PATH``.
    """
    tekken = (folder / "tekken.json").is_file()
    return RepositoryFiles(
        tekken_only=tekken and not (folder / "tokenizer.json").is_file(),
        architectures=tuple(_object(folder / "config.json").get("architectures") or ()),
        lora_ranks=tuple(map(_rank, adapters)),
        template=local_template(folder),
    )


def _rank(adapter: str) -> int:
    try:
        return read_adapter(Path(adapter.partition("=")[2] or adapter)).max_rank or 0
    except UsageError:
        return 0


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json_value(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
