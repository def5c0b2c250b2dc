"""System: is everything in order, what is on the disk, what is set?"""

from __future__ import annotations

from modelscan.deploy.cache_answers import CacheList
from modelscan.deploy.doctor import Diagnosis
from modelscan.state.settings import SettingsShown
from modelscan.supervisor.engines.answers import EngineList
from modelscan.targets.answers import TargetList
from modelscan.web.charts.bar import Piece
from modelscan.web.visit import View, Visit

_SHOWN = 6
_ORDER = {"error": 0, "warning": 1, "ok": 2, "absent": 3}


def view(
    visit: Visit, diagnosis: Diagnosis, cache: CacheList, engines: EngineList, targets: TargetList,
    settings: SettingsShown,
) -> View:  # fmt: skip
    """The page."""
    items = sorted(cache.items, key=lambda one: -one.size_bytes)
    ended = [one for one in cache.partial if not one.active]
    free = [one.size_bytes for one in items if not one.deployments]
    free += [one.size_bytes for one in ended]
    pieces = [
        Piece("weights" if one.deployments else "unused", one.repo, one.size_bytes)
        for one in items[:_SHOWN]
    ]
    rest = cache.total_bytes - sum(int(piece.size) for piece in pieces)
    if rest > 0:
        pieces.append(Piece("other", "other files", rest))
    checks = sorted(diagnosis.checks, key=lambda one: _ORDER[one.status])
    return View("system.html", {
        "title": "System", "diagnosis": diagnosis, "checks": checks, "cache": cache,
        "items": items, "pieces": pieces, "partial": cache.partial, "unused": len(free),
        "unused_bytes": sum(free), "engines": engines.engines,
        "targets": targets, "settings": settings,
    })  # fmt: skip
