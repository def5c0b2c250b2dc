"""Searching the index: what matches, in a stable order, within a few milliseconds.

Three tiers, each in the order of popularity (= row number): the very name, every word in the
model's own name, every word anywhere (family, lab, task, what it can do). A word may be the
beginning of a longer one. Nothing found: words are corrected by one typo, then one may be missing.
"""

# ruff: noqa: S608 - statements are put together from this file's constants; values are bound

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modelscan.catalog.index_read import Index
from modelscan.catalog.search_words import KINDS, deletions, distance, query_words, spelling

_FEW, _MANY_MORE = 3, 10  # so few matches may be a typo, if its correction has so many more
SORTS = ("relevance", "release", "params", "context", "downloads")
_ORDER = {
    "release": "m.release DESC NULLS LAST, m.rowid",
    "params": "m.parameters DESC NULLS LAST, m.rowid",
    "context": "m.context DESC NULLS LAST, m.rowid",
    "downloads": "m.downloads DESC NULLS LAST, m.rowid",
}
_SPELLING = 7
_EXACT_KINDS = (0, 1, 2, 3, 4)  # id, short name, alias, repository, weights
_FIELDS = (
    "id", "name", "family", "license", "task", "lab", "open_weights", "parameters",
    "active_parameters", "context_tokens", "release_date", "downloads", "tools", "reasoning",
    "vision", "modalities", "memory_bytes", "memory_for", "memory_basis",
    "sources", "providers", "variants",
)  # fmt: skip
_BOOLEANS = ("open_weights", "tools", "reasoning", "vision")
_LISTS = ("modalities", "sources")


class Query(NamedTuple):
    """What to find. A filter never matches a model for which the fact is unknown."""

    text: str = ""
    open_weights: bool | None = None
    source: str | None = None
    family: str | None = None
    license: str | None = None
    modalities: tuple[str, ...] = ()
    task: str | None = None
    tools: bool = False
    reasoning: bool = False
    vision: bool = False
    min_context_tokens: int | None = None
    max_memory_bytes: int | None = None
    max_parameters: int | None = None
    sort: str = "relevance"
    limit: int | None = 20
    offset: int = 0


class Row(NamedTuple):
    """A model in a list: what the narrow table knows.

    ``memory_bytes`` is the least it can run in, ``memory_for`` the weights that takes,
    ``memory_basis`` what it was computed from (files | parameters | estimate).
    """

    row: int
    id: str
    name: str
    family: str | None
    license: str | None
    task: str | None
    lab: str | None
    open_weights: bool | None
    parameters: int | None
    active_parameters: int | None
    context_tokens: int | None
    release_date: str | None
    downloads: int | None
    tools: bool | None
    reasoning: bool | None
    vision: bool | None
    modalities: tuple[str, ...]
    memory_bytes: int | None
    memory_for: str | None
    memory_basis: str | None
    sources: tuple[str, ...]
    providers: int
    variants: int


class Found(NamedTuple):
    """``total`` counts every match, ``rows`` are the page asked for. ``corrected`` is the query
    that was answered where the one asked has no match."""

    total: int
    rows: tuple[Row, ...] = ()
    corrected: str | None = None


def search(index: Index, query: Query) -> Found:
    """The page of matches; an empty text matches everything."""
    words = query_words(query.text)
    if not words:
        return _everything(index, query)
    found = _matching(index, query, words)
    if found.total >= _FEW or query.offset:
        return found
    fixed = correct(index, words)
    if fixed != words:
        again = _matching(index, query, fixed)
        if again.total > found.total * _MANY_MORE:
            return again._replace(corrected=" ".join(fixed))
    return found if found.total else _all_but_one(index, query, fixed)


def _all_but_one(index: Index, query: Query, words: list[str]) -> Found:
    """A longer query with one word too many; the shortest words are given up first."""
    if len(words) < 3:
        return Found(0)
    for given_up in sorted(words, key=lambda w: (len(w), w)):
        kept = [w for w in words if w != given_up]
        found = _matching(index, query, kept)
        if found.total:
            return found._replace(corrected=" ".join(kept))
    return Found(0)


def _everything(index: Index, query: Query) -> Found:
    where, values = _filters(query)
    total = _scalar(index, f"SELECT count(*) FROM model m{_where(where)}", values)
    order = _ORDER.get(query.sort, "m.rowid")
    sql = f"SELECT m.* FROM model m{_where(where)} ORDER BY {order} LIMIT ? OFFSET ?"
    limit = -1 if query.limit is None else query.limit
    rows = index.connection.execute(sql, [*values, limit, query.offset])
    return Found(total, tuple(_row(r) for r in rows))


def _matching(index: Index, query: Query, words: Sequence[str]) -> Found:
    where, values = _filters(query)
    match = _match(words)
    if where:
        counted = f"SELECT count(*) {_JOIN} WHERE text MATCH ? AND {' AND '.join(where)}"
    else:
        counted = "SELECT count(*) FROM text WHERE text MATCH ?"
    total = _scalar(index, counted, [match, *values])
    if not total:
        return Found(0)
    if query.sort in _ORDER:
        conditions = " AND ".join(["text MATCH ?", *where])
        sql = (
            f"SELECT m.* {_JOIN} WHERE {conditions} ORDER BY {_ORDER[query.sort]} LIMIT ? OFFSET ?"
        )
        limit = -1 if query.limit is None else query.limit
        rows = index.connection.execute(sql, [match, *values, limit, query.offset])
        return Found(total, tuple(_row(r) for r in rows))
    end = total if query.limit is None else query.offset + query.limit
    page = list(_tiers(index, query, words, min(end, total)))[query.offset :]
    return Found(total, tuple(page))


