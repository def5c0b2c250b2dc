"""Fields of a model that were changed on the server by others. Pure.

The comparison is with the server's answer to our last change, not with what we sent: the server
fills in defaults.
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
    """The fields that are compared, as the server returns them (those its version has).

    Values of variables are stored as fingerprints: they may be secrets, and only need comparing.
    """
    fields = {key: row[key] for key in WATCHED if key in row}
    env = fields.get("env")
    if isinstance(env, dict):
        fields["env"] = {name: _fingerprint(value) for name, value in env.items()}
    elif env:
        fields["env"] = _fingerprint(env)
    return fields


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:16]


def changed(before: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that differ from a snapshot, in a stable order."""
    now = snapshot(row)
    return tuple(
        key for key in WATCHED if key in before and not same(now.get(key), before.get(key))
    )


def same(actual: Any, expected: Any) -> bool:
    """Whether two values are equal where ``expected`` sets something.

    An empty value equals a missing one, and keys that the server adds to an object do not count.
    """
    if not actual and not expected and not isinstance(expected, bool | int):
        return True
    if isinstance(expected, Mapping) and isinstance(actual, Mapping) and expected:
        return all(same(actual.get(key), value) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list) and len(actual) == len(expected):
        return all(same(*pair) for pair in zip(actual, expected, strict=True))
    return bool(actual == expected)


def describe(fields: tuple[str, ...], before: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """``replicas 1 -> 3, backend_parameters`` as text: short values with both sides."""
    words: list[str] = []
    for key in fields:
        old, new = before.get(key), row.get(key)
        plain = all(isinstance(v, str | int | None) and len(str(v)) <= 40 for v in (old, new))
        words.append(f"{key} {old} -> {new}" if plain else key)
    return ", ".join(words)
