"""Options and variables that modelscan sets itself: where an engine listens, its key, its model.

An engine takes the last one of a name, so a user's own would change the address behind the route's
back, or carry a key that every user of the machine can read in ``ps``. Each engine's table is in
its folder (``flags.OWNED``): the option's name, and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines.registry import engines
from modelscan.state.secrets import looks_like_a_key

if TYPE_CHECKING:
    from modelscan.engines.engine import Engine
    from modelscan.engines.option_names import OptionPair

_SHORTEST_ABBREVIATION = 2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")  # of any engine's option


def check_parameters(parameters: Iterable[OptionPair], backend: str | None = None) -> None:
    """Raises UsageError for an option that modelscan sets, and for one that carries a key.

    ``backend`` None: the engine is not chosen yet, so that of every engine counts. The message
    never repeats a value.
    """
    chosen = [one for one in engines() if backend in (None, one.name)]
    for name, value in parameters:
        _check_spelling(name, value or "")
        # A server that splits values at spaces would read the rest as options of their own.
        words = (word for word in (value or "").split() if word.startswith("-"))
        for word in (name, *words):
            _check_name(word, chosen)
        if value and looks_like_a_key(value):
            raise UsageError(
                f"--param {name} holds what looks like a key: other users could read it in the "
                "list of processes",
                hint="modelscan deploy MODEL --api-key env:NAME",
                code="literal_secret",
            )


def _check_spelling(name: str, value: str) -> None:
    if not _NAME.fullmatch(name.lstrip("-")) or "\0" in value:
        raise UsageError(
            f"{f'{name}={value}'[:80]!r} is not an engine option", hint="write --param KEY[=VALUE]"
        )


def _check_name(word: str, chosen: Sequence[Engine]) -> None:
    name = word.lstrip("-").replace("_", "-").partition("=")[0].partition(".")[0]
    exact = {one.name for one in chosen if name in one.option_names.all}
    for one in chosen:
        if name not in one.owned and exact - {one.name}:  # -fa of llama.cpp, not SGLang's fastapi…
            continue
        instead = _instead(name, one)
        if instead is not None:
            raise UsageError(
                f"--param {name}: modelscan sets this option of {one.title} itself",
                hint=instead,
                code="owned_option",
            )


def _instead(name: str, one: Engine) -> str | None:
    """What to write instead of an owned option; None for another one."""
    if name in one.owned:
        return one.owned[name]
    if not one.abbreviates or len(name) < _SHORTEST_ABBREVIATION:
        return None
    return next((hint for owned, hint in one.owned.items() if owned.startswith(name)), None)


def owned_variables() -> frozenset[str]:
    """The environment variables of every engine that would do the same."""
    return frozenset(name for one in engines() for name in one.owned_variables)


def check_variables(env: Mapping[str, str]) -> None:
    """Raises UsageError for a variable that modelscan sets, and for a value that is a key."""
    owned = owned_variables()
    for name, value in env.items():
        if name.upper() in owned:
            raise UsageError(
                f"the variable {name}: modelscan sets what it says itself",
                hint="leave it out; see modelscan deploy --help for --port, --expose and --api-key",
                code="owned_option",
            )
        if looks_like_a_key(value):
            raise UsageError(
                f"the value of {name} looks like a key; it must be a reference",
                hint=f"--env {name}=env:{name}",
                code="literal_secret",
            )
