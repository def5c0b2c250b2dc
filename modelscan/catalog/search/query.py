"""Searching the index: what matches, in a stable order, within a few milliseconds.

Tiers, each in the order of popularity (= row number): the very name, then those of
``search_match``. Nothing found: words are corrected by one typo, then one may be missing.
"""

# ruff: noqa: S608 - statements are put together from this file's constants; values are bound

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.read import Index
from modelscan.catalog.index.words import (
    FLAGS,
    KINDS,
    is_packing,
    mark,
    query_words,
    spelling,
    words,
)
from modelscan.catalog.search.match import anywhere, tiers

_FEW, _MANY_MORE = 3, 10  # so few matches may be a typo, if its correction has so many more
SORTS = ("relevance", "release", "params", "context", "downloads")
_ORDER = {  # sort -> column of the narrow table; descending puts unknown last
    "release": "release", "params": "parameters", "context": "context", "downloads": "downloads",
}  # fmt: skip
_EXACT_KINDS = (
    NameKind.ID,
    NameKind.SHORT,
    NameKind.ALIAS,
    NameKind.REPOSITORY,
    NameKind.WEIGHTS,
    NameKind.DISPLAY,
)
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


class SearchPage(NamedTuple):
    """``total`` counts every match, ``rows`` are the page asked for. ``corrected`` is the query
    that was answered where the one asked has no match."""

    total: int
    rows: tuple[Row, ...] = ()
    corrected: str | None = None


def search(index: Index, query: Query) -> SearchPage:
    """The page of matches; an empty text matches everything."""
    words = query_words(query.text)
    if not words:
        return _everything(index, query)
    found = _matching(index, query, words)
    if found.total >= _FEW or query.offset:
        return found
    from modelscan.catalog.search.typos import correct

    fixed = correct(index, words)
    if fixed != words:
        again = _matching(index, query._replace(text=" ".join(fixed)), fixed)
        if again.total > found.total * _MANY_MORE:
            return again._replace(corrected=" ".join(fixed))
    return found if found.total else _without_one_word(index, query, fixed)


def _without_one_word(index: Index, query: Query, words: list[str]) -> SearchPage:
    """A query with one word too many: of two words the one that is no kind of model, else any.

    Words without digits are given up first, the shortest of them, the first word last.
    """
    if len(words) == 2:
        given_up = [w for w in words if w not in KINDS] if KINDS.intersection(words) else []
    else:
        rank = {w: (any(c.isdigit() for c in w), i == 0, len(w), w) for i, w in enumerate(words)}
        given_up = sorted(words, key=rank.__getitem__) if len(words) > 2 else []
    for word in given_up:
        kept = [w for w in words if w != word]
        text = " ".join(kept)
        found = _matching(index, query._replace(text=text), kept)
        if found.total:
            return found._replace(corrected=text)
    return SearchPage(0)


def _everything(index: Index, query: Query) -> SearchPage:
    """No words: the narrow table alone, in the order of its rows or of an index."""
    where, values = _bounds(query)
    flags = sum(FLAGS[name] for name in _flags(query))
    named = _marks(query, flags=False)
    if flags:
        where.append(f"f.flags & {flags} = {flags}")
    if named:
        where.append("f.rowid IN (SELECT rowid FROM text WHERE text MATCH ?)")
        values.append(" AND ".join(named))
    total = _total(index, query, "", where, values)
    order = f"f.{_ORDER[query.sort]} DESC, f.rowid" if query.sort in _ORDER else "f.rowid"
    ordered = [f"+{condition}" for condition in where]  # walk in order, test each row
    sql = f"SELECT f.rowid FROM facet f{_where(ordered)} ORDER BY {order} LIMIT ? OFFSET ?"
    limit = -1 if query.limit is None else query.limit
    numbers = [r[0] for r in index.connection.execute(sql, [*values, limit, query.offset])]
    return SearchPage(total, tuple(rows_by_number(index, numbers)))


