"""Words of systemd's unit files, quoted. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def unit_word(text: str, *, command: bool = False) -> str:
    """One word: ``%`` is special everywhere, ``$`` in commands only."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("\n", "\\n")
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'


def unit_words(words: Iterable[str]) -> str:
    """A command line; plain words are not quoted."""
    return " ".join(_plain(word) or unit_word(word, command=True) for word in words)


def _plain(word: str) -> str | None:
    return word if word and all(c.isalnum() or c in "-_./:=,@+" for c in word) else None
