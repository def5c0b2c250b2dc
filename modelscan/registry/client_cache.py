"""Answers of a registry in memory: kept for a while, dropped when an event says that they changed.

An answer that was requested before a drop and arrives after it is used once and not kept: it may
be from before the change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A body with its ETag; ``fresh_until`` by a monotonic clock. ``slug``: None: a list."""

    body: bytes
    etag: str | None
    fresh_until: float
    slug: str | None


class RegistryCache:
    """Answers by their address, for any number of threads. One request per address at a time."""

    def __init__(self, lifetime_s: float, clock: Callable[[], float]) -> None:
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._answers: OrderedDict[str, CachedAnswer] = OrderedDict()
        self._asking: dict[str, tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()
        self._drops = 0

    def get(
        self,
        url: str,
        slug: str | None,
        ask: Callable[[str | None], tuple[bytes | None, str | None]],
    ) -> bytes:
        """The body at an address. ``ask`` is called with the ETag of an old answer, and returns a
        body (None: it is still that one) and its ETag; its errors pass.
        """
        kept = self._fresh(url)
        if kept is not None:
            return kept.body
        with self._alone(url):
            kept = self._fresh(url)  # another thread may have been first
            return kept.body if kept is not None else self._asked(url, slug, ask)

    def drop(self, slug: str | None) -> None:
        """Something of a model changed: its answers and all lists are old. None: everything is."""
        with self._lock:
            self._drops += 1
            if slug is None:
                self._answers.clear()
                return
            for url, one in list(self._answers.items()):
                if one.slug is None or one.slug == slug:
                    self._answers[url] = replace(one, fresh_until=float("-inf"))

    def _asked(
        self, url: str, slug: str | None,
        ask: Callable[[str | None], tuple[bytes | None, str | None]],
    ) -> bytes:  # fmt: skip
        with self._lock:
            old, drops = self._answers.get(url), self._drops
        body, etag = ask(None if old is None else old.etag)
        if body is None:
            assert old is not None
            body, etag = old.body, old.etag
        until = self._clock() + self._lifetime_s
        with self._lock:
            if self._drops != drops:  # the change may have come after this answer
                until = float("-inf")
            self._answers[url] = CachedAnswer(body, etag, until, slug)
            self._answers.move_to_end(url)
            while len(self._answers) > MOST_ENTRIES:
                self._answers.popitem(last=False)
        return body

    def _fresh(self, url: str) -> CachedAnswer | None:
        with self._lock:
            one = self._answers.get(url)
            return one if one is not None and self._clock() < one.fresh_until else None

    def _alone(self, url: str) -> _Alone:
        return _Alone(self._asking, self._lock, url)


class _Alone:
    """One thread at a time for an address; its lock exists as long as a thread wants it."""

    def __init__(
        self, locks: dict[str, tuple[threading.Lock, int]], guard: threading.Lock, url: str
    ) -> None:
        self._locks, self._guard, self._url = locks, guard, url

    def __enter__(self) -> None:
        with self._guard:
            lock, waiting = self._locks.get(self._url, (threading.Lock(), 0))
            self._locks[self._url] = (lock, waiting + 1)
        lock.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            lock, waiting = self._locks[self._url]
            if waiting == 1:
                del self._locks[self._url]
            else:
                self._locks[self._url] = (lock, waiting - 1)
            lock.release()