def _matching(index: Index, query: Query, words: Sequence[str]) -> SearchPage:
    """Models with every word and every filter; filters by name are words of the text too."""
    where, values = _bounds(query)
    match = " AND ".join([anywhere(index, words), *_marks(query)])
    total = _total(index, query, match, where, values)
    total += _exact_variant_names(index, query, match, where, values)
    if not total:
        return SearchPage(0)
    end = total if query.limit is None else min(total, query.offset + query.limit)
    if query.sort in _ORDER:
        conditions = " AND ".join(["text MATCH ?", *where])
        order = f"f.{_ORDER[query.sort]} DESC, f.rowid"
        sql = f"SELECT f.rowid {_JOIN} WHERE {conditions} ORDER BY {order} LIMIT ?"
        numbers = [r[0] for r in index.connection.execute(sql, [match, *values, end])]
    else:
        numbers = _tiers(index, query, words, end)
    return SearchPage(total, tuple(rows_by_number(index, numbers[query.offset :])))


_JOIN = "FROM text JOIN facet f ON f.rowid = text.rowid"


def _total(index: Index, query: Query, match: str, where: list[str], values: list[object]) -> int:
    """How many match: by the full text alone unless a number bounds them."""
    if not match and not where:
        return index.count()
    bounded = bool(_bounds(query)[0])
    if not bounded:
        found = match or " AND ".join(_marks(query))
        return _scalar(index, "SELECT count(*) FROM text WHERE text MATCH ?", [found])
    if match:
        conditions = " AND ".join(["text MATCH ?", *where])
        return _scalar(index, f"SELECT count(*) {_JOIN} WHERE {conditions}", [match, *values])
    scan = where if len(where) == 1 else [f"+{condition}" for condition in where]
    return _scalar(index, f"SELECT count(*) FROM facet f{_where(scan)}", values)


def _exact_variant_names(
    index: Index, query: Query, match: str, where: list[str], values: list[object]
) -> int:
    """How many models match only by an exact name, such as a variant's repository."""
    if query.sort in _ORDER:
        return 0
    rows = _exact(index, query)
    if not rows:
        return 0
    conditions = " AND ".join(
        ["text MATCH ?", f"text.rowid IN ({','.join('?' * len(rows))})", *where]
    )
    sql = f"SELECT count(*) {_JOIN} WHERE {conditions}"
    return len(rows) - _scalar(index, sql, [match, *rows, *values])


def _tiers(index: Index, query: Query, words: Sequence[str], wanted: int) -> list[int]:
    """Row numbers in the order of relevance, each once, until ``wanted`` are found."""
    where, values = _bounds(query)
    marks = _marks(query)
    numbers: dict[int, None] = dict.fromkeys(_exact(index, query))
    source = _JOIN if where else "FROM text"
    conditions = " AND ".join(["text MATCH ?", *where])
    sql = f"SELECT text.rowid {source} WHERE {conditions} ORDER BY text.rowid LIMIT ?"
    for tier in tiers(index, words):
        if len(numbers) >= wanted:
            break
        match = " AND ".join([f"({tier})", *marks])
        found = index.connection.execute(sql, [match, *values, wanted])
        numbers.update(dict.fromkeys(r[0] for r in found))
    return list(numbers)[:wanted]


def _exact(index: Index, query: Query) -> list[int]:
    """Models with exactly that name that pass the filters; the shortest id first."""
    named = index.by_name(query.text.strip(), _EXACT_KINDS)
    named += index.by_name(spelling(query.text), (NameKind.SPELLING,))
    found = {row for _, row in named} | _by_weight_format(index, query.text)
    rows = rows_by_number(index, sorted(found))
    return [r.row for r in sorted(rows, key=lambda r: (len(r.id), r.row)) if _passes(r, query)]


