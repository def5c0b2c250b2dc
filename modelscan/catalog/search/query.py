"""Searches the index within a few milliseconds, with a stable order.

Matches are ordered by tier, within a tier by popularity (= row number): exact names first, then the
tiers of ``match``. If nothing matches, words are corrected by one typo, then one is dropped.
"""

# ruff: noqa: S608 - statements consist of this file's constants; values are bound

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.search_words import (
    FLAGS,
    KINDS,
    is_packing,
    query_words,
    spelling,
    words,
)
from modelscan.catalog.search.filters import bounds, flags, marks, passes
from modelscan.catalog.search.match import anywhere, tiers
from modelscan.catalog.search.use_cases import USE_CASES, for_use, order_by, ranked

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.use_cases import Score

_FEW, _MANY_MORE = 3, 10  # fewer matches may be a typo, if its correction has this many times more
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
    """A search. A filter never matches a model for which the fact is unknown."""

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
    use: str | None = None  # a name in USE_CASES: filters and ranks
    sort: str = "relevance"
    limit: int | None = 20
    offset: int = 0


class Row(NamedTuple):
    """A model in a list: the columns of the narrow table.

    ``memory_bytes``: the minimum memory to run it, ``memory_for``: with which weights,
    ``memory_basis``: computed from files, parameters or an estimate.
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
    modalities: tuple[str, ...] | None  # None = unknown
    memory_bytes: int | None
    memory_for: str | None
    memory_basis: str | None
    sources: tuple[str, ...]
    providers: int
    variants: int
    score: Score | None = None  # the public score that placed it in a list for a use


class SearchPage(NamedTuple):
    """A page of results.

    ``total`` is the number of matches, ``rows`` the requested page. ``corrected`` is the query that
    was used instead of one without matches. ``without_filters``: the number of models that match
    the text if none of them passes the filters.
    """

    total: int
    rows: tuple[Row, ...] = ()
    corrected: str | None = None
    without_filters: int | None = None


def unfiltered(query: Query) -> Query:
    """The query with only its text, order and page."""
    return Query(query.text, use=query.use, sort=query.sort, limit=query.limit, offset=query.offset)


def search(index: Index, query: Query) -> SearchPage:
    """The page of matches; an empty text matches everything, one of only signs nothing."""
    query = for_use(query)
    words = query_words(query.text)
    if not words:
        return SearchPage(0) if query.text.strip() else _everything(index, query)
    page = _matching(index, query, words)
    if page.total >= _FEW or query.offset:
        return page
    plain = for_use(unfiltered(query))
    if not page.total and plain != query:
        without_filters = _matching(index, plain, words).total
        if without_filters:
            return SearchPage(0, without_filters=without_filters)
    from modelscan.catalog.search.typos import correct

    corrected_words = correct(index, words)
    if corrected_words != words:
        corrected_page = _matching(
            index, query._replace(text=" ".join(corrected_words)), corrected_words
        )
        if corrected_page.total > page.total * _MANY_MORE:
            return corrected_page._replace(corrected=" ".join(corrected_words))
    return page if page.total else _without_one_word(index, query, corrected_words)


def _without_one_word(index: Index, query: Query, words: list[str]) -> SearchPage:
    """Search without one word: of two words, the one that is not a kind of model, else any.

    Words without digits are dropped first, the shortest of them first, the first word last.
    """
    if len(words) == 2:
        droppable = [w for w in words if w not in KINDS] if KINDS.intersection(words) else []
    else:
        rank = {w: (any(c.isdecimal() for c in w), i == 0, len(w), w) for i, w in enumerate(words)}
        droppable = sorted(words, key=rank.__getitem__) if len(words) > 2 else []
    for word in droppable:
        remaining = [w for w in words if w != word]
        text = " ".join(remaining)
        page = _matching(index, query._replace(text=text), remaining)
        if page.total:
            return page._replace(corrected=text)
    return SearchPage(0)


def _everything(index: Index, query: Query) -> SearchPage:
    """All models that pass the filters, in the order of rows or of an index."""
    where, values = bounds(query)
    bits = sum(FLAGS[name] for name in flags(query))
    terms = marks(query, with_flags=False)
    if bits:
        where.append(f"f.flags & {bits} = {bits}")
    if terms:
        where.append("f.rowid IN (SELECT rowid FROM text WHERE text MATCH ?)")
        values.append(" AND ".join(terms))
    total = _total(index, query, "", where, values)
    if query.use:
        return _page_for_use(index, query, f"FROM facet f{_where(where)}", values)
    order = f"f.{_ORDER[query.sort]} DESC, f.rowid" if query.sort in _ORDER else "f.rowid"
    ordered = [f"+{condition}" for condition in where]  # walk in order, test each row
    sql = f"SELECT f.rowid FROM facet f{_where(ordered)} ORDER BY {order} LIMIT ? OFFSET ?"
    limit = -1 if query.limit is None else query.limit
    numbers = [r[0] for r in index.connection.execute(sql, [*values, limit, query.offset])]
    return SearchPage(total, tuple(rows_by_number(index, numbers)))


def _matching(index: Index, query: Query, words: Sequence[str]) -> SearchPage:
    """Models with all words that pass all filters; filters by name are full-text words too."""
    where, values = bounds(query)
    match = " AND ".join([anywhere(index, words), *marks(query)])
    total = _total(index, query, match, where, values)
    total += _exact_variant_names(index, query, match, where, values)
    if not total:
        return SearchPage(0)
    if query.use:
        conditions = " AND ".join(["text MATCH ?", *where])
        return _page_for_use(index, query, f"{_JOIN} WHERE {conditions}", [match, *values])
    end = total if query.limit is None else min(total, query.offset + query.limit)
    if query.sort in _ORDER:
        conditions = " AND ".join(["text MATCH ?", *where])
        order = f"f.{_ORDER[query.sort]} DESC, f.rowid"
        sql = f"SELECT f.rowid {_JOIN} WHERE {conditions} ORDER BY {order} LIMIT ?"
        numbers = [r[0] for r in index.connection.execute(sql, [match, *values, end])]
    else:
        numbers = _tiers(index, query, words, end)
    return SearchPage(total, tuple(rows_by_number(index, numbers[query.offset :])))


def _page_for_use(
    index: Index, query: Query, matching: str, values: Sequence[object]
) -> SearchPage:
    """The requested page of the matching rows, ranked for the query's use.

    ``matching``: the rest of a statement that selects the rows.
    """
    use = USE_CASES[query.use or "chat"]
    sql = f"SELECT f.rowid {matching} ORDER BY {order_by(use)}"
    placed = ranked(index, use, [r[0] for r in index.connection.execute(sql, list(values))])
    end = None if query.limit is None else query.offset + query.limit
    page = placed[query.offset : end]
    rows = rows_by_number(index, [number for number, _ in page])
    scores = dict(page)
    return SearchPage(len(placed), tuple(row._replace(score=scores[row.row]) for row in rows))


_JOIN = "FROM text JOIN facet f ON f.rowid = text.rowid"


def _total(index: Index, query: Query, match: str, where: list[str], values: list[object]) -> int:
    """The number of matches, by full text alone unless a number is limited."""
    if not match and not where:
        return index.count()
    bounded = bool(bounds(query)[0])
    if not bounded:
        expression = match or " AND ".join(marks(query))
        return _scalar(index, "SELECT count(*) FROM text WHERE text MATCH ?", [expression])
    if match:
        conditions = " AND ".join(["text MATCH ?", *where])
        return _scalar(index, f"SELECT count(*) {_JOIN} WHERE {conditions}", [match, *values])
    scan = where if len(where) == 1 else [f"+{condition}" for condition in where]
    return _scalar(index, f"SELECT count(*) FROM facet f{_where(scan)}", values)


def _exact_variant_names(
    index: Index, query: Query, match: str, where: list[str], values: list[object]
) -> int:
    """The number of models that match only by an exact name, such as a variant's repository."""
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


