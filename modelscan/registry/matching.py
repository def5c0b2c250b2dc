"""Which version a report measured, by checksum, else by revision and quantization. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.registry.results import MatchedBy, MeasuredSubject
from modelscan.registry.types import ModelVersion

_SHORTEST_REVISION = 7  # of a commit; ``main`` names something else every day


def needles(subject: MeasuredSubject) -> Iterator[tuple[MatchedBy, str]]:
    """What to look for in the stored versions, the surest first."""
    if subject.sha256 is not None:
        yield "sha256", subject.sha256
    if subject.revision is not None and len(subject.revision) >= _SHORTEST_REVISION:
        yield "revision", subject.revision


def fits(subject: MeasuredSubject, version: ModelVersion, by: MatchedBy) -> bool:
    """Whether a version is what was measured, by that."""
    if contradiction(subject, version) is not None:
        return False
    if by == "sha256":
        return subject.sha256 in version.sha256.values()
    return subject.revision == version.revision


def contradiction(subject: MeasuredSubject, version: ModelVersion) -> str | None:
    """Why a report cannot be about a version; None: nothing known speaks against it."""
    sums = set(version.sha256.values())
    if subject.sha256 is not None and sums:
        whole = len(version.sha256) == len(version.files)
        if subject.sha256 in sums:
            return None
        if whole:
            return f"it measured weights with the SHA-256 {subject.sha256[:12]}…"
    pairs = (
        ("revision", subject.revision, version.revision),
        ("quantization", subject.quantization, version.quantization),
    )
    for name, measured, own in pairs:
        if measured is not None and own is not None and measured.lower() != own.lower():
            return f"it measured the {name} {measured}, and the version has {own}"
    return None
