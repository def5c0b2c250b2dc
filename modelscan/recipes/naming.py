"""Names of artefacts: ``<base>-<method>-<yyyymmdd>-<hash8>``. Pure.

The hash covers everything that decides the result: the recipe, its script and pins, the base with
its digest, the dataset's digest and the parameters. Equal inputs give equal names on one day.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

ARTIFACT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*-[a-z0-9_]+-\d{8}-[0-9a-f]{8}")
_LONGEST = 64


def base_label(text: str) -> str:
    """The part of an artefact's name that is its base: lower case letters, digits, ``.`` and
    ``-``; the last part of a path or repository.
    """
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1].lower().removesuffix(".gguf")
    label = re.sub(r"[^a-z0-9.]+", "-", last).strip("-.")
    return re.sub(r"-{2,}", "-", label)[:_LONGEST].strip("-.") or "model"


def digest_of(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the inputs, independent of their order."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def artifact_name(base: str, method: str, day: str, inputs: Mapping[str, Any]) -> str:
    """``qwen3-0.6b-fp8-20261130-1a2b3c4d``; ``day``: yyyymmdd."""
    return f"{base_label(base)}-{method}-{day}-{digest_of(inputs)[:8]}"
