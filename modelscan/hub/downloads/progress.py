"""Counts the bytes of downloads, and reports rate and remaining time."""

from __future__ import annotations

import time

from modelscan.hub.downloads.types import Progress, Report


class Meter:
    """Counts bytes over all files; ``file`` is the one that is downloaded now."""

    def __init__(self, total: int, report: Report | None) -> None:
        self.total, self.done, self.fresh, self.file = total, 0, 0, ""
        self._report, self._start = report, time.monotonic()

    def moved(self, count: int, /, *, fresh: bool = True) -> None:
        """See ``types.Moved``."""
        self.done += count
        self.fresh += count if fresh else 0
        if self._report is None:
            return
        elapsed = time.monotonic() - self._start
        rate = self.fresh / elapsed if elapsed > 0.5 else None
        left_s = max(0, self.total - self.done) / rate if rate else None
        self._report(Progress(self.file, self.done, self.total, rate, left_s))
