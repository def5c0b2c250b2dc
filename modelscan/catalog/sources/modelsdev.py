"""models.dev (or a mirror of it): fetch. The parser is ``modelsdev_parse``."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.catalog.http import HttpClient
from modelscan.catalog.http_errors import HttpError
from modelscan.catalog.records import SourceRecord
from modelscan.catalog.sources import modelsdev_parse


@dataclass(frozen=True, slots=True)
class Fetched:
    """``complete`` is False where the second document, with licences, could not be had."""

    records: tuple[SourceRecord, ...]
    retrieved_at: str
    not_modified: bool
    warning: str | None = None


def fetch(http: HttpClient, endpoint: str) -> Fetched:
    """``api.json`` (providers' rows) and ``models.json`` (canonical models with licences).

    Raises what the client and the parser raise for the first; the second is optional, because
    mirrors often carry only one.
    """
    api = http.get(f"{endpoint}/api.json", cached=True)
    records = modelsdev_parse.parse_api(api.body)
    try:
        models = http.get(f"{endpoint}/models.json", cached=True)
    except HttpError as error:
        if error.status != 404:
            raise
        warning = "models.dev: no models.json there, so licences and benchmarks stay as they were"
        return Fetched(records, api.retrieved_at, api.not_modified, warning)
    records += modelsdev_parse.parse_models(models.body)
    return Fetched(records, api.retrieved_at, api.not_modified and models.not_modified)
