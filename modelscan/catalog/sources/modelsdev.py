"""models.dev (or a mirror of it): fetch. The parser is ``modelsdev_parse``."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.catalog.records import SourceRecord
from modelscan.catalog.sources import modelsdev_parse
from modelscan.net.client import Answer, HttpClient
from modelscan.net.errors import HttpError

WITHOUT_MODELS = "models.dev: no models.json there, so licences and benchmarks stay as they were"


@dataclass(frozen=True, slots=True)
class Fetched:
    """``warning`` is set where the canonical models, with licences, could not be had."""

    records: tuple[SourceRecord, ...]
    retrieved_at: str
    warning: str | None = None


def fetch(http: HttpClient, endpoint: str) -> Fetched:
    """Providers' rows (``api.json``) and canonical models with licences (``models.json``).

    A mirror may carry only ``catalog.json``, which holds both, or only ``api.json``. Raises what
    the client and the parser raise.
    """
    api = _optional(http, f"{endpoint}/api.json")
    if api is None:
        both = http.get(f"{endpoint}/catalog.json", cached=True)
        return Fetched(modelsdev_parse.parse_api(both.body), both.retrieved_at)
    records = modelsdev_parse.parse_api(api.body)
    models = _optional(http, f"{endpoint}/models.json")
    if models is None:
        return Fetched(records, api.retrieved_at, WITHOUT_MODELS)
    return Fetched(records + modelsdev_parse.parse_models(models.body), api.retrieved_at)


def _optional(http: HttpClient, url: str) -> Answer | None:
    try:
        return http.get(url, cached=True)
    except HttpError as error:
        if error.status != 404:
            raise
        return None
