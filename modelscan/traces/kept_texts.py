"""Whether texts of a route's requests are kept, for commands that need no server's database."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from modelscan.core.errors import ModelscanError

_FILE_NAME = "server.sqlite3"


def why_texts_are_kept(state: Path, names: Iterable[str | None]) -> str | None:
    """Why texts of requests with these names are kept, as words; None: they are not, or there is no
    database that says so. Nothing is created."""
    if not (state / _FILE_NAME).is_file() or importlib.util.find_spec("sqlalchemy") is None:
        return None
    from modelscan.state.server.database import ServerDatabase
    from modelscan.traces.choices import ChoiceStore

    try:
        with ServerDatabase.open(state) as database:
            choices = ChoiceStore(database).read()
    except ModelscanError:  # the commands about requests report it
        return None
    return choices.why_kept(names) if choices.receipts else None
