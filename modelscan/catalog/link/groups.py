"""Groups of records about one model, and helper functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from modelscan.catalog.records import SourceRecord
from modelscan.formats.repo_names import key, short, tokens

T = TypeVar("T")
STRENGTH = (
    "weights", "curated", "exact", "name", "display name", "rows agree", "serving word",
    "completion", "decoration", "word order",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A record in a group, its source's name and time, and the reason why it is in the group."""

    source: str
    retrieved_at: str | None
    record: SourceRecord
    reason: str


@dataclass(slots=True)
class RecordGroup:
    """The records of one model. ``links``: its repositories and the rule for each."""

    id: str
    lab: str | None = None
    members: list[Member] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # released weights -> rule
    primary: bool = True  # False if the same weights belong to another canonical id

    @property
    def repos(self) -> tuple[str, ...]:
        """The linked repositories; copies with the same name last."""
        return tuple(sorted(self.links, key=lambda r: (self.links[r] == "same name", r)))


def newer(first: Member, second: Member) -> bool:
    """True if ``first`` is newer; for equal times, a fixed order."""
    times = (first.retrieved_at or "", second.retrieved_at or "")
    return times[0] > times[1] or (times[0] == times[1] and repr(first) > repr(second))


def strength(group: RecordGroup) -> tuple[bool, int, int, str]:
    """Sort key for claims on the same weights: same name, most certain rule, shortest id."""
    has_same_name = any(key(short(repo)) == key(short(group.id)) for repo in group.links)
    rules = [STRENGTH.index(rule) for rule in group.links.values() if rule in STRENGTH]
    return (not has_same_name, min(rules, default=len(STRENGTH)), len(group.id), group.id)


def within(name: str, repo: str) -> bool:
    """True if the repository's name contains all words of the name, in order."""
    rest = iter(tokens(repo))
    return all(word in rest for word in key(name).split())


def majority(values: Iterable[T | None]) -> T | None:
    """The most frequent known value; for equal counts, the smallest."""
    counts = Counter(v for v in values if v is not None)
    return min(counts, key=lambda v: (-counts[v], str(v)), default=None)


def slug(name: str) -> str:
    """A name in the form of the second part of an id."""
    return "-".join(name.lower().replace("/", "-").split()).strip("-")
