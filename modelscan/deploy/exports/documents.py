"""YAML documents with comments above them, and the quoting of systemd's unit files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Lists below their key are indented, as people write them; no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def comments(lines: Iterable[str]) -> str:
    """Lines as comments, in every format here."""
    return "".join(f"# {line}\n" for line in lines)


def yaml_text(*documents: Mapping[str, Any]) -> str:
    """YAML documents in the order of their keys."""
    texts = [
        yaml.dump(dict(one), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        for one in documents
    ]
    return "---\n".join(texts)


def unit_word(text: str, *, command: bool = False) -> str:
    """One word of a unit file: ``%`` is special everywhere, ``$`` in commands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("\n", "\\n")
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'


def unit_words(words: Iterable[str]) -> str:
    """A command line of a unit file; plain words are not quoted."""
    return " ".join(_plain(word) or unit_word(word, command=True) for word in words)


def _plain(word: str) -> str | None:
    return word if word and all(c.isalnum() or c in "-_./:=,@+" for c in word) else None
