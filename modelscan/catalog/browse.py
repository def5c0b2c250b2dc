"""A page of models from the catalog, or from a hub's own search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.answers import SearchAnswer, entry
from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.query import Query, Row, SearchPage
from modelscan.catalog.search.query import search as find
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.catalog.index.read import SourceState
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
        page = find(index, query)
    finally:
        index.close()
    return _answer(query, page, overlay_warnings(sources))


def overlay_warnings(sources: Sequence[SourceState]) -> tuple[str, ...]:
    """Messages about the user's own catalog files that were skipped."""
    return tuple(f"skipped: {s.error}" for s in sources if s.name == "user" and s.error)


def _answer(query: Query, page: SearchPage, warnings: tuple[str, ...] = ()) -> SearchAnswer:
    models = tuple(entry(row) for row in page.rows)
    return SearchAnswer(query.text, page.corrected, page.total, query.offset, models, warnings)


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


def _refuse_filters(query: Query) -> None:
    filters = {
        "--tools": query.tools, "--reasoning": query.reasoning, "--vision": query.vision,
        "--modality": query.modalities, "--min-context": query.min_context_tokens,
        "--max-vram": query.max_memory_bytes, "--max-params": query.max_parameters,
        "--family": query.family, "--closed-weights": query.open_weights is False,
        "--license": query.license if query.source == "modelscope" else None,
        "--sort": query.sort if query.sort not in ("relevance", "downloads") else None,
    }  # fmt: skip
    unsupported = [name for name, value in filters.items() if value]
    if unsupported:
        raise UsageError(
            f"{query.source} does not support {', '.join(unsupported)}",
            hint=f"modelscan catalog search {query.text} --source {query.source}",
        )


def row(info: RepoInfo) -> Row:
    """A repository as a row of a list; facts that the hub does not publish are None."""
    from modelscan.hub.variants import TASKS, variants

    return Row(
        row=0,
        id=_PREFIX[info.source] + info.repo,
        name=info.repo.rpartition("/")[2],
        family=None,
        license=info.license,
        task=TASKS.get(info.task or "", info.task),
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
