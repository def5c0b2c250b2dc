"""The aliases champion, challenger and previous of a model, moved together."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from modelscan.registry.labels import remove_alias, set_alias
from modelscan.registry.resolve import CHAMPION
from modelscan.registry.stored import find_model
from modelscan.state.server.audit import Actor

CHALLENGER, PREVIOUS = "challenger", "previous"
ALIASES = (CHAMPION, PREVIOUS, CHALLENGER)


def move_aliases(
    connection: sa.Connection, who: Actor, slug: str, wanted: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Set or remove (None) aliases in the caller's transaction; returns what they were."""
    present = find_model(connection, slug).aliases
    for alias, number in wanted.items():
        if number is not None:
            set_alias(connection, who, slug, alias, int(number))
        elif alias in present:
            remove_alias(connection, who, slug, alias)
    return {alias: present.get(alias) for alias in wanted}


def set_challenger(
    connection: sa.Connection, who: Actor, slug: str, number: str | None
) -> str | None:
    """Set or remove the alias challenger; returns what it was."""
    return move_aliases(connection, who, slug, {CHALLENGER: number})[CHALLENGER]
