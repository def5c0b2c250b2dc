"""``modelscan catalog search TEXT --source hf|ms``: a hub's own search, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.query import Query, Row
    from modelscan.core.model import Model
    from modelscan.core.reference import Reference
    from modelscan.hub.repo_info import RepoInfo

HUBS = ("huggingface", "modelscope")
_PREFIX = {"huggingface": "hf:", "modelscope": "ms:"}


def asks_hub(query: Query) -> bool:
    """A hub is asked when it is the source, words are given and the network may be used."""
    return query.source in HUBS and bool(query.text) and not current().config.offline


def hub_search(query: Query) -> Document:
    """The repositories a hub finds, in the form of ``catalog search``.

    Raises UsageError for filters that a hub cannot apply, and what the hub raises.
    """
    from modelscan.catalog.search.query import SearchPage
    from modelscan.cli.catalog.app import found_document
    from modelscan.hub.repository import Hub

    _refuse_filters(query)
    wanted = query.offset + (query.limit or 100)
    with Hub.from_config(current().config) as hub, current().output.status("asking the hub"):
        if query.source == "modelscope":
            infos = hub.modelscope.search(query.text, limit=wanted)
        else:
            tags = {"filter": f"license:{query.license}"} if query.license else {}
            infos = hub.huggingface.search(query.text, limit=wanted, **tags)
    rows = tuple(row(info) for info in infos)[query.offset :]
    return found_document("catalog.search", query, SearchPage(total=len(infos), rows=rows))


def _refuse_filters(query: Query) -> None:
    given = {
        "--tools": query.tools, "--reasoning": query.reasoning, "--vision": query.vision,
        "--modality": query.modalities, "--min-context": query.min_context_tokens,
        "--max-vram, --fits": query.max_memory_bytes, "--max-params": query.max_parameters,
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
    """A repository as a row of a list; what a hub does not say is unknown."""
    from modelscan.catalog.search.query import Row
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
        release_date=None,  # when the repository was made says nothing about the model
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


def known_or_on_hub(index: Index, text: str) -> Model:
    """The catalog's model, or a hub's repository that the catalog does not know.

    Raises what ``find_row`` raises for names, and what the hub raises.
    """
    from modelscan.catalog.search.lookup import find_row, load_model
    from modelscan.core.reference import Kind, parse_reference

    try:
        return load_model(index, find_row(index, text))
    except UsageError as error:
        reference = parse_reference(text)
        hub = reference.kind in (Kind.HUGGINGFACE, Kind.MODELSCOPE)
        if error.code != "unknown_model" or not hub:
            raise
        return hub_model(reference)


def hub_model(reference: Reference) -> Model:
    """A repository as a model whose every fact has the hub as its source."""
    from modelscan.catalog.merge.models import merge
    from modelscan.catalog.records import LIVE, SourceSnapshot
    from modelscan.catalog.sources.huggingface import record
    from modelscan.hub.repository import Hub
    from modelscan.net.client import utc_now

    with Hub.from_config(current().config) as hub, current().output.status("asking the hub"):
        info = hub.repo_info(reference)
        url = hub.page_url(reference)
    snapshot = SourceSnapshot(info.source, utc_now(), (record(info),), state=LIVE, origin=url)
    return merge([snapshot])[0]
