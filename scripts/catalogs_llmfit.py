"""llmfit's list of Hugging Face repositories: parameters, licence, downloads, GGUF conversions.

Its memory figures and formats are computed or often wrong: not taken. Layers and heads are, where
``catalogs_architectures`` finds that they give the parameters. The parameter count is the hub's own
for weights as released; packed ones count storage, not parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.catalog.curated import Curated, curated
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant
from modelscan.formats.repo_names import key, owner, short, split_repo_name
from modelscan.hub.variants import task_of
from scripts.catalogs_llmfit_shapes import config_of, context_of
from scripts.catalogs_packages import LLMFIT, members

SOURCE = "llmfit"
_START = re.compile(rb'\[\s*\{\s*"name": "')
_TASKS = frozenset({
    "text-generation", "image-text-to-text", "any-to-any", "text-to-speech",
    "automatic-speech-recognition", "sentence-similarity", "feature-extraction",
})  # fmt: skip
_ENCODERS = ("bert", "roberta", "xlm-roberta")
POPULAR_DOWNLOADS = 20_000
OFFICIAL_DOWNLOADS = 200
CONVERTED_DOWNLOADS = 500


def snapshot() -> SourceSnapshot:
    """The repositories of known labs, their conversions, and what many people download."""
    ((_, program),) = members(LLMFIT, inside=".data/scripts/", suffix="llmfit")
    rows = read_rows(program)
    known = curated()
    originals = {key(short(r["name"])) for r in rows if known.official(r["name"])}
    kept = [row for row in rows if wanted(row, originals, known)]
    records = {r.key: r for row in kept for r in _conversions(row)}
    records.update({row["name"]: _record(row) for row in kept})
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=LLMFIT.published,
        records=tuple(record for _, record in sorted(records.items())),
        origin=LLMFIT.origin,
        licence=LLMFIT.licence,
    )


def read_rows(program: bytes) -> list[dict[str, Any]]:
    """The longest JSON array of named objects in the program."""
    best: list[dict[str, Any]] = []
    for match in _START.finditer(program):
        end = program.find(b"\n]", match.start())
        try:
            rows = json.loads(program[match.start() : end + 2])
        except ValueError:  # two arrays of the program's other tables are not JSON
            continue
        best = max(best, rows, key=len)
    if len(best) < 1000:
        raise SystemExit("llmfit's program carries no model list: has its form changed?")
    return [row for row in best if row["name"].count("/") == 1]


def wanted(row: Mapping[str, Any], originals: set[str], known: Curated) -> bool:
    repo, downloads = row["name"], row.get("hf_downloads") or 0
    if downloads >= POPULAR_DOWNLOADS:
        return True
    if known.official(repo):
        return bool(downloads >= OFFICIAL_DOWNLOADS)
    converted = key(short(repo)) in originals and (
        split_repo_name(short(repo)).derived or owner(repo) in known.converters
    )
    return bool(converted and downloads >= CONVERTED_DOWNLOADS)


def _task(row: Mapping[str, Any]) -> str | None:
    tag = str(row.get("pipeline_tag"))
    return task_of(tag, row["name"]) if tag in _TASKS else None


def _record(row: Mapping[str, Any]) -> SourceRecord:
    repo = row["name"]
    name = split_repo_name(short(repo))
    mlx = name.format is None and owner(repo) == "mlx-community"
    released = not name.derived and not mlx
    downloads = row.get("hf_downloads") or None
    parameters = _counted(row)
    facts = {
        "parameters": parameters,
        "license": _license(row.get("license")),
        "release_date": row.get("release_date") or None,
        "task": _task(row),
        "open_weights": True,
        "capabilities.vision": True if row.get("pipeline_tag") == "image-text-to-text" else None,
        "downloads": downloads,
        "limits.context_tokens": context_of(row),
    }
    variant = Variant(
        repo=repo,
        format=name.format or ("mlx" if mlx else "safetensors"),
        quantization=name.quantization,
        parameters=parameters if released else None,
        downloads=downloads,
    )
    return SourceRecord(
        key=repo,
        kind="repository",
        name=short(repo),
        repos=(repo,),
        facts={k: v for k, v in facts.items() if v is not None} if released else {},
        variants=(variant,),
        architecture=config_of(row) if released else None,
    )


def _conversions(row: Mapping[str, Any]) -> Iterator[SourceRecord]:
    for item in row.get("gguf_sources") or ():
        repo = item.get("repo", "")
        if repo.count("/") == 1:
            yield SourceRecord(
                key=repo,
                kind="repository",
                name=short(repo),
                repos=(repo,),
                base=row["name"],
                variants=(Variant(repo=repo, format="gguf", quantization=None),),
            )


def _license(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in ("", "other", "unknown") else None


def _counted(row: Mapping[str, Any]) -> int | None:
    """A hub's count, below five trillion: a few rows read a number of training tokens as one.

    Where the hub has none, llmfit puts embedding + layers x (4 hidden² + 2 hidden x width) there,
    which leaves out a third of a gated feed-forward and the head: not a count, so not taken. Plain
    encoders are what it describes (a hundredth is missing).
    """
    parameters = row.get("parameters_raw")
    if not isinstance(parameters, int) or not 0 < parameters < 5 * 10**12:
        return None
    hidden, width = row.get("hidden_size") or 0, row.get("moe_intermediate_size") or 0
    layers, vocabulary = row.get("num_hidden_layers") or 0, row.get("vocab_size") or 0
    formula = vocabulary * hidden + layers * (4 * hidden * hidden + 2 * hidden * width)
    computed = parameters == formula and row.get("architecture") not in _ENCODERS
    return None if computed else parameters
