"""Texts of requests and answers that are kept by choice, in a table with its own retention."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from modelscan.core.receipt import KeptContent
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.tables import CONTENTS


@dataclass(frozen=True, slots=True)
class ContentCount:
    """How many texts are stored, and their bytes (compressed)."""

    requests: int
    bytes: int


class ContentStore:
    """Writes and reads kept texts."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database

    def write(self, contents: Sequence[KeptContent]) -> None:
        """Store a batch. Raises ModelscanError where the disk is full or the file is unusable."""
        rows = [
            {
                "at": one.at, "trace_id": one.trace_id, "request": zlib.compress(one.request),
                "answer": zlib.compress(one.answer), "cut": one.cut,
            }
            for one in contents
        ]  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(sa.insert(CONTENTS), rows)

    def find(self, trace_id: str) -> KeptContent | None:
        """The texts of a request; None: none were kept."""
        query = sa.select(CONTENTS).where(CONTENTS.c.trace_id == trace_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        request, answer = zlib.decompress(row["request"]), zlib.decompress(row["answer"])
        return KeptContent(trace_id, row["at"], request, answer, row["cut"])

    def count(self) -> ContentCount:
        """How much is stored."""
        size = sa.func.length(CONTENTS.c.request) + sa.func.length(CONTENTS.c.answer)
        query = sa.select(sa.func.count(CONTENTS.c.id), sa.func.sum(size))
        with self._database.reading() as connection:
            number, total = connection.execute(query).one()
        return ContentCount(int(number), int(total or 0))

    def delete_before(self, moment: float) -> int:
        """Delete the texts that are older than a UNIX time; returns how many."""
        with self._database.writing() as connection:
            return delete_contents(connection, moment)


def delete_contents(connection: sa.Connection, before: float) -> int:
    """The same in the caller's transaction."""
    return connection.execute(sa.delete(CONTENTS).where(CONTENTS.c.at < before)).rowcount
