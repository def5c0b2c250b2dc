"""A worker's log without its environment. Pure.

Before an engine starts, the worker writes every variable of its own process and of the engine,
one per line. None of it says anything of the engine, and any of it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_INTRODUCED = re.compile(r"\benvs?\b[^:]*:\s*$", re.IGNORECASE)
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")  # the next log entry
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
_INLINE = re.compile(r"(?i)(\benv(?:ironment)?(?: variables)?[=:]\s*)\{[^}]*\}")
LEFT_OUT = "(the worker's environment is left out)"


def without_environment(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the block of variables after ``envs(...):`` and without ``env={...}``.

    The block ends with the next line that begins with a time: a value may have several lines. A
    tail may begin in the middle of the block.
    """
    inside, first = False, True
    for line in lines:
        first = first and bool(_VARIABLE.match(line))
        if first or (inside and not _ENTRY.match(line)):
            continue
        inside = bool(_INTRODUCED.search(line))
        yield f"{line} {LEFT_OUT}" if inside else _INLINE.sub(rf"\1{LEFT_OUT}", line)
