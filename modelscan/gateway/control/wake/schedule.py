"""Which deployments start, and which make room for them. Pure.

Requests wait in turn: the deployment whose first request has waited longest comes first. One that
is ready stays so for a while; what ends is chosen by priority, by use and by time, never a pinned
one, and none with requests under way: it is closed, so that they end, and then stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from modelscan.core.units import format_bytes
from modelscan.gateway.control.wake.situation import (
    Action,
    Close,
    Pools,
    Refuse,
    Reopen,
    Situation,
    Sleepable,
    StartNow,
    Unload,
)

AGAIN_S = 10.0  # after a refusal for memory: another deployment may have ended by then
_HERE = ("starting", "ready", "closing", "stopping")


def schedule(situation: Situation) -> tuple[Action, ...]:
    """What to do now; nothing: wait until something changes."""
    turn = _Turn(situation)
    for one in sorted(situation.sleepables, key=lambda one: (one.oldest_at, one.name)):
        if one.waiting and one.phase in ("asleep", "ended"):
            turn.serve(one)
    return turn.actions()


class _Turn:
    """The memory and the places that are not given away yet, in the order of the turns.

    ``free``: now, less what starts. ``coming``: with what is about to end, less what earlier turns
    need; it may be negative, by what they still lack.
    """

    def __init__(self, situation: Situation) -> None:
        self._all = situation
        self._free = dict(situation.free)
        self._coming = dict(situation.free)
        self._claimed: dict[str, str] = {}  # what has to end -> for which deployment
        self._given: set[str] = set()  # groups whose place has an earlier one
        self._decided: list[Action] = []
        for one in situation.sleepables:
            if one.phase == "starting":
                _subtract(self._free, one.needs)
                _subtract(self._coming, one.needs)
            elif one.phase == "stopping":
                self._add(one)

    def serve(self, one: Sleepable) -> None:
        """Start one, or make room for it, or refuse its requests."""
        if one.phase == "ended":
            reason = one.reason or f"{one.name} does not run"
            self._decided.append(Refuse(one.name, reason, None))
        elif one.not_before > self._all.now:
            self._decided.append(Refuse(one.name, one.reason or "it failed", one.not_before))
        elif one.swap.group is not None and one.swap.group in self._given:
            return
        else:
            self._serve(one)

    def _serve(self, one: Sleepable) -> None:
        rivals = self._rivals(one)
        pinned = [rival for rival in rivals if rival.swap.pin and rival.phase != "stopping"]
        if pinned:
            text = f"{one.name} takes the place of {pinned[0].name}, which is pinned"
            self._decided.append(Refuse(one.name, text, self._all.now + AGAIN_S))
            return
        ending = self._must_end(one, rivals)
        if ending is None and one.least:
            one = replace(one, needs=one.least)
            ending = self._must_end(one, rivals)
        if ending is None:
            self._decided.append(self._too_large(one))
            return
        if not rivals and not ending and self._has_room(one):
            self._decided.append(StartNow(one.name))
            _subtract(self._free, one.needs)
        for other in ending:
            self._claimed[other.name] = one.name
            self._add(other)
        if one.swap.group is not None:
            self._given.add(one.swap.group)
        _subtract(self._coming, one.needs)

    def _has_room(self, one: Sleepable) -> bool:
        return not _lacks(one.needs, self._free) and not _lacks(one.needs, self._coming)

    def _rivals(self, one: Sleepable) -> list[Sleepable]:
        """The other members of its group that are here, or on their way."""
        group = one.swap.group
        return [
            other for other in self._all.sleepables
            if group is not None and other.swap.group == group and other.name != one.name
            and other.phase in _HERE
        ]  # fmt: skip

    def _must_end(self, one: Sleepable, rivals: Sequence[Sleepable]) -> list[Sleepable] | None:
        """What ends for it, besides what ends already; None: even everything would not suffice."""
        chosen = [other for other in rivals if other.phase in ("ready", "closing")]
        chosen = [other for other in chosen if other.name not in self._claimed]
        lack = _lacks(one.needs, _sum(self._coming, chosen))
        for other in self._movable():
            if not lack:
                break
            if other not in chosen and any(other.holds.get(pool, 0) > 0 for pool in lack):
                chosen.append(other)
                lack = _lacks(one.needs, _sum(self._coming, chosen))
        if lack:
            return [] if self._starting_would_do(one, chosen) else None
        return self._fewest(one, chosen, rivals)

    def _movable(self) -> list[Sleepable]:
        """What may end, the first to end first: closed, low priority, unused, longest unused."""
        return sorted(
            (
                one for one in self._all.sleepables
                if one.phase in ("ready", "closing") and not one.swap.pin
                and one.name not in self._claimed
            ),
            key=lambda one: (
                one.phase != "closing", one.swap.priority, one.flying > 0, one.used_at, one.name
            ),
        )  # fmt: skip

    def _starting_would_do(self, one: Sleepable, chosen: Sequence[Sleepable]) -> bool:
        """Whether it fits once what starts now, and what earlier turns need, may end, too."""
        everything = dict(self._all.free)
        for other in self._all.sleepables:
            if other.phase in _HERE and not other.swap.pin:
                for pool, size in (other.holds or other.needs).items():
                    everything[pool] = everything.get(pool, 0) + size
        return not _lacks(one.needs, everything)

    def _fewest(
        self, one: Sleepable, chosen: list[Sleepable], rivals: Sequence[Sleepable]
    ) -> list[Sleepable]:
        """Without those that turned out not to be needed, the last ones to end first."""
        kept = list(chosen)
        for other in reversed(chosen):
            rest = [each for each in kept if each is not other]
            if other not in rivals and not _lacks(one.needs, _sum(self._coming, rest)):
                kept = rest
        return kept

    def _too_large(self, one: Sleepable) -> Refuse:
        pool, lack = next(iter(_lacks(one.needs, self._coming).items()))
        where = "host memory" if pool is None else f"memory of GPU {pool}"
        pinned = [o.name for o in self._all.sleepables if o.swap.pin and o.phase in _HERE]
        because = f"; pinned: {', '.join(sorted(pinned))}" if pinned else ""
        text = (
            f"{one.name} needs {format_bytes(one.needs[pool])} of {where}, "
            f"{format_bytes(max(0, one.needs[pool] - lack))} can be made free{because}"
        )
        return Refuse(one.name, text, self._all.now + AGAIN_S)

    def _add(self, one: Sleepable) -> None:
        for pool, size in one.holds.items():
            self._coming[pool] = self._coming.get(pool, 0) + size

    def actions(self) -> tuple[Action, ...]:
        """What was decided, and what becomes of those that must end."""
        return (*self._decided, *self._endings())

    def _endings(self) -> Iterable[Action]:
        now = self._all.now
        for one in self._all.sleepables:
            by = self._claimed.get(one.name)
            tired = now >= one.since + self._all.patience_s
            if one.phase == "closing" and (by is None or tired):
                yield Reopen(one.name)
            elif by is None:
                continue
            elif one.phase == "ready" and now >= one.since + self._all.residence_s:
                yield Close(one.name, by)
            elif self._may_end(one):
                yield Unload(one.name, by)

    def _may_end(self, one: Sleepable) -> bool:
        settled_at = max(one.since + self._all.settle_s, one.not_before)
        return one.phase == "closing" and not one.flying and self._all.now >= settled_at


def _lacks(needs: Pools, free: Pools) -> dict[int | None, int]:
    """The bytes that are missing, by pool."""
    return {
        pool: size - free.get(pool, 0) for pool, size in needs.items() if size > free.get(pool, 0)
    }


def _subtract(free: dict[int | None, int], needs: Pools) -> None:
    for pool, size in needs.items():
        free[pool] = free.get(pool, 0) - size


def _sum(free: Pools, ending: Iterable[Sleepable]) -> dict[int | None, int]:
    total = dict(free)
    for one in ending:
        for pool, size in one.holds.items():
            total[pool] = total.get(pool, 0) + size
    return total
