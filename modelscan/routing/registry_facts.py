"""What the registry says of the models in the routing file: entries whose model is one of its
names (``acme/coder@2``, ``acme/coder@champion``) have the tags of that version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.models.from_registry import is_registered
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import RouteModelFacts

if TYPE_CHECKING:
    import sqlalchemy as sa

    from modelscan.registry.resolve import ResolvedVersion
    from modelscan.state.config import Config


def registered_names(file: RoutingFile) -> Sequence[str]:
    """The models of the file that are names of the registry."""
    models = dict.fromkeys(route.model for route in file.routes if route.model)
    return [name for name in models if _is_name(name)]


def registered_facts(connection: sa.Connection, names: Iterable[str]) -> dict[str, RouteModelFacts]:
    """The facts of these names, by name; what the registry does not have is missing."""
    from modelscan.registry.names import parse_reference
    from modelscan.registry.refused import RegistryRefused
    from modelscan.registry.resolve import resolve_reference

    facts: dict[str, RouteModelFacts] = {}
    for name in names:
        try:
            facts[name] = _facts(resolve_reference(connection, parse_reference(name)))
        except RegistryRefused:
            continue
    return facts


def registry_facts(file: RoutingFile, config: Config) -> dict[str, RouteModelFacts]:
    """The facts of the file's names, from this machine's database; none where it cannot be read:
    an entry without tags serves no role that requires one.
    """
    names = registered_names(file)
    if not names:
        return {}
    try:
        from modelscan.state.server.extra import require_extra

        require_extra("the registry")
        from modelscan.state.server.database import has_records, open_server

        if not has_records(config):
            return {}
        with open_server(config) as database, database.reading() as connection:
            return registered_facts(connection, names)
    except ModelscanError:
        return {}


def _is_name(text: str) -> bool:
    try:
        return is_registered(text)
    except ModelscanError:
        return False


def _facts(found: ResolvedVersion) -> RouteModelFacts:
    """A deprecated version has no tags: it serves nothing that requires one."""
    from modelscan.engines.families import family_of

    model, version = found.model, found.version
    family = family_of([model.slug, model.name or "", model.base or ""], ())
    return RouteModelFacts(
        family=family.name if family else None,
        context_tokens=model.context_tokens,
        tags=version.tags if version.state != "deprecated" else (),
        texts=tuple(filter(None, (model.name, model.family, model.description))),
        parameters=model.parameters,
    )
