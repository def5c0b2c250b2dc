"""A page of models from the catalog, or from a hub's own search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.answers import LeftOutReason, SearchAnswer, entry, groups
from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.query import search as find
from modelscan.catalog.search.types import Query, Row, SearchPage
from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index, SourceState
    from modelscan.hub.repo_info import RepoInfo
    from modelscan.state.config import Config
    from modelscan.state.paths import Paths

HUBS = ("huggingface", "modelscope")
_PREFIX = {"huggingface": "hf:", "modelscope": "ms:"}


def search(query: Query, config: Config) -> SearchAnswer:
    """The page for ``query``: from a hub if it names one and requests are allowed.

    Raises UsageError for an unknown source and for filters that a hub does not support, RemoteError
    if the hub fails.
    """
    if query.source in HUBS and query.text and not config.offline:
        return search_hub(query, config)
    return search_index(query, config.paths)


def search_index(query: Query, paths: Paths) -> SearchAnswer:
    """The page from the local index. Raises UsageError for an unknown source."""
    index = open_index(paths)
    try:
        sources = index.sources()
        check_source(sources, query.source)
        check_modalities(index, query)
        page = find(index, query)
        others = other_uses(index, query, page.total)
    finally:
        index.close()
    return _answer(query, page, overlay_warnings(sources), others)


def other_uses(index: Index, query: Query, total: int) -> int:
    """The number of models that match all but the query's use."""
    if query.use is None:
        return 0
    return find(index, query._replace(use=None, limit=1, offset=0)).total - total


_SORTED = {
    "release": "release date, newest first", "params": "parameters, largest first",
    "context": "context, longest first", "downloads": "downloads, most first",
}  # fmt: skip


def order_of(query: Query, rows: Sequence[Row]) -> str:
    """Why a page of the index has its order."""
    if query.use is not None:
        from modelscan.catalog.search.use_cases import USE_CASES, reason

        return reason(USE_CASES[query.use], [row.score for row in rows])
    if query.sort in _SORTED:
        return f"by {_SORTED[query.sort]}"
    popular = "downloads, providers, recipes and release date"
    return f"by match of the name, then by {popular}" if query.text else f"by {popular}"


def overlay_warnings(sources: Sequence[SourceState]) -> tuple[str, ...]:
    """Messages about the user's own catalog files that were skipped."""
    return tuple(f"skipped: {s.error}" for s in sources if s.name == "user" and s.error)


def _answer(
    query: Query, page: SearchPage, warnings: tuple[str, ...] = (), others: int = 0
) -> SearchAnswer:
    return SearchAnswer(
        query.text,
        page.corrected,
        page.total,
        query.offset,
        tuple(entry(row) for row in page.rows),
        warnings,
        page.without_filters,
        "in the hub's own order" if query.source in HUBS and page.rows and not page.rows[0].row
        else order_of(query, page.rows),
        groups({LeftOutReason.OTHER_TASK: others}),
    )  # fmt: skip


def check_modalities(index: Index, query: Query) -> None:
    """Raise UsageError, with the known ones, for a modality that no model has."""
    if not query.modalities:
        return
    known = index.modalities()
    for name in query.modalities:
        if name not in known:
            near = nearest(name, known) or ["image"]
            raise UsageError(
                f"no model of the catalog has the modality '{name}': there are {', '.join(known)}",
                hint=f"modelscan catalog search --modality {near[0]}",
                code="unknown_modality",
                details={"modalities": known},
            )


def check_source(sources: Sequence[SourceState], name: str | None) -> None:
    """Raise UsageError, with all sources, for an unknown source."""
    names = sorted({s.name for s in sources} | {*HUBS, "user"})
    if name is not None and name not in names:
        raise UsageError(
            f"there is no source '{name}'",
            hint=f"modelscan catalog search --source {names[0]}",
            details={"sources": names},
        )


def search_hub(query: Query, config: Config) -> SearchAnswer:
    """The repositories that a hub's own search lists.

    Raises UsageError for filters that a hub does not support, and the hub's errors.
    """
    from modelscan.hub.repository import Hub

    _refuse_filters(query)
    limit = query.offset + (query.limit or 100)
    with Hub.from_config(config) as hub:
        if query.source == "modelscope":
            infos = hub.modelscope.search(query.text, limit=limit)
        else:
            tags = {"filter": f"license:{query.license}"} if query.license else {}
            infos = hub.huggingface.search(query.text, limit=limit, **tags)
    rows = tuple(row(info) for info in infos)[query.offset :]
    return _answer(query, SearchPage(total=len(infos), rows=rows))


def active_filters(query: Query) -> dict[str, str]:
    """The options of the filters that a query has, with their values ("" for a switch)."""
    filters: dict[str, object] = {
        "--open-weights": query.open_weights, "--closed-weights": query.open_weights is False,
        "--source": query.source, "--family": query.family, "--license": query.license,
        "--modality": query.modalities, "--task": query.task, "--tools": query.tools,
        "--reasoning": query.reasoning, "--vision": query.vision,
        "--min-context": query.min_context_tokens, "--max-vram": query.max_memory_bytes,
        "--max-params": query.max_parameters, "--for": query.use,
    }  # fmt: skip
    shown = {name: value for name, value in filters.items() if value}
    return {
        name: "" if value is True else ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in shown.items()
    }


def _refuse_filters(query: Query) -> None:
    supported = {"--source", "--open-weights"}
    supported |= {"--license"} if query.source == "huggingface" else set()
    unsupported = [name for name in active_filters(query) if name not in supported]
    if query.sort not in ("relevance", "downloads"):
        unsupported.append("--sort")
    if unsupported:
        raise UsageError(
            f"{query.source} does not support {', '.join(unsupported)}",
            hint=f"modelscan catalog search {query.text} --source {query.source}",
        )


def row(info: RepoInfo) -> Row:
    """A repository as a row of a list; facts that the hub does not publish are None."""
    from modelscan.hub.variants import task_of, variants

    return Row(
        row=0,
        id=_PREFIX[info.source] + info.repo,
        name=info.repo.rpartition("/")[2],
        family=None,
        license=info.license,
        task=task_of(info.task, info.repo) or info.task,
        lab=info.repo.partition("/")[0],
        open_weights=None if info.private else True,
        parameters=info.total_parameters,
        active_parameters=None,
        context_tokens=info.context_tokens,
        release_date=None,  # the repository's date is not the model's release date
        downloads=info.downloads,
        tools=None,
        reasoning=None,
        vision=None,
        modalities=None,
        memory_bytes=None,
        memory_for=None,
        memory_basis=None,
        sources=(info.source,),
        providers=0,
        variants=len(variants(info)),
    )
