"""Datasets with planted texts, for tests of recipes."""

from __future__ import annotations

import json
from pathlib import Path

CANARIES = ("CANARY-4411-question", "CANARY-4412-answer")


def write_chats(file: Path, count: int = 4) -> Path:
    """``count`` different conversations; the first has the planted texts."""
    rows = [
        {"messages": [{"role": "user", "content": f"{CANARIES[0]} number {n} of many" if n == 0
                       else f"question {n} about topic {n * 7} and word {chr(97 + n % 26) * 3}"},
                      {"role": "assistant", "content": f"{CANARIES[1]} {n}" if n == 0
                       else f"answer {n} which says {n * 13} things"}]}
        for n in range(count)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
