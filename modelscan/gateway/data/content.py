"""Texts of requests and answers that are kept by choice: bounded, sent to the serving process.

Without such a choice nothing here is used.
"""

from __future__ import annotations

from modelscan.core.receipt import KeptContent, Receipt
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.tools import ToolTail
from modelscan.gateway.snapshot import ContentChoice

MAX_KEPT = 2 * 1024 * 1024
"""Bytes of a body, and of an answer, that are kept; longer ones are cut and marked so."""


class ContentTail(ToolTail):
    """An answer whose text is kept."""

    __slots__ = ("_all", "_all_size")

    def __init__(self) -> None:
        super().__init__()
        self._all: list[bytes] = []
        self._all_size = 0

    def add(self, data: bytes) -> None:
        """The next bytes of the answer."""
        super().add(data)
        if self._all_size <= MAX_KEPT:
            self._all.append(data)
        self._all_size += len(data)

    def whole(self) -> bytes:
        """The answer, at most ``MAX_KEPT`` bytes and one piece of it."""
        return b"".join(self._all)


def keeps(choice: ContentChoice, plan: RoutePlan) -> bool:
    """Whether the text of a request with this plan is kept."""
    entry, key = plan.route.entry, plan.key
    names = (entry.name, plan.requested)
    return (
        choice.everything
        or any(name in choice.routes for name in names)
        or (key is not None and key.key.name in choice.keys)
    )


def kept_content(receipt: Receipt, body: bytes | bytearray, tail: object) -> KeptContent:
    """The texts of a request that is over."""
    answer = tail.whole() if isinstance(tail, ContentTail) else b""
    cut = len(body) > MAX_KEPT or len(answer) > MAX_KEPT
    request = bytes(body[:MAX_KEPT])
    return KeptContent(receipt.trace_id, receipt.at, request, answer[:MAX_KEPT], cut)
