"""The one reader of foreign JSON: a fault is a ValueError, and its texts can be written again."""

from __future__ import annotations

import json
import re
from typing import Any

# Half of a surrogate pair, which no file and no terminal can take.
_LONE = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(?:d[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})"
    r"|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f][0-9a-f]{2})",
    re.IGNORECASE,
)


def json_value(data: bytes | str) -> Any:
    """The value. Raises ValueError for everything else: not JSON, nested too deeply, a number of
    thousands of digits, text that is not UTF-8."""
    text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    if "\\u" in text:
        text = _LONE.sub(r"\1\\ufffd", text)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
