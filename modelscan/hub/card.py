"""A model card: the YAML between the first two ``---`` lines of README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.foreign import mapping
from modelscan.core.yaml_reader import YamlProblem, yaml_value

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
MAX_FRONT_BYTES = 256 * 1024


def parse_card(readme: bytes | str) -> Mapping[str, Any]:
    """The card's fields; empty if there is no front matter or it is invalid."""
    source = readme.decode("utf-8", "replace") if isinstance(readme, bytes) else readme
    match = _FRONT.match(source[:MAX_FRONT_BYTES])
    if not match:
        return {}
    try:  # text, lists and tables only, as the cards of the hub are written by hand
        return mapping(yaml_value(match["yaml"], as_text=True, repeated=True))
    except YamlProblem:
        return {}
