"""One statement that inserts a row of sums, or adds to the one that is there."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa


def add_rows(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    least: tuple[str, ...] = (),
    most: tuple[str, ...] = (),
) -> None:
    """Add to the rows with the same primary key, in the caller's transaction, all at once.

    Of the columns ``least`` and ``most`` the smaller and the larger value stay; all others outside
    the key are sums. Both databases have this form of INSERT.
    """
    if rows:
        key = [column.name for column in table.primary_key]
        # Always in the same order: two gateways that add to the same rows wait for each other once.
        ordered = sorted(rows, key=lambda row: [row[name] for name in key])
        connection.execute(_statement(connection.dialect.name, table, least, most), ordered)


@functools.cache
def _statement(
    dialect: str, table: sa.Table, least: tuple[str, ...], most: tuple[str, ...]
) -> Any:  # fmt: skip
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        statement: Any = postgresql_insert(table)
    else:
        from sqlalchemy.dialects.sqlite import insert

        statement = insert(table)
    new, changes = statement.excluded, {}
    for column in table.columns:
        if column.primary_key:
            continue
        added = new[column.name]
        if column.name in least:
            changes[column.name] = sa.case((column > added, added), else_=column)
        elif column.name in most:
            changes[column.name] = sa.case((column < added, added), else_=column)
        else:
            changes[column.name] = column + added
    key = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=key, set_=changes)
