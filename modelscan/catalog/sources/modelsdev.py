"""Fetches models.dev (or a mirror). The parser is ``modelsdev_parse``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.catalog.records import SourceRecord
from modelscan.catalog.sources import modelsdev_parse
from modelscan.net.errors import HttpError

if TYPE_CHECKING:
    from modelscan.net.client import Answer, HttpClient

WITHOUT_MODELS = (
    "models.dev: the server has no models.json, so licenses and benchmarks are not updated"
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The fetched records.

    ``warning`` is set if the canonical models, with licenses, are missing.
    """

    records: tuple[SourceRecord, ...]
    retrieved_at: str
    warning: str | None = None


def fetch(http: HttpClient, endpoint: str) -> Fetched:
    """Providers' rows (``api.json``) and canonical models with licenses (``models.json``).

    A mirror may have only ``catalog.json``, which contains both, or only ``api.json``. Raises the
    errors of the client and the parser.
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
