"""The server's database for commands that do not need it: only where it is there already."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

_FILE_NAME = "server.sqlite3"


@contextmanager
def existing_database(config: Config) -> Iterator[ServerDatabase | None]:
    """The database; None: there is none, or this installation lacks the package for it.

    Raises ModelscanError like ``open_server``.
    """
    there = config.database_url is not None or (config.paths.state / _FILE_NAME).is_file()
    if not there or importlib.util.find_spec("sqlalchemy") is None:
        yield None
        return
    from modelscan.state.server.database import open_server

    with open_server(config) as database:
        yield database
