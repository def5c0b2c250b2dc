"""Answers of the control application that it allows to be repeated for a moment.

Clients ask for the list of models again and again; the control application is built for
convenience, not for that. It says for how long an answer stays true (``Cache-Control: max-age``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.state import LiveKey

_MOST = 256
_MOST_BYTES = 1 << 20
_MAX_AGE = re.compile(rb"cache-control:[^\r\n]*\bmax-age=(\d{1,5})\b")

Identity = tuple[bytes, str | None, bytes, bytes | None, bytes]


class ReusableAnswers:
    """Whole answers to GET by target, key, page and headers; empty again after each change."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[Identity, tuple[float, bytes]] = {}

    def find(self, request: ClientRequest, key: LiveKey | None, now: float) -> bytes | None:
        """An answer that may be repeated."""
        if not self._answers or request.method != b"GET" or not request.keep or request.request_id:
            return None
        found = self._answers.get(_identity(request, key))
        return found[1] if found is not None and now < found[0] else None

    def offer(
        self, request: ClientRequest, key: LiveKey | None, headers: Iterable[bytes], answer: bytes,
        now: float,
    ) -> None:  # fmt: skip
        """Keep an answer if its headers allow it."""
        whole = request.method == b"GET" and request.keep and len(answer) <= _MOST_BYTES
        if not whole or request.request_id:  # an answer with a request's own id is only its own
            return
        age = next((found for line in headers if (found := _MAX_AGE.match(line))), None)
        if age is None or not int(age.group(1)):
            return
        if len(self._answers) >= _MOST:
            self._answers.clear()
        self._answers[_identity(request, key)] = (now + int(age.group(1)), answer)

    def clear(self) -> None:
        """Routes or keys changed."""
        self._answers.clear()


def _identity(request: ClientRequest, key: LiveKey | None) -> Identity:
    """Whatever the control application could make its answer depend on."""
    facts = request.facts
    name = None if key is None else key.key.name
    return request.target, name, facts.cors, facts.known.get(b"host"), facts.forward
