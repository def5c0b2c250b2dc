"""Records as canonical JSON, their ETags, and what identifies the content of a version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.registry.refused import RegistryRefused
from modelscan.registry.types import RegistryVersionFacts

T = TypeVar("T")


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same text for the same value."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def etag_of(body: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a stored record."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def content_digest(facts: RegistryVersionFacts) -> str:
    """SHA-256 (hexadecimal) of what the weights are.

    Where every file has a checksum, those decide, wherever the files are; else the place, the
    revision, the quantization and the files as far as they are known.
    """
    files = sorted((one.path, one.sha256, one.size_bytes) for one in facts.files if one.sha256)
    lineage = facts.lineage
    base = None if lineage is None else lineage.base or lineage.base_model
    content: dict[str, Any] = {"base": base, "files": files}
    if not files or len(files) < len(facts.files):
        content |= {
            "url": facts.weights_url,
            "revision": facts.revision,
            "quantization": facts.quantization,
            "files": [(one.path, one.sha256, one.size_bytes) for one in facts.files],
        }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def read_record(kind: type[T], value: Any) -> T:
    """A record from JSON. Raises RegistryRefused (invalid) with the place that is wrong."""
    names = getattr(kind, "__dataclass_fields__")  # noqa: B009 - not known to the type
    unknown = sorted(set(value) - set(names)) if isinstance(value, Mapping) else []
    if unknown:
        raise RegistryRefused(
            "invalid", f"there is no field '{unknown[0]}'; the fields are {', '.join(names)}"
        )
    try:
        return from_json(kind, value)
    except (NotReadable, RecursionError) as error:
        raise RegistryRefused("invalid", f"the fields cannot be read: {error}") from None


def merged(before: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396): null removes, objects are merged, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
