"""A group of records that are about one model, and small helpers of grouping."""

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
    """A record, its source's name and time, and why it is in the group."""

    source: str
    retrieved_at: str | None
    record: SourceRecord
    reason: str


@dataclass(slots=True)
class Group:
    """One model's records. ``links`` are its repositories and the rule that joined each."""

    id: str
    lab: str | None = None
    members: list[Member] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # released weights -> rule
    primary: bool = True  # False where the same weights belong to another canonical id first

    @property
    def repos(self) -> tuple[str, ...]:
        """The linked repositories; copies under the same name come last."""
        return tuple(sorted(self.links, key=lambda r: (self.links[r] == "same name", r)))


def newer(first: Member, second: Member) -> bool:
    """The later telling; of two at one time a fixed one."""
    times = (first.retrieved_at or "", second.retrieved_at or "")
    return times[0] > times[1] or (times[0] == times[1] and repr(first) > repr(second))


def strength(group: Group) -> tuple[bool, int, int, str]:
    """Order of claims on the same weights: called like them, the surest rule, the shortest id."""
    named = any(key(short(repo)) == key(short(group.id)) for repo in group.links)
    rules = [STRENGTH.index(rule) for rule in group.links.values() if rule in STRENGTH]
    return (not named, min(rules, default=len(STRENGTH)), len(group.id), group.id)


def within(name: str, repo: str) -> bool:
    """All words of the name stand in the repository's name, in order."""
    rest = iter(tokens(repo))
    return all(word in rest for word in key(name).split())


def majority(values: Iterable[T | None]) -> T | None:
    """The most frequent value that is known; equal counts: the smallest."""
    counts = Counter(v for v in values if v is not None)
    return min(counts, key=lambda v: (-counts[v], str(v)), default=None)


def slug(name: str) -> str:
    """A name as the second part of an id."""
    return "-".join(name.lower().replace("/", "-").split()).strip("-")
