"""What must hold for the data that is shipped, whatever the packages contained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from modelscan.catalog.merge.describe import SOURCE as DESCRIBED
from modelscan.catalog.records import SourceSnapshot
from modelscan.core.model import Model

LEAST_ENTRIES = {
    "models.dev": 8000, "gpustack": 250, "xinference": 1200, "llmfit": 3000, "configs": 80,
}  # fmt: skip
LEAST_MODELS = 3000
LEAST_REPOSITORIES = 1200
_DATE = re.compile(r"^(19|20)\d\d(-\d\d(-\d\d)?)?$")
_REPO = re.compile(r"^[\w.-]+/[\w.-]+$")


def check(models: Sequence[Model], snapshots: Sequence[SourceSnapshot]) -> list[str]:
    """Every problem, in words; an empty list is a pass."""
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: counts(models, snapshots),
        lambda: identities(models),
        lambda: values(models),
        lambda: links(models),
        lambda: complete(models, snapshots),
        lambda: no_prose(models, snapshots),
    )
    return [problem for run in checks for problem in run()]


def counts(models: Sequence[Model], snapshots: Sequence[SourceSnapshot]) -> Iterator[str]:
    have = {s.source: len(s.records) for s in snapshots}
    for source, least in LEAST_ENTRIES.items():
        if have.get(source, 0) < least:
            yield f"{source} has {have.get(source, 0)} entries, expected at least {least}"
    repos = {v.repo.lower() for m in models for v in m.variants}
    if len(models) < LEAST_MODELS:
        yield f"{len(models)} models, expected at least {LEAST_MODELS}"
    if len(repos) < LEAST_REPOSITORIES:
        yield f"{len(repos)} repositories, expected at least {LEAST_REPOSITORIES}"


def identities(models: Sequence[Model]) -> Iterator[str]:
    for model_id, count in Counter(m.id.lower() for m in models).items():
        if count > 1:
            yield f"id {model_id} stands for {count} models"
    for model in models:
        if model.id.count("/") < 1 or model.id != model.id.lower() or not model.name:
            yield f"{model.id!r} is not an id, or it has no name"


def values(models: Sequence[Model]) -> Iterator[str]:
    for m in models:
        for what, number, most in (
            ("parameters", m.parameters, 10**13),
            ("active parameters", m.active_parameters, 10**13),
            ("context", m.limits.context_tokens, 10**9),
        ):
            if number is not None and not 0 < number < most:
                yield f"{m.id}: {what} {number}"
        if m.parameters and m.active_parameters and m.active_parameters > m.parameters * 1.1:
            yield f"{m.id}: {m.active_parameters} of {m.parameters} parameters are active"
        for date in (m.release_date, m.knowledge, m.last_updated):
            if date is not None and not _DATE.match(date):
                yield f"{m.id}: date {date}"
        for offering in m.offerings:
            price = offering.pricing
            if price and any(
                p is not None and not 0 <= p < 10_000
                for p in (price.input_usd_per_mtok, price.output_usd_per_mtok)
            ):
                yield f"{offering.id}: price {price}"


def links(models: Sequence[Model]) -> Iterator[str]:
    """Every repository is one, every released repository is a variant, every field has a source."""
    for m in models:
        for repo in {*m.repos, *(v.repo for v in m.variants if v.source == "huggingface")}:
            if not _REPO.match(repo):
                yield f"{m.id}: {repo!r} is not a repository"
        missing = {r.lower() for r in m.repos} - {v.repo.lower() for v in m.variants}
        if missing:
            yield f"{m.id}: {missing} are linked but no variants"
        for field in ("parameters", "license", "release_date", "open_weights", "task"):
            if getattr(m, field) is not None and field not in m.provenance:
                yield f"{m.id}: {field} has no source"


def complete(models: Sequence[Model], snapshots: Sequence[SourceSnapshot]) -> Iterator[str]:
    """No entry of any source is lost on the way."""
    offerings = {o.id for m in models for o in m.offerings}
    repos = {v.repo.lower() for m in models for v in m.variants}
    ids = {m.id for m in models}
    for snapshot in snapshots:
        for record in snapshot.records:
            if record.canonical and record.canonical.lower() not in ids:
                yield f"{snapshot.source}: canonical {record.canonical} is gone"
            for offering in record.offerings:
                if offering.id not in offerings:
                    yield f"{snapshot.source}: {offering.id} is gone"
            for repo in record.repos:
                if repo.lower() not in repos:
                    yield f"{snapshot.source}: {repo} is gone"


def no_prose(models: Sequence[Model], snapshots: Sequence[SourceSnapshot]) -> Iterator[str]:
    """Facts only: no description but those made from them."""
    if any(m.description and m.provenance["description"].source != DESCRIBED for m in models):
        yield "a model has a description that was copied"
    if any("description" in r.facts for s in snapshots for r in s.records):
        yield "a record has a description"
