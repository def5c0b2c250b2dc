"""A worker's log without its environment variables. Pure.

Before an engine starts, the worker writes every variable of its own process and of the engine, one
per line. They say nothing about the engine, and may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_INTRODUCED = re.compile(r"\b(?:envs?|(environment variables))\b[^:]*:\s*$", re.IGNORECASE)
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")  # the next log entry
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
_KEY_BEGINS, _KEY_ENDS = (
    re.compile(r"-----BEGIN [A-Z ]+-----"),
    re.compile(r"-----END [A-Z ]+-----"),
)
_INLINE = re.compile(r"(?i)(\benv(?:ironment)?(?: variables)?[=:]\s*)\{[^}]*\}")
LEFT_OUT = "(the worker's environment variables are omitted)"


def without_environment(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the block of variables after ``envs(...):`` and without ``env={...}``.

    On 2.x the block ends at the next line that begins with a time: a value may have several lines.
    0.7 ("environment variables") writes no times: there it ends at the first line that is no
    variable and no part of a key. A tail may begin inside the block.
    """
    block, in_key = "tail", False
    for line in lines:
        if block and _goes_on(block, line, in_key):
            in_key = bool(_KEY_BEGINS.search(line) or (in_key and not _KEY_ENDS.search(line)))
            continue
        begun = _INTRODUCED.search(line)
        block = ("variables" if begun[1] else "timed") if begun else ""
        yield f"{line} {LEFT_OUT}" if begun else _INLINE.sub(rf"\1{LEFT_OUT}", line)


def _goes_on(block: str, line: str, in_key: bool) -> bool:
    """Whether a line still belongs to the block: ``timed``, or ``variables`` (``tail``:
    likewise).
    """
    if block == "timed":
        return not _ENTRY.match(line)
    return in_key or bool(_VARIABLE.match(line))
