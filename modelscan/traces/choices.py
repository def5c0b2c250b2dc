"""What is recorded: receipts unless they are switched off, texts only by choice."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from modelscan.state.server.audit import local_user, record_audit
from modelscan.state.server.database import ServerDatabase, record_change
from modelscan.state.server.tables import TRACE_CHOICES

CHANGED = "traces"
ContentOf = Literal["everything", "route", "key"]


@dataclass(frozen=True, slots=True)
class TraceChoices:
    """``receipts``: whether requests are recorded. Texts are kept of ``everything``, or of some
    routes and roles, and of some keys."""

    receipts: bool = True
    everything: bool = False
    routes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def content(self) -> bool:
        """Whether any text is kept."""
        return self.everything or bool(self.routes or self.keys)

    def why_kept(self, names: Iterable[str | None]) -> str | None:
        """Why the texts of a route with these names are kept, as words; None: they are not."""
        if self.everything:
            return "texts of every request are kept (modelscan trace off --content)"
        for name in names:
            if name in self.routes:
                return f"texts are kept (modelscan trace off --content --route {name})"
        if self.keys:
            return f"texts are kept for the keys {', '.join(self.keys)} only"
        return None


class ChoiceStore:
    """Reads and changes what is recorded; a running server follows within a second."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database

    def read(self) -> TraceChoices:
        """What is recorded now."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(TRACE_CHOICES).order_by(TRACE_CHOICES.c.name)).all()
        of = {kind: tuple(r.name for r in rows if r.kind == kind) for kind in ("route", "key")}
        return TraceChoices(
            receipts=all(row.what != "no_receipts" for row in rows),
            everything=any(row.kind == "everything" for row in rows),
            routes=of["route"],
            keys=of["key"],
        )

    def record(self, on: bool) -> None:
        """Switch receipts on or off."""
        self._put("no_receipts", "", "", not on)

    def keep_content(self, of: ContentOf, name: str, on: bool) -> None:
        """Switch texts on or off: of everything (``name`` is empty), of a route or role, a key."""
        self._put("content", of, name, on)

    def keep_no_content(self) -> None:
        """Keep no text of any request."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(TRACE_CHOICES).where(TRACE_CHOICES.c.what == "content"))
            record_audit(connection, local_user(), "trace.content", "everything", after=False)
            record_change(connection, CHANGED)

    def _put(self, what: str, kind: str, name: str, present: bool) -> None:
        values = {"what": what, "kind": kind, "name": name}
        row = sa.and_(*(TRACE_CHOICES.c[key] == value for key, value in values.items()))
        with self._database.writing() as connection:
            connection.execute(sa.delete(TRACE_CHOICES).where(row))
            if present:
                connection.execute(sa.insert(TRACE_CHOICES).values(**values, at=time.time()))
            target = f"{kind} {name}".strip() or "receipts"
            action = "trace.content" if kind else "trace.receipts"
            record_audit(
                connection, local_user(), action, target, after=present if kind else not present
            )
            record_change(connection, CHANGED)
