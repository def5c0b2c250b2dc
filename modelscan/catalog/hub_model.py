"""A model by name: from the catalog, or from a hub's repository that the catalog does not list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.catalog.search.lookup import find_row, load_model
from modelscan.core.errors import UsageError
from modelscan.core.reference import Kind, Reference, parse_reference

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.model import Model
    from modelscan.state.config import Config


def catalog_or_hub_model(index: Index, text: str, config: Config) -> Model:
    """The catalog's model, or a hub's repository that the catalog does not list.

    Raises the errors of ``find_row``, and the hub's errors.
    """
    try:
        return load_model(index, find_row(index, text))
    except UsageError as error:
        reference = parse_reference(text)
        is_repository = reference.kind in (Kind.HUGGINGFACE, Kind.MODELSCOPE)
        if error.code != "unknown_model" or not is_repository:
            raise
        return hub_model(reference, config)


def hub_model(reference: Reference, config: Config) -> Model:
    """A repository as a model; the source of all its facts is the hub."""
    from modelscan.catalog.merge.models import merge
    from modelscan.catalog.records import LIVE, SourceSnapshot
    from modelscan.catalog.sources import huggingface, modelscope
    from modelscan.hub.repository import Hub
    from modelscan.net.runner import utc_now

    with Hub.from_config(config) as hub:
        info = hub.repo_info(reference)
        url = hub.page_url(reference)
    source = modelscope if info.source == "modelscope" else huggingface
    snapshot = SourceSnapshot(
        info.source, utc_now(), (source.record(info),), state=LIVE, origin=url
    )
    return merge([snapshot])[0]
