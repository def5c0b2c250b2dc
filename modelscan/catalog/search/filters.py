"""The filters of a query, as full-text words, flags and comparisons, and applied to one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.index.search_words import mark

if TYPE_CHECKING:
    from modelscan.catalog.search.query import Query, Row


def passes(row: Row, query: Query) -> bool:
    """True if a row passes the filters."""
    filters = {"modality": query.modalities, "license": (query.license,), "task": (query.task,),
             "family": (query.family,), "source": (query.source,)}  # fmt: skip
    facts = {"modality": row.modalities or (), "license": (row.license or "").split(", "),
           "task": (row.task,), "family": (row.family,), "source": row.sources}  # fmt: skip
    stated = {mark(kind, value) for kind, values in facts.items() for value in values if value}
    filter_marks = {
        mark(kind, value) for kind, values in filters.items() for value in values if value
    }
    limits = (
        (query.min_context_tokens, row.context_tokens, 1),
        (query.max_memory_bytes, row.memory_bytes, -1),
        (query.max_parameters, row.parameters, -1),
    )
    return (
        filter_marks <= stated
        and query.open_weights in (None, row.open_weights)
        and all(getattr(row, n) for n in ("tools", "reasoning", "vision") if getattr(query, n))
        and all(b is None or (v is not None and (v - b) * sign >= 0) for b, v, sign in limits)
    )


def flags(query: Query) -> list[str]:
    opened = {True: ["open"], False: ["closed"], None: []}[query.open_weights]
    return opened + [n for n in ("tools", "reasoning", "vision") if getattr(query, n)]


def marks(query: Query, *, with_flags: bool = True) -> list[str]:
    """The filters that are full-text words, quoted."""
    pairs = [("flag", name) for name in flags(query)] if with_flags else []
    pairs += [("modality", name) for name in query.modalities]
    for kind in ("family", "license", "source", "task"):
        value = getattr(query, kind)
        pairs += [(kind, value)] if value else []
    return [f'"{mark(kind, value)}"' for kind, value in pairs]


def bounds(query: Query) -> tuple[list[str], list[object]]:
    """The filters that compare numbers; unknown values never match."""
    comparisons = (
        ("f.context >= ?", query.min_context_tokens),
        ("f.memory <= ?", query.max_memory_bytes),
        ("f.parameters <= ?", query.max_parameters),
    )
    active = [(condition, value) for condition, value in comparisons if value is not None]
    return [condition for condition, _ in active], [value for _, value in active]