_JOIN = "FROM text JOIN model m ON m.rowid = text.rowid"


def _tiers(index: Index, query: Query, words: Sequence[str], wanted: int) -> Iterator[Row]:
    """Rows in the order of relevance, each once, until ``wanted`` are found."""
    where, values = _filters(query)
    seen: set[int] = set()
    for found in _tier_queries(index, query, words, where, values, wanted):
        for row in found:
            if row.row not in seen and len(seen) < wanted:
                seen.add(row.row)
                yield row
        if len(seen) >= wanted:
            return


def _tier_queries(
    index: Index,
    query: Query,
    words: Sequence[str],
    where: list[str],
    values: list[object],
    wanted: int,
) -> Iterator[list[Row]]:
    named = index.by_name(query.text.strip(), _EXACT_KINDS)
    named += index.by_name(spelling(query.text), (_SPELLING,))
    if named:
        marks = ",".join("?" * len(named))
        conditions = " AND ".join([f"m.rowid IN ({marks})", *where])
        rows = list(dict.fromkeys(row for _, row in named))
        order = {row: place for place, row in reversed(list(enumerate(rows)))}
        sql = f"SELECT m.* FROM model m WHERE {conditions}"
        found = [_row(r) for r in index.connection.execute(sql, [*rows, *values])]
        yield sorted(found, key=lambda r: (len(r.id), order[r.row]))
    conditions = " AND ".join(["text MATCH ?", *where])
    sql = f"SELECT m.* {_JOIN} WHERE {conditions} ORDER BY text.rowid LIMIT ?"
    whole = " AND ".join(f'"{w}"' for w in words)
    tiers = [f"ident : ({whole})", f"ident : ({_match(words)})", _match(words)]
    if KINDS.issuperset(words):  # a kind of model is asked for, not a name
        tiers = [whole, _match(words)]
    for match in tiers:
        yield [_row(r) for r in index.connection.execute(sql, [match, *values, wanted])]


def _match(words: Sequence[str]) -> str:
    """Every word, the beginning of a word counting from two characters on."""
    return " AND ".join(f'"{w}"*' if len(w) > 1 else f'"{w}"' for w in words)


def _filters(query: Query) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []

    def add(condition: str, *given: object) -> None:
        where.append(condition)
        values.extend(given)

    if query.open_weights is not None:
        add("m.open = ?", int(query.open_weights))
    for name in ("tools", "reasoning", "vision"):
        if getattr(query, name):
            add(f"m.{name} = 1")
    for condition, value in (
        ("m.family = ? COLLATE NOCASE", query.family),
        ("m.task = ?", query.task),
        ("', ' || m.license || ', ' LIKE ?", query.license and f"%, {query.license}, %"),
        ("m.sources LIKE ?", query.source and f"%,{query.source},%"),
        ("m.context >= ?", query.min_context_tokens),
        ("m.memory <= ?", query.max_memory_bytes),
        ("m.parameters <= ?", query.max_parameters),
        *(("m.modalities LIKE ?", f"%,{word},%") for word in query.modalities),
    ):
        if value is not None:
            add(condition, value)
    return where, values


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _scalar(index: Index, sql: str, values: Sequence[object]) -> int:
    return int(index.connection.execute(sql, list(values)).fetchone()[0])


def rows_by_number(index: Index, numbers: Sequence[int]) -> list[Row]:
    """The rows of these numbers, in that order."""
    marks = ",".join("?" * len(numbers))
    sql = f"SELECT m.* FROM model m WHERE m.rowid IN ({marks})"
    found = {r[0]: _row(r) for r in index.connection.execute(sql, list(numbers))}
    return [found[number] for number in numbers if number in found]


def _row(values: Sequence[object]) -> Row:
    named: dict[str, object] = dict(zip(_FIELDS, values[1:], strict=True))
    for name in _BOOLEANS:
        named[name] = None if named[name] is None else bool(named[name])
    for name in _LISTS:
        named[name] = tuple(w for w in str(named[name] or "").split(",") if w)
    return Row(row=int(str(values[0])), **named)  # type: ignore[arg-type]


def correct(index: Index, words: Sequence[str]) -> list[str]:
    """Words that no model has, replaced by the most frequent one a typo away."""
    return [_corrected(index, word) for word in words]


def _corrected(index: Index, word: str) -> str:
    letters = word.rstrip("0123456789.")
    rest = word[len(letters) :]
    if len(letters) < 3 or not letters.isalpha() or _known(index, letters):
        return word
    near = sorted({letters, *deletions(letters)})
    marks = ",".join("?" * len(near))
    sql = (
        f"SELECT word, models FROM word WHERE word IN ({marks}) UNION "
        f"SELECT t.word, w.models FROM typo t JOIN word w ON w.word = t.word "
        f"WHERE t.deletion IN ({marks})"
    )
    found = index.connection.execute(sql, [*near, *near]).fetchall()
    ranked = sorted((distance(letters, w), w[0] != letters[0], -n, w) for w, n in found)
    return ranked[0][3] + rest if ranked and ranked[0][0] < 3 else word


def _known(index: Index, word: str) -> bool:
    """It is a whole word of some model."""
    sql = "SELECT 1 FROM word WHERE word = ?"
    return index.connection.execute(sql, (word,)).fetchone() is not None
