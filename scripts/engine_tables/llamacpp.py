"""Facts of one llama.cpp build, from the sources that xllamacpp's releases carry.

llama.cpp is written in C++: its tables of names are read with regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.engine_tables.sources import Sources

Fact = tuple[str, str]  # (kind, row)
WANTED = re.compile(
    r"(llama\.cpp/(src/llama-arch\.cpp|common/arg\.cpp|ggml/include/ggml\.h"
    r"|tools/mtmd/clip(-impl\.h|\.cpp)))$"
)
_ARCHITECTURE = re.compile(r'\{\s*LLM_ARCH_\w+\s*,\s*"([^"]+)"')
_TYPE = re.compile(r"^\s*GGML_TYPE_(\w+)\s*=\s*\d+", re.MULTILINE)
_PROJECTOR = re.compile(r'\{\s*PROJECTOR_TYPE_\w+\s*,\s*"([^"]+)"')
_OPTION = re.compile(r'"--([a-z0-9][\w-]+)"')


def facts(sources: Sources) -> Iterator[Fact]:
    """Every fact of the build as (kind, row)."""
    names = _between(_text(sources, "llama-arch.cpp"), r"LLM_ARCH_NAMES\s*=\s*\{", r"\n\};")
    yield from (("architecture", n) for n in _ARCHITECTURE.findall(names) if n != "(unknown)")
    types = _between(_text(sources, "ggml.h"), r"enum ggml_type \{", r"\n\s*\};")
    yield from (("method", n) for n in _TYPE.findall(types) if n != "COUNT")
    clip = _text(sources, "clip-impl.h") + _text(sources, "clip.cpp")
    yield from (("projector", n) for n in _PROJECTOR.findall(clip))
    yield from (("flag", n) for n in _OPTION.findall(_text(sources, "arg.cpp")))


def _text(sources: Sources, name: str) -> str:
    return "".join(text for path, text in sources.texts.items() if path.endswith(f"/{name}"))


def _between(text: str, start: str, end: str) -> str:
    match = re.search(start + r"(.*?)" + end, text, re.DOTALL)
    return match.group(1) if match else ""
