"""Options of Python engines as (long name, value) pairs: parsing, renaming by version, writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelscan.engines.option_names import OptionPair
from modelscan.engines.versions import Version

if TYPE_CHECKING:
    from modelscan.engines.base import Serving


class Rename(NamedTuple):
    """An option that is renamed or removed from a version on.

    ``change`` returns the options with the same meaning from ``since`` on.
    """

    name: str
    since: Version
    change: Callable[[str | None], tuple[OptionPair, ...]]


def parse(words: Sequence[str]) -> list[OptionPair]:
    """``--name value``, ``--name=value`` and ``--flag`` as pairs, names with dashes; the keys of
    ``--name.key`` are unchanged.
    """
    options: list[OptionPair] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            head, dot, keys = name.partition(".")
            options.append((head.replace("_", "-") + dot + keys, value if equals else None))
        elif options and options[-1][1] is None:
            options[-1] = (options[-1][0], word)
        else:
            options.append((word, None))  # a short option: unchanged
    return options


def folded(options: Iterable[OptionPair]) -> list[OptionPair]:
    """``--name.key value`` as the JSON of ``--name``, which every version reads.

    Added to a list (``--name.key+``) they stay as they are. As in vLLM, keys that are set singly
    replace a JSON that is given as a whole.
    """
    plain: list[OptionPair] = []
    tables: dict[str, dict[str, Any]] = {}
    for name, value in options:
        head, dot, keys = name.partition(".")
        if not dot or name.startswith("-") or keys.endswith("+"):
            plain.append((name, value))
        else:
            _set(tables.setdefault(head.replace("_", "-"), {}), keys.split("."), value)
    whole = ((name, json.dumps(table, separators=(",", ":"))) for name, table in tables.items())
    return [*((n, v) for n, v in plain if n.replace("_", "-") not in tables), *whole]


def _set(table: dict[str, Any], keys: Sequence[str], value: str | None) -> None:
    for key in keys[:-1]:
        inner = table.get(key)
        table[key] = inner if isinstance(inner, dict) else {}
        table = table[key]
    try:
        table[keys[-1]] = True if value is None else json.loads(value)
    except (ValueError, RecursionError):
        table[keys[-1]] = value


def render(options: Iterable[OptionPair]) -> tuple[str, ...]:
    """The options as command-line words: ``--name value``; a bare flag has no value."""
    words: list[str] = []
    for name, value in options:
        words.append(name if name.startswith("-") else f"--{name}")
        words += [] if value is None else [value]
    return tuple(words)


def renamed(
    options: Iterable[OptionPair], version: Version, renames: Sequence[Rename]
) -> list[OptionPair]:
    """The options in the spelling of that version."""
    spelled = list(options)
    for rename in renames:
        if version < rename.since:
            continue
        spelled = [
            new
            for name, value in spelled
            for new in (rename.change(value) if name == rename.name else ((name, value),))
        ]
    return list(dict.fromkeys(spelled))


def with_defaults(
    options: Sequence[OptionPair], defaults: Iterable[OptionPair]
) -> list[OptionPair]:
    """The options with ``defaults`` added if not set; ``no-x`` counts as the option ``x``."""
    names = {name.removeprefix("no-") for name, _ in options}
    return [*options, *((n, v) for n, v in defaults if n.removeprefix("no-") not in names)]


def own_options(serving: Serving, model: str) -> list[OptionPair]:
    """The model's folder (as option ``model``), its name, and where to listen."""
    return [
        (model, model_folder(serving.model_file)),
        ("served-model-name", serving.served_model),
        ("host", serving.host),
        ("port", str(serving.port)),
    ]


def model_folder(model_file: str) -> str:
    """The repository's folder, which these engines load; a plan lists its weight files."""
    path = Path(model_file)
    return str(path.parent) if path.suffix in (".safetensors", ".bin") else str(path)


def adapters(plan_adapters: Sequence[str], files: Sequence[str]) -> list[str]:
    """``NAME=PATH`` of each LoRA adapter; its name is its folder's."""
    entries = []
    for text in files or plan_adapters:
        name, equals, _ = text.partition("=")
        entries.append(text if equals and "/" not in name else f"{Path(text).name}={text}")
    return entries
