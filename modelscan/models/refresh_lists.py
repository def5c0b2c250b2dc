"""The file lists and config.json of the most used models, queried by ``catalog sync``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.formats.quantization import canonical
from modelscan.hub.answers_kept import KeptAnswers
from modelscan.models.ask_hub import HubQueries
from modelscan.models.expected_variants import FOUR_BIT_FLOATS
from modelscan.models.from_catalog import original_format

if TYPE_CHECKING:
    from modelscan.state.config import Config

MOST_USED = 100  # models: a hub allows 500 anonymous requests in five minutes
TOTAL_S = 90.0
_ENOUGH_MISSES = 5  # models without an answer, from which on the hub is not the whole one


def refresh_lists(config: Config, progress: Callable[[str], None]) -> int:
    """Query what the catalog lacks of the most downloaded open models; returns the answers.

    Ends where the hub fails, or lacks the repositories of the first models.
    """
    if config.offline:
        return 0
    query = Query(open_weights=True, task="chat", sort="downloads", limit=MOST_USED)
    with open_index(config.paths) as index:
        models = [index.model(row.row) for row in search(index, query).rows]
    with HubQueries(config, KeptAnswers.at(config.paths), total_s=TOTAL_S) as queries:
        for count, model in enumerate(models):
            if queries.ended or (count >= _ENOUGH_MISSES and not queries.found):
                break
            progress(f"listing the files of {model.id}")
            four_bits = canonical(original_format(model)) in FOUR_BIT_FLOATS
            queries.about(model, four_bits=four_bits)
    return queries.found
