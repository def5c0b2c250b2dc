"""vLLM's options that say which images and videos its start profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from modelscan.engines.option_values import flag

if TYPE_CHECKING:
    from modelscan.core.workload import Workload


def profiled(workload: Workload) -> tuple[bool, bool]:
    """(images, videos): which inputs the start profiles, by the options of the launch."""
    for name in ("skip-mm-profiling", "language-model-only"):
        if flag(workload, name):
            return False, False
    limits = _limits(workload.parameter("limit-mm-per-prompt"))
    images, videos = limits.get("image") != 0, limits.get("video") != 0
    return images or videos, videos


def _limits(text: str | None) -> dict[str, Any]:
    """``{"image": 2}`` or ``image=2,video=0``; anything else limits nothing."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        pairs = (part.split("=", 1) for part in text.split(",") if "=" in part)
        found = {key.strip(): int(value) for key, value in pairs if value.strip().isdigit()}
    return found if isinstance(found, dict) else {}
