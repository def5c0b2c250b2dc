"""What somebody changed on the server behind our back. Pure.

Compared with what the server itself answered to our last change, not with what we sent: it fills
in defaults of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

WATCHED = (
    "name", "replicas", "source", "huggingface_repo_id", "huggingface_filename",
    "model_scope_model_id", "model_scope_file_path", "local_path", "backend", "backend_version",
    "backend_parameters", "image_name", "run_command", "env", "categories", "placement_strategy",
    "worker_selector", "gpu_selector", "restart_on_error", "extended_kv_cache",
    "speculative_config", "lora_list",
)  # fmt: skip


def snapshot(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that matter, as the server has them now (those its version knows).

    Values of variables are kept as fingerprints: they may be secrets, and only have to be compared.
    """
    kept = {key: row[key] for key in WATCHED if key in row}
    if kept.get("env"):
        kept["env"] = {name: _fingerprint(value) for name, value in kept["env"].items()}
    return kept


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:16]


def changed(before: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that differ from a snapshot, in a stable order."""
    now = snapshot(row)
    return tuple(
        key for key in WATCHED if key in before and not same(now.get(key), before.get(key))
    )


def same(there: Any, wanted: Any) -> bool:
    """Equal where ``wanted`` says something: an empty value and a missing one are the same, and
    keys that the server adds to an object do not count."""
    if not there and not wanted and not isinstance(wanted, bool | int):
        return True
    if isinstance(wanted, Mapping) and isinstance(there, Mapping) and wanted:
        return all(same(there.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(there, list) and len(there) == len(wanted):
        return all(same(*pair) for pair in zip(there, wanted, strict=True))
    return bool(there == wanted)


def describe(fields: tuple[str, ...], before: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """``replicas 1 -> 3, backend_parameters`` for people: short values with both sides."""
    words: list[str] = []
    for key in fields:
        old, new = before.get(key), row.get(key)
        plain = all(isinstance(v, str | int | None) and len(str(v)) <= 40 for v in (old, new))
        words.append(f"{key} {old} -> {new}" if plain else key)
    return ", ".join(words)
