"""Options of Python engines as (long name, value) pairs: read, renamed by version, written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelscan.engines.base import Serving
from modelscan.engines.option_names import OptionPair
from modelscan.engines.versions import Version


@dataclass(frozen=True, slots=True)
class Rename:
    """An option that has another name, or is gone, from a version on.

    ``change`` gives the options that mean the same from ``since`` on.
    """

    name: str
    since: Version
    change: Callable[[str | None], tuple[OptionPair, ...]]


def parse(words: Sequence[str]) -> list[OptionPair]:
    """``--name value``, ``--name=value`` and ``--flag`` as pairs, names with dashes."""
    found: list[OptionPair] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            found.append((name.replace("_", "-"), value if equals else None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], word)
        else:
            found.append((word, None))  # a short option: as it is
    return found


def render(options: Iterable[OptionPair]) -> tuple[str, ...]:
    words: list[str] = []
    for name, value in options:
        words.append(name if name.startswith("-") else f"--{name}")
        words += [] if value is None else [value]
    return tuple(words)


def renamed(
    options: Iterable[OptionPair], version: Version, renames: Sequence[Rename]
) -> list[OptionPair]:
    """The options as that version spells them."""
    found = list(options)
    for rename in renames:
        if version < rename.since:
            continue
        found = [
            new
            for name, value in found
            for new in (rename.change(value) if name == rename.name else ((name, value),))
        ]
    return list(dict.fromkeys(found))


def with_defaults(
    options: Sequence[OptionPair], defaults: Iterable[OptionPair]
) -> list[OptionPair]:
    """``defaults`` added where the plan gives no such option; ``no-x`` is an option ``x``, too."""
    given = {name.removeprefix("no-") for name, _ in options}
    return [*options, *((n, v) for n, v in defaults if n.removeprefix("no-") not in given)]


def own_options(serving: Serving, model: str) -> list[OptionPair]:
    """The model's folder (as option ``model``), its name, and where to listen."""
    return [
        (model, model_folder(serving.model_file)),
        ("served-model-name", serving.served_model),
        ("host", serving.host),
        ("port", str(serving.port)),
    ]


def model_folder(model_file: str) -> str:
    """These engines load a repository's folder; a plan names its weight files."""
    path = Path(model_file)
    return str(path.parent) if path.suffix in (".safetensors", ".bin") else str(path)


def adapters(plan_adapters: Sequence[str], files: Sequence[str]) -> list[str]:
    """``NAME=PATH`` of each LoRA adapter; its name is its folder's."""
    named = []
    for text in files or plan_adapters:
        name, equals, _ = text.partition("=")
        named.append(text if equals and "/" not in name else f"{Path(text).name}={text}")
    return named
