"""Deployments that run but are not in the database: it was deleted, damaged or restored.

Each start leaves a copy of its row in the deployment's folder, so that ``list`` finds the engine
again instead of leaving an orphan.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold
from modelscan.state.records import from_document, to_document
from modelscan.state.store import PortTaken, Store, deployment_lock
from modelscan.supervisor.rundir import RunDir

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config

_COPY = "deployment.json"


def leave_copy(rundir: RunDir, deployment: Deployment) -> None:
    """Before a start: write the copy of the row that ``find_lost`` reads."""
    write_atomic(rundir.folder / _COPY, json.dumps(to_document(deployment)))


def find_lost(config: Config, names: Collection[str], store: Store) -> list[Deployment]:
    """Write a row for every running deployment without one; returns those."""
    folder = config.paths.deployments_dir
    if not folder.is_dir():
        return []
    strangers = [entry for entry in folder.iterdir() if entry.name not in names]
    return [
        found
        for entry in strangers
        if RunDir(entry).alive() and (found := _put_back(RunDir(entry), config, store))
    ]


def _put_back(rundir: RunDir, config: Config, store: Store) -> Deployment | None:
    name = rundir.folder.name
    try:
        with hold(deployment_lock(config.paths.locks_dir, name), timeout_s=0):
            row = None if store.get(name) else _read(rundir)
            if row is not None:
                store.put(row)
            return row
    except (ModelscanError, PortTaken):
        return None  # another command is changing it, or its port is reserved by another


def _read(rundir: RunDir) -> Deployment | None:
    try:
        document = json_value((rundir.folder / _COPY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return from_document(document)[0] if isinstance(document, dict) else None
