"""MODEL as a user writes it -> the one model it means, or why it means none or several."""

from __future__ import annotations

import re
from dataclasses import replace

from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.layout import NameKind
from modelscan.catalog.index.read import Index
from modelscan.catalog.index.words import letters, query_words, spelling, words
from modelscan.catalog.search.query import Query, search
from modelscan.catalog.search.typos import correct
from modelscan.core.errors import UsageError
from modelscan.core.model import Model
from modelscan.core.nearest import nearest
from modelscan.core.reference import Kind, parse_reference
from modelscan.state.bundled import examples_dir
from modelscan.state.paths import Paths

DEMO_FILE = "demo-model.gguf"
_CANDIDATES = 8
_FOREIGN = re.compile(r"[^\w\s.:@/+~()–-]")  # occurs in no model's name
# The kinds of names in the order of certainty.
_STEPS: tuple[tuple[NameKind, ...], ...] = (
    (NameKind.ID,),
    (NameKind.OFFERING,),
    (NameKind.REPOSITORY,),
    (NameKind.ALIAS,),
    (NameKind.SHORT,),
    (NameKind.DISPLAY,),
    (NameKind.WEIGHTS, NameKind.MODELSCOPE_ID),
)
# What these names mean is the same for several models: the same weights.
_OF_WEIGHTS = frozenset((NameKind.REPOSITORY, NameKind.WEIGHTS, NameKind.MODELSCOPE_ID))
_HUB_STEPS = {
    Kind.HUGGINGFACE: ((NameKind.REPOSITORY,), (NameKind.WEIGHTS,)),
    Kind.MODELSCOPE: ((NameKind.MODELSCOPE_ID,),),
}


def find_model(text: str, paths: Paths) -> Model:
    """The model that ``text`` names: an id, an offering, a repository (also of a converted
    variant), an alias, a short name, a hub URL, or words that only one model has.

    Raises UsageError (exit 2) with the candidates when it is ambiguous, with the nearest names
    when it is unknown.
    """
    index = open_index(paths)
    try:
        return load_model(index, find_row(index, text))
    finally:
        index.close()


def find_known(text: str, paths: Paths) -> Model | None:
    """As ``find_model``, but None where the catalog does not know exactly that name."""
    index = open_index(paths)
    try:
        row = _named(index, text)
        return None if row is None else load_model(index, row)
    finally:
        index.close()


def load_model(index: Index, row: int) -> Model:
    """A model of the index; the file that comes with the package gets its place on this machine."""
    model = index.model(row)
    if not any(v.source == "local_path" and v.repo == DEMO_FILE for v in model.variants):
        return model
    place = str(examples_dir() / DEMO_FILE)
    placed = (replace(v, repo=place) if v.repo == DEMO_FILE else v for v in model.variants)
    return replace(model, variants=tuple(placed))


def find_row(index: Index, text: str) -> int:
    """The row of the one model; raises UsageError as ``find_model``."""
    row = _named(index, text)
    if row is not None:
        return row
    reference = parse_reference(text)
    if reference.kind in _HUB_STEPS:
        raise _unknown(index, reference.value, hub=True)
    if reference.kind is Kind.PATH:
        raise UsageError(
            f"'{text}' is a path, not a model of the catalog",
            hint=f"modelscan plan {text}",
            code="not_in_catalog",
        )
    if not _could_be_a_name(text):
        raise _unknown(index, text)
    row = _hosted(index, text)
    return _searched(index, text) if row is None else row


def _searched(index: Index, text: str) -> int:
    """The only model with these words; raises UsageError where none or several have them."""
    page = search(index, Query(text=text, limit=_CANDIDATES))
    ids = [row.id for row in page.rows]
    if page.total and page.corrected is None:
        if page.total > 1:
            raise ambiguous(text, ids, page.total)
        if _has_words(index.model(page.rows[0].row), text):
            return page.rows[0].row
        raise _unknown(index, text, ids)
    host, _, rest = text.partition("/")
    if "/" in rest and index.is_provider(host):
        return find_row(index, rest)
    raise _unknown(index, text, ids)


def _named(index: Index, text: str) -> int | None:
    """The row with exactly that name; raises UsageError where several have it."""
    reference = parse_reference(text)
    steps = _HUB_STEPS.get(reference.kind, _STEPS)
    for kinds in steps:
        rows = list(dict.fromkeys(row for _, row in index.by_name(reference.value, kinds)))
        if len(rows) == 1 or (rows and _OF_WEIGHTS.issuperset(kinds)):
            return _first_owner(index, rows, reference.value)
        if rows:
            raise ambiguous(text, index.ids(rows[:_CANDIDATES]), len(rows))
    if reference.kind is Kind.NAME and _could_be_a_name(text):
        # Then what providers call it, where they agree.
        for kind in (NameKind.SPELLING, NameKind.HOSTED):
            rows = list(dict.fromkeys(row for _, row in index.by_name(spelling(text), (kind,))))
            if len(rows) == 1:
                return rows[0]
    return None


def _hosted(index: Index, text: str) -> int | None:
    if "/" not in text:
        return None
    from modelscan.catalog.search.hosted_ids import hosted_row

    return hosted_row(index, text)


def _could_be_a_name(text: str) -> bool:
    """It has a letter or digit, and nothing that names never have: a search drops those."""
    return bool(words(text)) and not _FOREIGN.search(text)


def _has_words(model: Model, text: str) -> bool:
    """Each word is a part of one of the model's own names, also those a search passes over."""
    repos = (variant.repo for variant in model.variants)
    names = " ".join((model.id, model.name, *model.aliases, *repos)).lower()
    return all(word in names for word in words(text))


def _first_owner(index: Index, rows: list[int], repo: str) -> int:
    """Of several names for the same weights: the one nearest to the repository's own."""
    if len(rows) == 1:
        return rows[0]
    own = repo.rpartition("/")[2].lower()
    ids = dict(zip(rows, index.ids(rows), strict=True))
    return min(rows, key=lambda r: (ids[r].rpartition("/")[2] != own, len(ids[r]), r))


def ambiguous(text: str, candidates: list[str], total: int) -> UsageError:
    """Exit 2, with what it may mean."""
    more = f" and {total - len(candidates)} more" if total > len(candidates) else ""
    return UsageError(
        f"'{text}' may mean {total} models: {', '.join(candidates)}{more}",
        hint=f"modelscan catalog info {candidates[0]}",
        code="ambiguous_model",
        details={"candidates": candidates, "total": total},
    )


def _unknown(
    index: Index, text: str, near: list[str] | None = None, *, hub: bool = False
) -> UsageError:
    alike = nearest(text, index.all_ids(), limit=5, cutoff=0.7, spelled=letters)
    names = list(dict.fromkeys([*alike, *(near or _by_words(index, text))]))
    what = f"the catalog does not know the repository '{text}'" if hub else f"no model '{text}'"
    where = f"; nearest: {', '.join(names[:5])}" if names else ""
    return UsageError(
        what + where,
        hint=f"modelscan catalog info {names[0]}" if names else "modelscan catalog search",
        code="unknown_model",
        details={"nearest": names[:5]},
    )


def _by_words(index: Index, text: str) -> list[str]:
    """Ids of what the words of ``text`` may have meant, best first."""
    words = correct(index, query_words(text.replace("/", " ")))
    for count in range(len(words), 0, -1):
        found = search(index, Query(text=" ".join(words[:count]), limit=5))
        if found.rows:
            return [row.id for row in found.rows]
    return []
