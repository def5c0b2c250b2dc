"""YAML documents with comments above them."""

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