def _tiers(index: Index, query: Query, words: Sequence[str], count: int) -> list[int]:
    """Row numbers in order of relevance, each once, at most ``count``."""
    where, values = bounds(query)
    terms = marks(query)
    numbers: dict[int, None] = dict.fromkeys(_exact(index, query))
    source = _JOIN if where else "FROM text"
    conditions = " AND ".join(["text MATCH ?", *where])
    sql = f"SELECT text.rowid {source} WHERE {conditions} ORDER BY text.rowid LIMIT ?"
    for tier in tiers(index, words):
        if len(numbers) >= count:
            break
        match = " AND ".join([f"({tier})", *terms])
        rows = index.connection.execute(sql, [match, *values, count])
        numbers.update(dict.fromkeys(r[0] for r in rows))
    return list(numbers)[:count]


def _exact(index: Index, query: Query) -> list[int]:
    """Models with exactly that name that pass the filters, the shortest id first."""
    name_rows = index.by_name(query.text.strip(), _EXACT_KINDS)
    name_rows += index.by_name(spelling(query.text), (NameKind.SPELLING,))
    numbers = {row for _, row in name_rows} | _by_weight_format(index, query.text)
    rows = rows_by_number(index, sorted(numbers))
    return [r.row for r in sorted(rows, key=lambda r: (len(r.id), r.row)) if passes(r, query)]


def _by_weight_format(index: Index, text: str) -> set[int]:
    """``qwen3 8b gguf``: the models with that name that have weights in that format."""
    text_words = words(text.rpartition("/")[2])
    formats = [word for word in text_words if is_packing(word)]
    name = spelling(" ".join(word for word in text_words if not is_packing(word)))
    rows = [row for _, row in index.by_name(name, (NameKind.SPELLING,))] if formats else []
    if not rows:
        return set()
    sql = f"SELECT rowid FROM text WHERE text MATCH ? AND rowid IN ({','.join('?' * len(rows))})"
    match = " AND ".join(f'"{word}"' for word in formats)
    return {row[0] for row in index.connection.execute(sql, [match, *rows])}


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _scalar(index: Index, sql: str, values: Sequence[object]) -> int:
    return int(index.connection.execute(sql, list(values)).fetchone()[0])


def rows_by_number(index: Index, numbers: Sequence[int]) -> list[Row]:
    """The rows with these numbers, in that order."""
    by_number: dict[int, Row] = {}
    for start in range(0, len(numbers), 500):
        batch = list(numbers[start : start + 500])
        sql = f"SELECT m.* FROM model m WHERE m.rowid IN ({','.join('?' * len(batch))})"
        by_number |= {r[0]: _row(r) for r in index.connection.execute(sql, batch)}
    return [by_number[number] for number in numbers if number in by_number]


def _row(values: Sequence[object]) -> Row:
    columns: dict[str, object] = dict(zip(_FIELDS, values[1:], strict=True))
    for name in _BOOLEANS:
        columns[name] = None if columns[name] is None else bool(columns[name])
    for name in _LISTS:
        columns[name] = tuple(w for w in str(columns[name] or "").split(",") if w)
    columns["modalities"] = columns["modalities"] or None
    return Row(row=int(str(values[0])), **columns)  # type: ignore[arg-type]
