"""The query of a list: filters that are checked, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from starlette.datastructures import QueryParams

from modelscan.gateway.control.problems import HttpProblem
from modelscan.registry.search import MOST_PAGE, USUAL_PAGE
from modelscan.registry.types import ModelOrder, RegistryFilter, Visibility

_REPEATED = ("tag", "modality")
_NAMES = (
    *_REPEATED, "license", "family", "max_vram_bytes", "min_context", "q", "limit", "cursor",
    "visibility", "sort",
)  # fmt: skip
_LONGEST = 512
_MOST = 2**60


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The filters, size and order of a list."""

    wanted: RegistryFilter
    limit: int
    cursor: str | None
    order: ModelOrder


def list_query(query: QueryParams) -> ListQuery:
    """The filters of a query. Raises HttpProblem 400 for an unknown name or a wrong value."""
    check_names(query, _NAMES, _REPEATED)
    order = query.get("sort", "slug")
    if order not in get_args(ModelOrder):
        raise _wrong(f"sort is one of {', '.join(get_args(ModelOrder))}")
    visibility = query.get("visibility")
    if visibility is not None and visibility not in get_args(Visibility):
        raise _wrong(f"visibility is one of {', '.join(get_args(Visibility))}")
    wanted = RegistryFilter(
        tags=tuple(query.getlist("tag")),
        license=query.get("license"),
        family=query.get("family"),
        modalities=tuple(query.getlist("modality")),
        max_vram_bytes=whole_number(query, "max_vram_bytes"),
        min_context_tokens=whole_number(query, "min_context"),
        text=query.get("q"),
        visibility=visibility,  # type: ignore[arg-type]
    )
    return ListQuery(
        wanted, page_limit(query), query.get("cursor"), order,  # type: ignore[arg-type]
    )  # fmt: skip


def check_names(query: QueryParams, names: tuple[str, ...], repeated: tuple[str, ...]) -> None:
    """Raises HttpProblem 400 for a name that a list does not know, or a value that is too long."""
    for name in query:
        if name not in names:
            raise _wrong(f"there is no filter '{name}'; the filters are {', '.join(names)}")
        values = query.getlist(name)
        if len(values) > 1 and name not in repeated:
            raise _wrong(f"{name} is given {len(values)} times")
        if any(len(value) > _LONGEST for value in values):
            raise _wrong(f"{name} has more than {_LONGEST} characters")


def page_limit(query: QueryParams) -> int:
    """``limit``: 1 to 500."""
    limit = whole_number(query, "limit")
    if limit is not None and not 1 <= limit <= MOST_PAGE:
        raise _wrong(f"limit is a number from 1 to {MOST_PAGE}")
    return limit or USUAL_PAGE


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A number of a query; None without one."""
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > _MOST:
        raise _wrong(f"{name} is a whole number, not '{text[:40]}'")
    return int(text)


def _wrong(text: str) -> HttpProblem:
    return HttpProblem(400, "invalid_query", text)
