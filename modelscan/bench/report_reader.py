"""Benchmark results from foreign JSON: a report of modelscan or GenieHive, a body with samples.

Pure. A result keeps every field that it came with, so that its writer can read it back.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelscan.core.json_reader import json_value

MOST_SAMPLES = 10_000
MOST_BYTES = 64 * 1024 * 1024
_MOST_RESULTS, _LONGEST_TEXT, _LONGEST_VALUE, _LARGEST_DETAIL = 100, 300, 2_000, 64_000
_SHARES = ("pass_rate", "response_rate", "quality_score", "empty_visible_response_rate")
_AMOUNTS = (
    "case_count", "p50_latency_ms", "ttft_ms", "tokens_per_sec", "prompt_tokens",
    "completion_tokens",
)  # fmt: skip

_FRACTION = re.compile(r"\.(\d+)")  # Python 3.10 reads three or six digits only

# A list or an object is a detail that its writer keeps, e.g. the cases of GenieHive's workloads.
ResultValue = str | int | float | bool | list[Any] | dict[str, Any] | None


class ReportFault(ValueError):
    """What is wrong in a report; the message begins with the place (``$.samples[2].workload``)."""


@dataclass(frozen=True, slots=True)
class GivenSample:
    """One benchmark result. ``observed_at`` is a UNIX time, ``results`` its fields as they came.

    ``service_id`` is what its writer called the service: with GenieHive's scripts the model's name
    as it was typed, which may be a role.
    """

    benchmark_id: str
    service_id: str
    asset_id: str | None
    workload: str
    observed_at: float
    results: Mapping[str, ResultValue]
    source: str | None = None


@dataclass(frozen=True, slots=True)
class GivenReport:
    """The samples of a report, and the report itself where it has an id (a mere body has none)."""

    samples: tuple[GivenSample, ...]
    report_id: str | None = None
    source: str | None = None
    observed_at: float | None = None
    document: Mapping[str, Any] | None = None


def read_report_text(text: bytes | str, now: float) -> GivenReport:
    """The samples of a report's JSON text. Raises ReportFault; ``now`` as in ``read_report``."""
    if len(text) > MOST_BYTES:
        raise ReportFault(f"it has {len(text):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        document = json_value(text)
    except ValueError as error:
        raise ReportFault(f"it is not JSON: {error}") from error
    return read_report(document, now)


def read_report(document: object, now: float) -> GivenReport:
    """The samples of a report. ``now``, a UNIX time, counts where a time is missing.

    A sample without an id gets one from its content: the same sample is known again. Raises
    ReportFault where something is missing or has another type.
    """
    body = _object(document, "$")
    rows = body.get("samples")
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ReportFault("$.samples: a list of results is missing")
    if len(rows) > MOST_SAMPLES:
        raise ReportFault(f"$.samples: {len(rows):,} results; at most {MOST_SAMPLES:,} are read")
    source = _optional_text(body.get("source"), "$.source")
    observed = _moment(body.get("observed_at"), "$.observed_at")
    at = now if observed is None else observed
    report_id = _optional_text(body.get("report_id"), "$.report_id")
    samples = tuple(
        _sample(row, f"$.samples[{index}]", at, source) for index, row in enumerate(rows)
    )
    return GivenReport(samples, report_id, source, observed, body if report_id else None)


def _sample(row: object, place: str, observed_at: float, source: str | None) -> GivenSample:
    fields = _object(row, place)
    moment = _moment(fields.get("observed_at"), f"{place}.observed_at")
    results = _results(fields.get("results"), f"{place}.results")
    own_source = results.get("source")
    sample = GivenSample(
        benchmark_id=_optional_text(fields.get("benchmark_id"), f"{place}.benchmark_id") or "",
        service_id=_text(fields.get("service_id"), f"{place}.service_id"),
        asset_id=_optional_text(fields.get("asset_id"), f"{place}.asset_id"),
        workload=_text(fields.get("workload"), f"{place}.workload"),
        observed_at=observed_at if moment is None else moment,
        results=results,
        source=own_source if isinstance(own_source, str) else source,
    )
    return sample if sample.benchmark_id else replace(sample, benchmark_id=_content_id(sample))


def _content_id(sample: GivenSample) -> str:
    """The id of a sample that came without one."""
    content = [
        sample.service_id, sample.asset_id, sample.workload, sample.observed_at,
        dict(sample.results),
    ]  # fmt: skip
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return "bench_" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _results(value: object, place: str) -> dict[str, ResultValue]:
    """The fields of a result, checked: shares 0..1, amounts not negative, details not large."""
    fields = _object(value, place)
    if len(fields) > _MOST_RESULTS:
        raise ReportFault(f"{place}: {len(fields)} fields; at most {_MOST_RESULTS} are read")
    results = {
        _text(name, place): _result(item, f"{place}.{name}") for name, item in fields.items()
    }
    for name in (*_SHARES, *_AMOUNTS):
        _check_number(results.get(name), f"{place}.{name}", most=1.0 if name in _SHARES else None)
    return results


def _result(value: object, place: str) -> ResultValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _bounded(value, place, _LONGEST_VALUE)
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, dict)):
        return _detail(value, place)
    raise ReportFault(f"{place}: a number, a text, true, false or null is required")


def _detail(value: list[Any] | dict[str, Any], place: str) -> list[Any] | dict[str, Any]:
    """A list or an object as it came."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (ValueError, RecursionError):
        raise ReportFault(f"{place}: a number in it is not finite, or it is too deep") from None
    if len(text) > _LARGEST_DETAIL:
        raise ReportFault(
            f"{place}: {len(text):,} characters; at most {_LARGEST_DETAIL:,} are stored"
        )
    if "\\u0000" in text:
        raise ReportFault(f"{place}: it contains a NUL character")
    return value


def _check_number(value: ResultValue, place: str, most: float | None) -> None:
    if value is None:
        return
    if isinstance(value, (bool, str, list, dict)) or _is_outside(value, most):
        limit = f"between 0 and {most:g}" if most is not None else "of at least 0"
        raise ReportFault(f"{place}: a number {limit} is required, not {json.dumps(value)[:40]}")


def _is_outside(value: float, most: float | None) -> bool:
    return value < 0 or (most is not None and value > most)


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReportFault(f"{place}: a JSON object is required")
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ReportFault(f"{place}: a text is required")
    return _bounded(value, place, _LONGEST_TEXT)


def _optional_text(value: object, place: str) -> str | None:
    return None if value is None else _text(value, place)


def _bounded(value: str, place: str, longest: int) -> str:
    if len(value) > longest:
        raise ReportFault(f"{place}: {len(value):,} characters; at most {longest:,} are stored")
    if "\x00" in value:
        raise ReportFault(f"{place}: it contains a NUL character")
    return value


def _moment(value: object, place: str) -> float | None:
    """A UNIX time from a number or from RFC 3339 text; None where there is none."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11:
        return float(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(_FRACTION.sub(_micro, value.replace("Z", "+00:00")))
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
    raise ReportFault(f"{place}: a UNIX time or a time like 2026-01-31T09:30:00Z is required")


def _micro(fraction: re.Match[str]) -> str:
    return "." + fraction[1][:6].ljust(6, "0")
