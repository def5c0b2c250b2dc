"""The record of a training run: where its result is, what it started from, with which data.

``run.json`` is an object with ``output`` (or ``output_dir``, ``adapter``, ``checkpoint``): the
folder or file that the run wrote, relative to itself; and, as far as known, ``base``,
``base_revision``, ``method``, ``run_id``, ``dataset`` (a file or a digest), ``dataset_digest``.
A recipe's ``manifest.json`` has the same keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.json_reader import json_value
from modelscan.hub import checksums

_OUTPUTS = ("output", "output_dir", "adapter", "checkpoint", "path")
_MOST_BYTES = 16 << 20
_SHA256_LENGTH = 64


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run's record states; None: nothing."""

    output: Path
    base: str | None = None
    base_revision: str | None = None
    method: str | None = None
    run: str | None = None
    run_digest: str | None = None
    dataset_digest: str | None = None


def read_run(path: Path) -> TrainingRun:
    """A folder or a weight file as it is, a JSON file as the record of a run."""
    if not path.exists():
        raise UsageError(
            f"there is no file or folder '{path}'",
            hint="modelscan registry version add SLUG --from DIR --base MODEL",
            code="no_such_file",
        )
    if path.is_dir() or path.suffix != ".json":
        return TrainingRun(path)
    try:
        data = path.read_bytes()[:_MOST_BYTES]
        record = json_value(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", code="bad_run") from error
    output = _output(record) if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or output is None:
        raise UsageError(
            f"{path} does not say where its result is: it has none of {', '.join(_OUTPUTS)}",
            hint='{"output": "adapter", "base": "org/model", "dataset": "train.jsonl"}',
            code="bad_run",
        )
    place = path.parent / output
    if not place.exists():
        raise UsageError(
            f"the result of {path} is not there: {place}", hint="run it, then add the version",
            code="no_such_file",
        )  # fmt: skip
    return TrainingRun(
        output=place,
        base=_text(record, "base", "base_model"),
        base_revision=_text(record, "base_revision", "revision"),
        method=_text(record, "method", "recipe"),
        run=_text(record, "run_id", "run", "artifact_name", "name"),
        run_digest=hashlib.sha256(data).hexdigest(),
        dataset_digest=_dataset(record, path.parent),
    )


def _output(record: Mapping[str, Any]) -> str | None:
    """The path of the result; of a manifest, an object may have it as ``path``."""
    for key in _OUTPUTS:
        value = record.get(key)
        if isinstance(value, Mapping):
            value = value.get("path")
        if isinstance(value, str) and value:
            return value
    return None


def _dataset(record: Mapping[str, Any], folder: Path) -> str | None:
    """The digest as stated, else of the file that is named."""
    stated = _text(record, "dataset_digest", "dataset_sha256")
    value = record.get("dataset")
    if isinstance(value, Mapping):
        stated = stated or _text(value, "sha256", "digest")
        value = value.get("path")
    if stated is not None or not isinstance(value, str):
        return stated
    if len(value) == _SHA256_LENGTH and set(value) <= set("0123456789abcdef"):
        return value
    file = folder / value
    if file.is_file():
        return checksums.sha256(file)
    raise UsageError(
        f"the dataset {file} is not there, so that its digest is not known",
        hint="write its digest as dataset_digest",
        code="no_such_file",
    )


def _text(record: Mapping[str, Any], *keys: str) -> str | None:
    values = (record.get(key) for key in keys)
    return next((value for value in values if isinstance(value, str) and value), None)
