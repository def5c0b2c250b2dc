"""A model card: the YAML between the first two ``---`` lines of README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelscan.core.foreign import mapping

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
MAX_FRONT_BYTES = 256 * 1024


def parse_card(readme: bytes | str) -> Mapping[str, Any]:
    """The card's fields; empty if there is no front matter or it is invalid."""
    import yaml

    source = readme.decode("utf-8", "replace") if isinstance(readme, bytes) else readme
    match = _FRONT.match(source[:MAX_FRONT_BYTES])
    if not match:
        return {}
    try:  # BaseLoader: only text, lists and tables, so no value can fail to convert
        return mapping(yaml.load(match["yaml"], Loader=yaml.BaseLoader))  # noqa: S506 - see above
    except (yaml.YAMLError, RecursionError):
        return {}
