"""Finds the one model for the text of a MODEL argument, or the reason why there is none."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.search_words import letters, query_words, spelling, words
from modelscan.catalog.search.query import search
from modelscan.catalog.search.spelled_names import (
    note,
    ollama_row,
    without_format,
    without_service,
)
from modelscan.catalog.search.types import Query
from modelscan.catalog.search.typos import correct
from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.reference import Kind, parse_reference
from modelscan.state.bundled import examples_dir

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

DEMO_FILE = "demo-model.gguf"
_CANDIDATES = 8
_FOREIGN = re.compile(r"[^\w\s.:@/+~()–-]")  # not in any model's name
# The kinds of names, the most certain first.
_STEPS: tuple[tuple[NameKind, ...], ...] = (
    (NameKind.ID,),
    (NameKind.OFFERING,),
    (NameKind.REPOSITORY,),
    (NameKind.ALIAS,),
    (NameKind.SHORT,),
    (NameKind.DISPLAY,),
    (NameKind.WEIGHTS, NameKind.MODELSCOPE_ID),
)
# Several models with one of these names have the same weights.
_OF_WEIGHTS = frozenset((NameKind.REPOSITORY, NameKind.WEIGHTS, NameKind.MODELSCOPE_ID))
_HUB_STEPS = {
    Kind.HUGGINGFACE: ((NameKind.REPOSITORY,), (NameKind.WEIGHTS,)),
    Kind.MODELSCOPE: ((NameKind.MODELSCOPE_ID,),),
}


def find_model(text: str, paths: Paths) -> Model:
    """The model for ``text``: an id, an offering, a repository (also of a variant), an alias, a
    short name, a hub URL, or words that match only one model.

    Raises UsageError (exit 2) with the candidates if it is ambiguous, with the nearest names if it
    is unknown.
    """
    index = open_index(paths)
    try:
        return load_model(index, find_row(index, text))
    finally:
        index.close()


def find_noted(text: str, paths: Paths) -> tuple[Model, tuple[str, ...]]:
    """``find_model``, and notes about how the name was read (Ollama's names, base models)."""
    index = open_index(paths)
    try:
        named = _named(index, text)
        model = load_model(index, find_row(index, text) if named is None else named)
        name = parse_reference(text).value
        noted = note(index, name, model)
        if named is None and noted is None and "/" not in name:
            noted = f"{name} is read as {model.id}, the only model that its words match"
    finally:
        index.close()
    return model, (noted,) if noted else ()


def find_known(text: str, paths: Paths) -> Model | None:
    """Like ``find_model``, but None if the catalog does not have exactly that name."""
    index = open_index(paths)
    try:
        row = _named(index, text)
        return None if row is None else load_model(index, row)
    finally:
        index.close()


def load_model(index: Index, row: int) -> Model:
    """A model of the index, with the path of the bundled demo file on this machine."""
    model = index.model(row)
    if not any(v.source == "local_path" and v.repo == DEMO_FILE for v in model.variants):
        return model
    path = str(examples_dir() / DEMO_FILE)
    with_path = (replace(v, repo=path) if v.repo == DEMO_FILE else v for v in model.variants)
    return replace(model, variants=tuple(with_path))


def find_row(index: Index, text: str) -> int:
    """The row of the one model. Raises UsageError like ``find_model``."""
    row = _named(index, text)
    if row is not None:
        return row
    reference = parse_reference(text)
    if reference.kind in _HUB_STEPS:
        raise _unknown(index, reference.value, hub=True)
    if reference.kind in (Kind.PATH, Kind.NEIGHBOUR):
        what = "a path" if reference.kind is Kind.PATH else "another program's model"
        raise UsageError(
            f"'{text}' is {what}, not a model of the catalog",
            hint=f"modelscan plan {text}",
            code="not_in_catalog",
        )
    if not _could_be_a_name(text):
        raise _unknown(index, text)
    row = _hosted(index, text)
    return _searched(index, text) if row is None else row


def _searched(index: Index, text: str) -> int:
    """The only model with these words. Raises UsageError if none or several have them."""
    page = search(index, Query(text=text, limit=_CANDIDATES))
    ids = [row.id for row in page.rows]
    if page.total and page.corrected is None:
        if page.total > 1:
            raise ambiguous(text, ids, page.total)
        if _has_words(index.model(page.rows[0].row), text):
            return page.rows[0].row
        raise _unknown(index, text, ids)
    joined = _joined(index, text)
    if joined is not None:
        return joined
    host, _, rest = text.partition("/")
    if "/" in rest and index.is_provider(host):
        return find_row(index, rest)
    raise _unknown(index, text, ids)


def _joined(index: Index, text: str) -> int | None:
    """The only model whose name has the same letters and digits: ``gptoss-20b``; an owner in the
    text is not guessed over.
    """
    if "/" in text:
        return None
    wanted = letters(text)
    ids = [one for one in index.all_ids() if letters(one.rpartition("/")[2]) == wanted]
    return index.by_name(ids[0], (NameKind.ID,))[0][1] if len(ids) == 1 else None


def _named(index: Index, text: str) -> int | None:
    """The row with exactly that name. Raises UsageError if several have it."""
    reference = parse_reference(text)
    steps = _HUB_STEPS.get(reference.kind, _STEPS)
    for kinds in steps:
        rows = list(dict.fromkeys(row for _, row in index.by_name(reference.value, kinds)))
        if len(rows) == 1 or (rows and _OF_WEIGHTS.issuperset(kinds)):
            return _first_owner(index, rows, reference.value)
        if rows:
            raise ambiguous(text, index.ids(rows[:_CANDIDATES]), len(rows))
    if reference.kind is Kind.NAME and _could_be_a_name(text):
        return _spelled(index, reference.value)
    return None


def _spelled(index: Index, text: str) -> int | None:
    """The row that other programs' spellings and the providers' names mean, if they agree."""
    row = ollama_row(index, text)
    if row is not None:
        return row
    for kind in (NameKind.SPELLING, NameKind.HOSTED):
        rows = list(dict.fromkeys(row for _, row in index.by_name(spelling(text), (kind,))))
        if len(rows) == 1:
            return rows[0]
    plain = without_service(text) or without_format(text)
    return None if plain is None else _named(index, plain)


def _hosted(index: Index, text: str) -> int | None:
    if "/" not in text:
        return None
    from modelscan.catalog.search.hosted_ids import hosted_row

    return hosted_row(index, text)


def _could_be_a_name(text: str) -> bool:
    """True if the text has a letter or digit and no character that names never contain."""
    return bool(words(text)) and not _FOREIGN.search(text)


def _has_words(model: Model, text: str) -> bool:
    """True if the model's names contain each word, including words that a search ignores."""
    repos = (variant.repo for variant in model.variants)
    names = " ".join((model.id, model.name, *model.aliases, *repos)).lower()
    return all(word in names for word in words(text))


def _first_owner(index: Index, rows: list[int], repo: str) -> int:
    """Of several models with the same weights, the one whose name is nearest to the
    repository's.
    """
    if len(rows) == 1:
        return rows[0]
    name = repo.rpartition("/")[2].lower()
    ids = dict(zip(rows, index.ids(rows), strict=True))
    return min(rows, key=lambda r: (ids[r].rpartition("/")[2] != name, len(ids[r]), r))


def ambiguous(text: str, candidates: list[str], total: int) -> UsageError:
    """The error for an ambiguous name (exit 2), with the candidates."""
    more = f" and {total - len(candidates)} more" if total > len(candidates) else ""
    return UsageError(
        f"'{text}' matches {total} models: {', '.join(candidates)}{more}",
        hint=f"modelscan catalog search {shlex.quote(text)}"
        if more
        else f"modelscan catalog info {candidates[0]}",
        code="ambiguous_model",
        details={"candidates": candidates, "total": total},
    )


def _unknown(
    index: Index, text: str, near: list[str] | None = None, *, hub: bool = False
) -> UsageError:
    alike = nearest(text, index.all_ids(), limit=5, cutoff=0.7, spelled=letters)
    names = list(dict.fromkeys([*alike, *(near or _by_words(index, text))]))
    what = f"the catalog has no repository '{text}'" if hub else f"no model '{text}'"
    where = f"; nearest: {', '.join(names[:5])}" if names else ""
    return UsageError(
        what + where,
        hint=f"modelscan catalog info {names[0]}" if names else "modelscan catalog search",
        code="unknown_model",
        details={"nearest": names[:5]},
    )


def _by_words(index: Index, text: str) -> list[str]:
    """Ids that match the words of ``text`` after correction, best first."""
    words = correct(index, query_words(text.replace("/", " ")))
    for count in range(len(words), 0, -1):
        page = search(index, Query(text=" ".join(words[:count]), limit=5))
        if page.rows:
            return [row.id for row in page.rows]
    return []
