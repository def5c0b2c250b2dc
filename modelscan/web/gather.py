"""The documents behind the pages, by the commands' own functions; what takes long is kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from modelscan.api import Workspace
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.deploy.shown import deployment_shown
from modelscan.evals.board import board
from modelscan.evals.compare import EvalComparison, compare
from modelscan.evals.pair import find_pair
from modelscan.evals.storage import stored_reports
from modelscan.registry.desk import CurationDesk, CurationFilter
from modelscan.registry.search import search_models
from modelscan.routing.clients.connect import ConnectWishes, connect
from modelscan.routing.clients.offer import served_facts
from modelscan.routing.clients.registry import CLIENTS
from modelscan.traces.answers import TraceAccess, list_spans, show_span
from modelscan.traces.retention import receipt_store
from modelscan.traces.store import ReceiptFilter
from modelscan.web.kept import Kept
from modelscan.web.pages import courses as courses_page
from modelscan.web.pages import registry as registry_page
from modelscan.web.pages import scores as scores_page
from modelscan.web.pages import system as system_page
from modelscan.web.pages import traffic as traffic_page
from modelscan.web.pages.courses import Courses
from modelscan.web.pages.deployment import ClientSnippet
from modelscan.web.series import MOST_POINTS, MOST_RECEIPTS, Series, series
from modelscan.web.visit import View, Visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelscan.core.receipt import Receipt
    from modelscan.deploy.answers import DeploymentShown
    from modelscan.deploy.doctor import Diagnosis
    from modelscan.evals.board import BoardRow
    from modelscan.evals.report import EvalReport
    from modelscan.state.server.database import ServerDatabase
    from modelscan.supervisor.engines.answers import EngineList
    from modelscan.web.live import LiveSample

_CHECKS_S, _PAIR_S = 30.0, 3_600.0
_HOUR_S = 3600
_LOG_LINES, _SPANS, _SNIPPETS = 200, 400, ("opencode", "continue", "claude-code", "codex")


class Documents:
    """The answers for one gateway's pages; threads share one."""

    def __init__(self, workspace: Workspace, database: ServerDatabase) -> None:
        self.workspace = workspace
        self._database = database
        self._system: Kept[tuple[Diagnosis, EngineList]] = Kept(1)
        self._pairs: Kept[EvalComparison] = Kept(200)
        self._series: Kept[tuple[Series, ...]] = Kept(64)

    # Deployments

    def log(self, name: str) -> tuple[tuple[str, ...], str | None]:
        """The last lines of an engine's log, and why there are none."""
        try:
            return tuple(self.workspace.logs(name, tail=_LOG_LINES))[-_LOG_LINES:], None
        except (ModelscanError, OSError) as error:
            return (), getattr(error, "message", str(error))

    def shown(self, name: str) -> DeploymentShown:
        """The document of ``show``."""
        return deployment_shown(name, self.workspace.config)

    def snippets(self, route: str | None, endpoint: str) -> tuple[ClientSnippet, ...]:
        """How clients are configured for a route of this gateway."""
        return tuple(self._snippets(route, endpoint)) if route else ()

    def _snippets(self, route: str | None, endpoint: str) -> Iterator[ClientSnippet]:
        config = self.workspace.config
        for name in _SNIPPETS:
            if name not in CLIENTS:
                continue
            wishes = ConnectWishes(name, "print", route)
            try:
                answer = connect(
                    wishes, config.routing_file, config.paths.state / "clients", endpoint,
                    served_facts,
                )  # fmt: skip
            except ModelscanError:
                continue
            text = "\n".join(file.text.rstrip("\n") for file in answer.files if file.text)
            if text:
                yield ClientSnippet(name, name, text)

    # Requests

    def traffic(self, visit: Visit) -> View:
        """The page *Traffic*."""
        spans = list_spans(
            self._traces, limit=_SPANS, since_s=traffic_page.since_s(visit),
            route=visit.text("route") or None,
        ).spans  # fmt: skip
        services = self.workspace.services().services
        names = [one.id for one in self.workspace.routed_names().models]
        courses = self._traffic_courses(traffic_page.since_s(visit))
        return traffic_page.view(visit, spans, services, names, courses)

    def request(self, visit: Visit, trace_id: str) -> View:
        """The page of one request; its texts stay out of it."""
        span = show_span(self._traces, trace_id).span
        kept = span.content is not None
        return traffic_page.request_view(visit, replace(span, content=None), kept=kept)

    @property
    def _traces(self) -> TraceAccess:
        return TraceAccess(self.workspace.config, self._database)

    def series(
        self, of: str | None, entries: Sequence[str], samples: Sequence[LiveSample], last_s: int,
        points: int,
    ) -> Series:  # fmt: skip
        """Rates and latencies over the last ``last_s`` seconds; ``entries``: of the routing file
        that lead to the deployment ``of``.
        """
        wanted = max(10, min(points, MOST_POINTS))
        return self._columns(of, entries, samples, last_s, (wanted,))[0]

    def _columns(
        self, of: str | None, entries: Sequence[str], samples: Sequence[LiveSample], last_s: int,
        points: tuple[int, ...],
    ) -> tuple[Series, ...]:  # fmt: skip
        """The same requests in so many intervals each, read once."""

        def compute() -> tuple[Series, ...]:
            now = time.time()
            backends = None if of is None else frozenset(entries)
            receipts = list(self._receipts(now - last_s, backends))
            return tuple(series(of, receipts, samples, now, last_s, one) for one in points)

        return self._series.get((of, last_s, points), 1.9, compute)

    def courses(self, of: str, entries: Sequence[str], samples: Sequence[LiveSample]) -> Courses:
        """The last hour of a deployment."""
        fine, coarse = self._columns(
            of, entries, samples, _HOUR_S, (courses_page.POINTS, courses_page.ROWS)
        )
        url = f"/api/v1/series?{urlencode({'of': of, 'last': _HOUR_S, 'points': 180})}"
        return courses_page.deployment_courses(fine, coarse, url)

    def _traffic_courses(self, last_s: int) -> Courses:
        fine, coarse = self._columns(None, (), (), last_s, (courses_page.POINTS, courses_page.ROWS))
        url = f"/api/v1/series?{urlencode({'last': last_s, 'points': 180})}"
        return courses_page.traffic_courses(fine, coarse, url)

    def _receipts(self, since: float, backends: frozenset[str] | None) -> Iterator[Receipt]:
        store = receipt_store(self.workspace.config, self._database)
        for receipt in store.newest(MOST_RECEIPTS, ReceiptFilter(since)):
            if backends is None or receipt.backend in backends:
                yield receipt

    # Scores, System

    def scores(self, visit: Visit) -> View:
        """The page *Scores*."""
        reports = stored_reports(self.workspace.config.paths)
        rows = board(reports).rows
        samples = self.workspace.bench_results(limit=50).samples
        return scores_page.view(visit, rows, samples, self._compared_neighbours(rows, reports))

    def _compared_neighbours(
        self, rows: Sequence[BoardRow], reports: Sequence[EvalReport]
    ) -> Mapping[tuple[str, str], EvalComparison]:
        """Those with the same tasks; a run never changes, so each pair is compared once."""
        by_id = {one.eval_id: one for one in reports}
        found: dict[tuple[str, str], EvalComparison] = {}
        for a, b in scores_page.neighbours(rows):
            ids = a.eval_id, b.eval_id
            work = partial(compare, by_id[a.eval_id], by_id[b.eval_id])
            with contextlib.suppress(UsageError):  # other tasks, or another version of the suite
                found[ids] = self._pairs.get(ids, _PAIR_S, work)
        return found

    def scores_compare(self, visit: Visit) -> View:
        """Two runs, task by task. Raises UsageError for runs that cannot be compared."""
        first, second = (*visit.repeated.get("run", ()), "", "")[:2]
        pair = find_pair(self.workspace.config.paths, first, second, None)
        return scores_page.compare_view(visit, compare(*pair))

    def registry(self, visit: Visit) -> View:
        """The page *Registry*. Raises RegistryRefused for a wrong address."""
        desk = CurationDesk(self._database, self.workspace.config)
        with self._database.reading() as connection:
            page = search_models(
                connection, registry_page.wanted(visit), cursor=visit.text("cursor") or None
            )
        waiting = desk.list(CurationFilter(state="proposed")).curations
        return registry_page.view(visit, page, waiting, desk.policies())

    def system(self, visit: Visit) -> View:
        """The page *System*; its checks start programs, so they are kept for a while."""
        space = self.workspace
        checks, engines = self._system.get(
            "system", _CHECKS_S, lambda: (space.doctor(), space.engines())
        )
        return system_page.view(
            visit, checks, space.cache(), engines, space.targets(), space.settings()
        )
