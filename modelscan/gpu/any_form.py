"""A tool that answers in another form than asked (an older version, a wrapper) is still read."""

from __future__ import annotations

from collections.abc import Callable

from modelscan.gpu.reading import Reading, Refusal


def read_any(parse: Callable[[str], Reading], text: str, command: str) -> Reading:
    """``parse``; where it refuses, whatever parser the text's shape is for. Raises Refusal."""
    tool = command.split()[0]
    if not text.strip():
        raise Refusal("empty", f"{tool} printed nothing", f"run it by hand: {command}")
    try:
        return parse(text)
    except Refusal as refusal:
        from modelscan.gpu.samples import parse_raw, recognise

        try:
            return parse_raw(text, command)
        except Refusal as other:  # another form of the same tool knows better what it is
            own = (recognise(text) or "").startswith(tool)
            raise (other if own else refusal) from None
