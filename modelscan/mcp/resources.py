"""Resources: documents of the catalog and of this machine, and the manual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from modelscan.core.errors import UsageError
from modelscan.manual.pages import manual_pages

SCHEME = "modelscan"
JSON, MARKDOWN = "application/json", "text/markdown"


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """One resource, the document of a command."""

    path: str
    title: str
    words: tuple[str, ...]

    @property
    def uri(self) -> str:
        """Its address."""
        return f"{SCHEME}://{self.path}"


RESOURCES: tuple[ResourceRow, ...] = (
    ResourceRow("catalog/sources", "Sources of the catalog", ("catalog", "sources", "--json")),
    ResourceRow("deployments", "Deployments", ("list", "--json")),
    ResourceRow("gpu", "GPUs and memory of this machine", ("gpu", "--json")),
    ResourceRow("routes", "Entries of the routing file", ("route", "list", "--json")),
)
MODEL_TEMPLATE = f"{SCHEME}://catalog/models/{{model}}"
PAGE_TEMPLATE = f"{SCHEME}://docs/{{page}}"
_MODELS, _PAGES = "catalog/models/", "docs/"


def command_of(uri: str) -> tuple[str, ...] | None:
    """The command whose document a resource is; None: it is a page of the manual.

    Raises UsageError for an unknown address.
    """
    path = _path(uri)
    if path.startswith(_MODELS) and len(path) > len(_MODELS):
        return ("catalog", "info", "--json", "--", path[len(_MODELS) :])
    if path.startswith(_PAGES):
        return None
    row = next((row for row in RESOURCES if row.path == path), None)
    if row is None:
        known = ", ".join(row.uri for row in RESOURCES)
        raise UsageError(f"there is no resource {uri}", hint=f"known: {known}, {MODEL_TEMPLATE}")
    return row.words


def model_of(uri: str) -> str | None:
    """The model that an address names."""
    path = _path(uri)
    return path[len(_MODELS) :] if path.startswith(_MODELS) else None


def pages() -> Mapping[str, str]:
    """The pages of the manual: their names and titles."""
    return {one.name: one.title for one in manual_pages()}


def page(uri: str) -> str:
    """A page's text; raises UsageError for an unknown one."""
    name = _path(uri)[len(_PAGES) :]
    found = next((one for one in manual_pages() if one.name == name), None)
    if found is None:
        raise UsageError(f"there is no page '{name}'", hint=f"pages: {', '.join(pages())}")
    return found.text()


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        raise UsageError(f"{uri} is no address of a resource", hint=f"{SCHEME}://deployments")
    return unquote(parts.netloc + parts.path).rstrip("/")
