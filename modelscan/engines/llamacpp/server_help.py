"""Reads the ``--help`` of a ``llama-server`` program, and spells options as that build does.

Its options changed over the years (``--mmap`` became ``--load-mode``, ``--webui`` ``--ui``,
``--flash-attn`` got a value), so they are read from its own help instead of a version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.options import ALIASES, OPTIONS, experts_on_cpu

_EVERY_LAYER = "999"  # before "all" was understood
_LINE = re.compile(r"^(-{1,2}[A-Za-z][\w-]*(?:,\s*-{1,2}[A-Za-z][\w-]*)*)( [^\s-]\S*)?")
_NAME = re.compile(r"-{1,2}[A-Za-z][\w-]*")
_DEVICE = re.compile(r"^\s+(\w+\d+): .*MiB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HelpOption:
    """An option as ``--help`` describes it; ``written`` is one of its names with its dashes."""

    written: str
    takes_value: bool
    text: str


def parse_help(text: str) -> dict[str, HelpOption]:
    """Long and short names (without dashes) to their descriptions."""
    options: dict[str, HelpOption] = {}
    for block in re.split(r"\n(?=-)", text):
        match = _LINE.match(block)
        if match is None:
            continue
        for written in _NAME.findall(match[1]):
            options[written.lstrip("-")] = HelpOption(written, match[2] is not None, block)
    return options


def adapt(words: Sequence[str], known: Mapping[str, HelpOption]) -> tuple[str, ...]:
    """The options in this build's spelling. Raises UsageError for one that it cannot do."""
    return tuple(word for option in _pairs(words) for word in _spelled(*option, known))


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    remaining = list(words)
    while remaining:
        name, equals, value = remaining.pop(0).lstrip("-").partition("=")
        option = OPTIONS.get(ALIASES.get(name, name))
        if equals or (option is not None and option.convert is None):
            yield name, value if equals else None
        elif remaining and not remaining[0].startswith("--"):
            yield name, remaining.pop(0)
        else:
            yield name, None


def _spelled(name: str, value: str | None, known: Mapping[str, HelpOption]) -> Iterator[str]:
    spelling_here = next((spelling for spelling in _spellings(name) if spelling in known), None)
    if spelling_here is None:
        yield from _otherwise(ALIASES.get(name, name), value, known)
        return
    if value is not None and not known[spelling_here].takes_value:
        if value.lower() in ("on", "1", "true"):
            yield known[spelling_here].written
        elif ALIASES.get(name, name) != "flash-attn":
            raise _unknown(name, value)
        return
    yield known[spelling_here].written
    if value is not None:
        many = ALIASES.get(name, name) == "n-gpu-layers" and value in ("all", "auto")
        yield _EVERY_LAYER if many and value not in known[spelling_here].text else value


def _spellings(name: str) -> Iterator[str]:
    """This name first, then every other name of the same option, the long ones first."""
    canonical = ALIASES.get(name, name)
    same = [alias for alias, target in ALIASES.items() if target == canonical]
    yield from dict.fromkeys((name, canonical, *sorted(same, key=len, reverse=True)))


# Options that modelscan sets by itself and that an older build has as default or lacks.
_OURS = frozenset({"cache-ram", "cors-origins", "no-repack", "no-ui", "props", "kv-unified"})
_LOAD_MODES = {"none": ("no-mmap",), "mlock": ("mlock",), "mmap+mlock": ("mlock",), "mmap": (),
               "auto": ()}  # fmt: skip


def _otherwise(name: str, value: str | None, known: Mapping[str, HelpOption]) -> Iterator[str]:
    """An equivalent spelling; nothing for options that are only a precaution."""
    if name in _OURS or (name == "fit" and value == "off"):
        return
    if name == "load-mode" and value in _LOAD_MODES and set(_LOAD_MODES[value]) <= known.keys():
        yield from (f"--{flag}" for flag in _LOAD_MODES[value])
    elif name == "n-cpu-moe" and value and "override-tensor" in known:
        yield from ("--override-tensor", experts_on_cpu(int(value)))
    else:
        raise _unknown(name, value)


def _unknown(name: str, value: str | None) -> UsageError:
    text = f"--{name}" + (f" {value}" if value else "")
    return UsageError(
        f"this llama-server has no option '{text}'",
        hint="update it, or modelscan config set --unset llama_server to use the embedded engine",
        code="unknown_option",
    )


def devices(text: str) -> tuple[str, ...]:
    """The names that ``--list-devices`` prints (``CUDA0: NVIDIA … (24209 MiB, …)``)."""
    return tuple(_DEVICE.findall(text))
