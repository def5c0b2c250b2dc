"""Parses llama-server's argument list and checks it against the table of options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.engines.llamacpp.options import ALIASES, OPTIONS, SWITCH, ServerOption, on_off

if TYPE_CHECKING:
    from modelscan.engines.option_names import OptionPair

PATHS = frozenset({"model", "mmproj", "spec-draft-model", "lora", "lora-scaled", "slot-save-path",
                   "ssl-key-file", "ssl-cert-file", "chat-template-file"})  # fmt: skip


def is_path(word: str) -> bool:
    """Whether the value of this option is a path."""
    name = word.lstrip("-")
    return word.startswith("-") and ALIASES.get(name, name) in PATHS


def parse(arguments: Sequence[str]) -> list[OptionPair]:
    """Options as (canonical name, value or None for a flag); raises UsageError for a wrong one."""
    pairs: list[OptionPair] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, option = _option(word)
        if option.convert is None:
            if _switched_on(word, words):
                pairs.append((name, None))
        else:
            pairs.append((name, _value(word, words, name, option)))
    return pairs


def _option(word: str) -> tuple[str, ServerOption]:
    """The canonical name of the option that a word begins, and its entry."""
    name = word.lstrip("-").partition("=")[0].replace("_", "-")
    name = ALIASES.get(name, name)
    option = OPTIONS.get(name)
    if option is None or not word.startswith("-"):
        raise _unknown(word, name)
    return name, option


def _switched_on(word: str, rest: list[str]) -> bool:
    """A flag, with or without ``on`` or ``off``: as ``--flag=on``, or as the first of ``rest``,
    which is then taken off."""
    _, equals, value = word.partition("=")
    if not equals:
        if not rest or rest[0].lower() not in SWITCH:
            return True
        value = rest.pop(0)
    try:
        return on_off(value)
    except KeyError:
        raise UsageError(f"llama.cpp's option {word.partition('=')[0]} takes no value") from None


def _value(word: str, rest: list[str], name: str, option: ServerOption) -> str:
    """The value after ``=``, or the first of ``rest``, which is then taken off."""
    _, equals, value = word.partition("=")
    if not equals:
        if not rest:
            raise UsageError(f"llama.cpp's option --{name} needs a value")
        value = rest.pop(0)
    _check(name, option, value)
    return value


def unfamiliar(names: Sequence[str]) -> tuple[str, ...]:
    """A warning for each option that llama.cpp does not have, with the nearest existing one."""
    options = {*OPTIONS, *ALIASES}
    unknown = [name for name in names if name.replace("_", "-") not in options]
    near = {name: nearest(name, sorted(options)) for name in unknown}
    return tuple(
        f"the embedded llama.cpp has no option '--{name}', so the estimate ignores it"
        + (f"; it has '--{near[name][0]}'" if near[name] else "")
        for name in unknown
    )


def _check(name: str, option: ServerOption, value: str) -> None:
    assert option.convert is not None
    try:
        option.convert(value)
    except (ValueError, KeyError, AttributeError):
        raise UsageError(f"'{value}' is not a value of llama.cpp's option --{name}") from None


def _unknown(word: str, name: str) -> UsageError:
    near = nearest(name, [*OPTIONS, *ALIASES])
    return UsageError(
        f"the embedded llama.cpp has no option '{word}'",
        hint=f"--param {near[0]}" if near else "modelscan config set llama_server PATH_OF_A_BINARY",
        code="unknown_option",
    )
