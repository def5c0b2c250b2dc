"""Kept texts as they are shown and exported: messages, the answer, the tools that were offered."""

from __future__ import annotations

from typing import Any, Protocol

from modelscan.core.receipt import KeptContent, Receipt
from modelscan.traces.messages import answer_message, offered_tools, request_messages


class KeptTexts(Protocol):
    """Where kept texts are."""

    def find(self, trace_id: str) -> KeptContent | None:
        """The texts of a request; None: none were kept."""


class ContentView:
    """Reads kept texts."""

    def __init__(self, store: KeptTexts) -> None:
        self._store = store

    def of(self, receipt: Receipt) -> dict[str, Any] | None:
        """The texts of a request; None: none were kept."""
        kept = self._store.find(receipt.trace_id)
        return None if kept is None else content_of(kept, receipt.operation)


def content_of(kept: KeptContent, operation: str) -> dict[str, Any]:
    """``messages`` (None: the body is no conversation or was cut), ``answer`` (None: unreadable),
    ``tools`` and ``cut``. A stream is put together: a secret may be cut anywhere in it."""
    return {
        "messages": request_messages(kept.request, operation),
        "answer": answer_message(kept.answer),
        "tools": offered_tools(kept.request),
        "cut": kept.cut,
    }
