"""The policy file's format as types: which tags need approvals and results of benchmarks.

``core.typed_reader`` reads values of these types: errors, the schema and the page about the file
all come from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.typed_reader import described
from modelscan.core.units import parse_seconds

Comparator = Literal[">=", ">", "<=", "<"]
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_MOST_APPROVALS = 20


@dataclass(frozen=True, slots=True)
class GateFields:
    """A result that a version needs. Exactly one of suite and workload is named."""

    metric: str = field(
        metadata=described("A score (`accuracy`), or a figure (`ttft_s.p95`, `tokens_per_s`).")
    )
    op: Comparator = field(metadata=described("How the result compares with the threshold."))
    threshold: float = field(metadata=described("The bound, in the metric's unit."))
    suite: str | None = field(default=None, metadata=described("A suite of `eval run`."))
    workload: str | None = field(default=None, metadata=described("A workload of `bench run`."))
    max_age: str | None = field(
        default=None, metadata=described("Older results do not count: 12h, 30d (default: all do).")
    )
    hardware: str | None = field(
        default=None,
        metadata=described("Only results on hardware whose name has these words: RTX 4090, H100."),
    )
    concurrency: int | None = field(
        default=None,
        metadata=described(
            "Only the load with so many requests at once (default: the worst load counts).", 1
        ),
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A gate without a subject, or with two; an age that is none."""
        if (self.suite is None) == (self.workload is None):
            message = f"{where} needs either suite or workload"
            yield Finding("error", where, message, "write one of them: suite: coding")
        if self.suite is not None and self.concurrency is not None:
            message = f"{where}: a suite has no concurrency"
            yield Finding("error", f"{where}.concurrency", message, "leave concurrency out")
        yield from _age_problems(self.max_age, f"{where}.max_age")
        if self.threshold != self.threshold or abs(self.threshold) == float("inf"):
            yield Finding("error", f"{where}.threshold", f"{where}: threshold must be a number")


@dataclass(frozen=True, slots=True)
class TagPolicyFields:
    """What a version needs before it gets the tag."""

    approvals: int = field(
        default=2,
        metadata=described("How many people must approve, none of them its proposer.", 1),
    )
    gates: list[GateFields] | None = field(
        default=None, metadata=described("Results that are needed as well, all of them.")
    )
    withdraw: bool = field(
        default=False,
        metadata=described(
            "Whether the tag is taken away when a gate is not met any more; else it is flagged."
        ),
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """A number of approvals that can never be reached."""
        if self.approvals > _MOST_APPROVALS:
            message = f"{where}: approvals must be at most {_MOST_APPROVALS}"
            yield Finding("error", f"{where}.approvals", message, "write: approvals: 2")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """The file: a tag that is not in it may be set by anybody who may change models."""

    version: Literal[1] = field(default=1, metadata=described("The version of the format: 1."))
    tags: dict[str, TagPolicyFields] | None = field(
        default=None, metadata=described("The tags that need approvals, by their names.")
    )

    def problems(self, where: str) -> Iterator[Finding]:
        """Names that no tag can have."""
        for name in self.tags or {}:
            if not TAG.fullmatch(name):
                yield _bad_name(name)


def _bad_name(name: str) -> Finding:
    message = f"'{name[:40]}' is not a tag: letters, digits, '-' and '_', at most 63"
    return Finding("error", "tags", message, "write a name such as curated")


def _age_problems(text: str | None, where: str) -> Iterator[Finding]:
    if text is None:
        return
    try:
        seconds = parse_seconds(text)
    except UsageError as error:
        yield Finding("error", where, f"{where}: {error.message}", "write it like 12h or 30d")
    else:
        if seconds <= 0:
            yield Finding("error", where, f"{where} must be more than 0", "write it like 30d")
