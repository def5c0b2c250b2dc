"""How gateways divide the limit of a key. Pure: what each of them has is an argument.

A limit is never exceeded as long as the shares add up to it at most, and no gateway lets more
through than its share. A share moves only when its owner has given it up: so a gateway takes what
is free, and gives up what others need more and it has not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEASE_S = 10.0
"""A gateway that was not seen for so long is gone."""
WINDOW_S = 60.0
"""Requests per minute of a gateway that is gone count until they are so old."""
_RESERVE = 10
"""Of a limit, one part in so many stays with the gateways that have no requests at the moment."""
_IDLE = 0.1  # weight of a gateway without demand


@dataclass(frozen=True, slots=True)
class LimitPart:
    """What one gateway has of a limit: ``share`` None: all that the others do not have.

    ``used``: of the limit, now. ``demand``: requests per second that it lately received.
    """

    share: int | None
    used: int
    demand: float = 0.0


def next_share(limit: int, own: LimitPart, others: Sequence[LimitPart], gone: int = 0) -> int:
    """The share to have next; at least what is used. ``gone``: used by gateways that are gone."""
    held = sum(limit if other.share is None else other.share for other in others)
    free = max(0, limit - gone - held)
    return max(own.used, min(free, fair_share(limit - gone, own, others)))


def fair_share(limit: int, own: LimitPart, others: Sequence[LimitPart]) -> int:
    """What a gateway should have: what it uses, a reserve, and a part of the rest by demand."""
    everyone = (own, *others)
    rest = max(0, limit - sum(one.used for one in everyone))
    reserve = min(limit // (_RESERVE * len(everyone)), rest // len(everyone))
    rest -= reserve * len(everyone)
    weights = [_weight(one) for one in everyone]
    most = weights[0] >= max(weights)
    part = rest * weights[0] / sum(weights)
    return own.used + reserve + (math.ceil(part) if most else math.floor(part))


def _weight(part: LimitPart) -> float:
    return part.demand + _IDLE


def still_counts(used: int, gone_s: float) -> int:
    """Requests in the last minute of a gateway that was seen ``gone_s`` seconds ago."""
    return math.ceil(used * max(0.0, 1 - gone_s / WINDOW_S))
