"""Public benchmark scores of open models, with the day they were read, from whichllm's tables.

Only rows that the table marks as read from the publisher are taken: the tables also contain their
author's estimates ("peer", "carryover"), which are no scores.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from scripts.catalogs_packages import WHICHLLM, members

SOURCE = "whichllm"
_INSIDE = "whichllm/models/benchmark_sources/"
_LIVE = re.compile(r'^\s+"([\w.-]+/[\w.-]+)": (\d+(?:\.\d+)?),\s+# live(?: \((\d{4}-\d\d-\d\d))?')
_RAW = re.compile(r'^\s+"([\w.-]+/[\w.-]+)": (\d+(?:\.\d+)?),$')
# Both tables state in a comment when a part of them was read.
_AA, _AA_URL = "Artificial Analysis Intelligence Index", "https://artificialanalysis.ai/"
_FIRST_READ, _LATER_READ = "2026-06-29", "2026-09-14"
_LATER = re.compile(r"# Qwen3\.5 / Qwen3\.6 / Qwen3\.8 releases")
_LATER_ENDS = re.compile(r"# 8B-class peers")
_LIVEBENCH, _LIVEBENCH_URL = "LiveBench", "https://livebench.ai/table_2026_01_08.csv"
_LIVEBENCH_DATE = "2026-01-08"


def snapshot() -> SourceSnapshot:
    """One record per name with at least one score; a name is that of a repository or nearly so."""
    files = {path.rpartition("/")[2]: data.decode() for path, data in
             members(WHICHLLM, inside=_INSIDE, suffix=".py")}  # fmt: skip
    scores: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for repo, score in (*_index(files["aa_index.py"]), *_livebench(files["livebench.py"])):
        scores[repo].append(score)
    if len(scores) < 60:
        raise SystemExit("whichllm's tables have few scores: has their form changed?")
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=WHICHLLM.published,
        records=tuple(_record(repo, found) for repo, found in sorted(scores.items())),
        origin=WHICHLLM.origin,
        licence=WHICHLLM.licence,
    )


def _record(repo: str, scores: list[dict[str, Any]]) -> SourceRecord:
    return SourceRecord(
        key=repo,
        kind="scores",
        name=repo.partition("/")[2],
        benchmarks=tuple(scores),
    )


def _index(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    date = _FIRST_READ
    for line in text.splitlines():
        if _LATER.search(line):
            date = _LATER_READ
        elif _LATER_ENDS.search(line):
            date = _FIRST_READ
        match = _LIVE.match(line)
        if match:
            yield match[1], _score(_AA, "index", match[2], match[3] or date, _AA_URL)


def _livebench(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    _, _, rest = text.partition("# --- 2026-01-08 CSV")
    for line in rest.partition("# --- 2026-04 carryover")[0].splitlines():
        match = _RAW.match(line)
        if match:
            yield (
                match[1],
                _score(_LIVEBENCH, "global average", match[2], _LIVEBENCH_DATE, _LIVEBENCH_URL),
            )


def _score(name: str, metric: str, value: str, date: str, source: str) -> dict[str, Any]:
    return {"name": name, "score": float(value), "metric": metric, "date": date, "source": source}
