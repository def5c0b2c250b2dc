"""A page of the catalog, or of a hub's own search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.answers import SearchAnswer, entry
from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.read import SourceState
from modelscan.catalog.search.query import Query, Row, SearchPage
from modelscan.catalog.search.query import search as find
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.hub.repo_info import RepoInfo
    from modelscan.state.config import Config
    from modelscan.state.paths import Paths

HUBS = ("huggingface", "modelscope")
_PREFIX = {"huggingface": "hf:", "modelscope": "ms:"}


def search(query: Query, config: Config) -> SearchAnswer:
    """The page that ``query`` asks for: from a hub where it names one and the network may be used.

    Raises UsageError for an unknown source and for filters that a hub cannot apply, RemoteError
    where the hub fails.
    """
    if query.source in HUBS and query.text and not config.offline:
        return search_hub(query, config)
    return search_index(query, config.paths)


def search_index(query: Query, paths: Paths) -> SearchAnswer:
    """The page from the index on this machine; raises UsageError for an unknown source."""
    index = open_index(paths)
    try:
        sources = index.sources()
        check_source(sources, query.source)
        page = find(index, query)
    finally:
        index.close()
    return _answer(query, page, mistakes(sources))


def mistakes(sources: Sequence[SourceState]) -> tuple[str, ...]:
    """What of a user's own catalogue files was left out."""
    return tuple(f"left out: {s.error}" for s in sources if s.name == "user" and s.error)


def _answer(query: Query, page: SearchPage, warnings: tuple[str, ...] = ()) -> SearchAnswer:
    models = tuple(entry(row) for row in page.rows)
    return SearchAnswer(query.text, page.corrected, page.total, query.offset, models, warnings)


def check_source(sources: Sequence[SourceState], name: str | None) -> None:
    """Raises UsageError, with the sources there are, for an unknown one."""
    names = sorted({s.name for s in sources} | {*HUBS, "user"})
    if name is not None and name not in names:
        raise UsageError(
            f"there is no source '{name}'",
            hint=f"modelscan catalog search --source {names[0]}",
            details={"sources": names},
        )


def search_hub(query: Query, config: Config) -> SearchAnswer:
    """The repositories that a hub's own search lists; read-only.

    Raises UsageError for filters that a hub cannot apply, and what the hub raises.
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
    given = {
        "--tools": query.tools, "--reasoning": query.reasoning, "--vision": query.vision,
        "--modality": query.modalities, "--min-context": query.min_context_tokens,
        "--max-vram": query.max_memory_bytes, "--max-params": query.max_parameters,
        "--family": query.family, "--closed-weights": query.open_weights is False,
        "--license": query.license if query.source == "modelscope" else None,
        "--sort": query.sort if query.sort not in ("relevance", "downloads") else None,
    }  # fmt: skip
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UsageError(
            f"{query.source} cannot search by {', '.join(wrong)}",
            hint=f"modelscan catalog search {query.text} --source {query.source}",
        )


def row(info: RepoInfo) -> Row:
    """A repository as a row of a list; what a hub does not publish is unknown."""
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
        release_date=None,  # the date of the repository is not the date of the model
        downloads=info.downloads,
        tools=None,
        reasoning=None,
        vision=None,
        modalities=(),
        memory_bytes=None,
        memory_for=None,
        memory_basis=None,
        sources=(info.source,),
        providers=0,
        variants=len(variants(info)),
    )
