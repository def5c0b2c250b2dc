"""Whether texts of a route's requests are kept, for commands that need no server's database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.traces.existing import existing_database

if TYPE_CHECKING:
    from modelscan.state.config import Config


def why_texts_are_kept(config: Config, names: Iterable[str | None]) -> str | None:
    """Why texts of requests with these names are kept, as words; None: they are not, or there is no
    database that says so. Nothing is created."""
    try:
        with existing_database(config) as database:
            if database is None:
                return None
            from modelscan.traces.choices import ChoiceStore

            choices = ChoiceStore(database).read()
    except ModelscanError:  # the commands about requests report it
        return None
    return choices.why_kept(names) if choices.receipts else None
