"""The key of an entry: read where its reference points, at the moment of use."""

from __future__ import annotations

from modelscan.core.errors import AuthError
from modelscan.core.route import Route
from modelscan.routing.presets import key_references
from modelscan.state.secrets import resolve


def read_key(route: Route) -> tuple[str, str] | None:
    """The reference that is used and its secret; None: the entry needs no key.

    An entry's own reference counts alone; a preset's variables are tried in their order, and no
    other variable is looked at. Raises AuthError where none of them has a key.
    """
    references = key_references(route)
    for reference in references:
        try:
            return reference, resolve(reference)
        except AuthError:
            if len(references) == 1:
                raise
    if not references:
        return None
    names = [one.removeprefix("env:") for one in references]
    raise AuthError(
        f"{route.name} has no key: none of the variables {', '.join(names)} is set",
        hint=f"export {names[0]}=…",
    )
