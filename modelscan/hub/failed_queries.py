"""A hub that did not answer, remembered for some minutes: the next plans do not wait for it again.

A failure counts for one way to a hub: another endpoint or another proxy is tried at once.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.foreign import mapping
from modelscan.net.address import host_of, public
from modelscan.net.errors import HttpError, requested_wait_s
from modelscan.net.proxies import proxy_for
from modelscan.state.clock import text_of
from modelscan.state.files import ensure_dir, write_atomic

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.paths import Paths

PAUSE_S = 300.0
LONGEST_PAUSE_S = 3600.0  # whatever a hub requests
_MODELSCOPE = "modelscope"


@dataclass(frozen=True, slots=True)
class FailedQuery:
    """Why a hub did not answer, and when it is queried again. ``way``: its endpoint and the proxy
    on the way, without passwords. Times are RFC 3339 UTC.
    """

    source: str
    way: str
    reason: str
    failed_at: str
    again_at: str

    @property
    def advice(self) -> str:
        """When and how the hub is queried again."""
        at_once = f"modelscan catalog sync --source {self.source}"
        return f"queried again after {self.again_at[11:16]} UTC, or at once with `{at_once}`"

    @property
    def text(self) -> str:
        """The failure as a note of a later plan."""
        host = host_of(self.way.partition(" ")[0])
        return f"{host} could not be queried at {self.failed_at[11:16]} UTC: {self.reason}"


class FailedQueries:
    """The last failure of each hub, in one small file each. Reading never fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def at(cls, paths: Paths) -> FailedQueries:
        """Those in the catalog's cache folder."""
        return cls(paths.catalog_dir / "unreachable")

    def current(self, source: str, config: Config, now: datetime) -> FailedQuery | None:
        """The failure for which a hub is not queried now; None if it is."""
        try:
            kept = FailedQuery(**mapping(json.loads(self._path(source).read_bytes())))
            since, until = (_moment(text) for text in (kept.failed_at, kept.again_at))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        if not since <= now < until or until - since > timedelta(seconds=LONGEST_PAUSE_S):
            return None  # over, or the clock was set
        return kept if kept.way == _way(source, config) else None

    def keep(self, source: str, config: Config, error: HttpError, now: datetime) -> FailedQuery:
        """Remember that a hub did not answer; returns what is remembered."""
        start = now.timestamp()
        pause_s = min(max(requested_wait_s(error.headers, start) or 0.0, PAUSE_S), LONGEST_PAUSE_S)
        failure = FailedQuery(
            source, _way(source, config), error.message, text_of(start), text_of(start + pause_s)
        )
        with contextlib.suppress(OSError):  # a full disk or a read-only home changes no plan
            ensure_dir(self.folder)
            write_atomic(self._path(source), json.dumps(asdict(failure)))
        return failure

    def forget(self, source: str) -> None:
        """The hub answered."""
        with contextlib.suppress(OSError):
            self._path(source).unlink(missing_ok=True)

    def _path(self, source: str) -> Path:
        return self.folder / f"{source}.json"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _way(source: str, config: Config) -> str:
    on_modelscope = source == _MODELSCOPE
    endpoint = config.modelscope_endpoint if on_modelscope else config.hf_endpoint
    try:
        proxy = proxy_for(endpoint, os.environ)
    except UsageError:
        return public(endpoint)  # a query says what is wrong with the variable
    return f"{public(endpoint)} through {public(proxy.url)}" if proxy else public(endpoint)