def _by_weight_format(index: Index, text: str) -> set[int]:
    """``qwen3 8b gguf``: the model of that name that has weights in that format."""
    said = words(text.rpartition("/")[2])
    packed = [word for word in said if is_packing(word)]
    name = spelling(" ".join(word for word in said if not is_packing(word)))
    rows = [row for _, row in index.by_name(name, (NameKind.SPELLING,))] if packed else []
    if not rows:
        return set()
    sql = f"SELECT rowid FROM text WHERE text MATCH ? AND rowid IN ({','.join('?' * len(rows))})"
    match = " AND ".join(f'"{word}"' for word in packed)
    return {row[0] for row in index.connection.execute(sql, [match, *rows])}


def _passes(row: Row, query: Query) -> bool:
    """The filters, of one row."""
    asked = {"modality": query.modalities, "license": (query.license,), "task": (query.task,),
             "family": (query.family,), "source": (query.source,)}  # fmt: skip
    has = {"modality": row.modalities, "license": (row.license or "").split(", "),
           "task": (row.task,), "family": (row.family,), "source": row.sources}  # fmt: skip
    marks = {mark(kind, value) for kind, values in has.items() for value in values if value}
    wanted = {mark(kind, value) for kind, values in asked.items() for value in values if value}
    bounds = (
        (query.min_context_tokens, row.context_tokens, 1),
        (query.max_memory_bytes, row.memory_bytes, -1),
        (query.max_parameters, row.parameters, -1),
    )
    return (
        wanted <= marks
        and query.open_weights in (None, row.open_weights)
        and all(getattr(row, n) for n in ("tools", "reasoning", "vision") if getattr(query, n))
        and all(b is None or (v is not None and (v - b) * sign >= 0) for b, v, sign in bounds)
    )


def _flags(query: Query) -> list[str]:
    opened = {True: ["open"], False: ["closed"], None: []}[query.open_weights]
    return opened + [n for n in ("tools", "reasoning", "vision") if getattr(query, n)]


def _marks(query: Query, *, flags: bool = True) -> list[str]:
    """The filters that are words of the text, quoted."""
    pairs = [("flag", name) for name in _flags(query)] if flags else []
    pairs += [("modality", name) for name in query.modalities]
    for kind in ("family", "license", "source", "task"):
        value = getattr(query, kind)
        pairs += [(kind, value)] if value else []
    return [f'"{mark(kind, value)}"' for kind, value in pairs]


def _bounds(query: Query) -> tuple[list[str], list[object]]:
    """The filters that compare numbers; unknown ones never match."""
    given = (
        ("f.context >= ?", query.min_context_tokens),
        ("f.memory <= ?", query.max_memory_bytes),
        ("f.parameters <= ?", query.max_parameters),
    )
    kept = [(condition, value) for condition, value in given if value is not None]
    return [condition for condition, _ in kept], [value for _, value in kept]


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _scalar(index: Index, sql: str, values: Sequence[object]) -> int:
    return int(index.connection.execute(sql, list(values)).fetchone()[0])


def rows_by_number(index: Index, numbers: Sequence[int]) -> list[Row]:
    """The rows of these numbers, in that order."""
    found: dict[int, Row] = {}
    for start in range(0, len(numbers), 500):
        some = list(numbers[start : start + 500])
        sql = f"SELECT m.* FROM model m WHERE m.rowid IN ({','.join('?' * len(some))})"
        found |= {r[0]: _row(r) for r in index.connection.execute(sql, some)}
    return [found[number] for number in numbers if number in found]


def _row(values: Sequence[object]) -> Row:
    named: dict[str, object] = dict(zip(_FIELDS, values[1:], strict=True))
    for name in _BOOLEANS:
        named[name] = None if named[name] is None else bool(named[name])
    for name in _LISTS:
        named[name] = tuple(w for w in str(named[name] or "").split(",") if w)
    return Row(row=int(str(values[0])), **named)  # type: ignore[arg-type]
