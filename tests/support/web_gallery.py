"""Every page with more than fits easily: eight GPUs, forty deployments, long names, errors; or with
nothing at all. Values as the rooms give them, rendered by the pages' own functions; ``hostile``:
every text that others wrote is markup, too.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from support.deployments import ESTIMATE, make, plan

from modelscan.bench.samples import StoredSample
from modelscan.core.deployment import Deployment, Measured, MeasuredParts
from modelscan.core.deployment_state import State
from modelscan.core.envelope import Failure
from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.deploy.answers import DeploymentShown, memory_rows, speed_rows
from modelscan.deploy.cache_answers import CacheList
from modelscan.deploy.cached import Cached
from modelscan.deploy.doctor import Check, Diagnosis
from modelscan.deploy.rows import deployment_row
from modelscan.evals.board import BoardRow
from modelscan.evals.compare import ComparedTask, Discordant, EvalComparison
from modelscan.evals.report import EvalReceipt, ScoreInterval
from modelscan.gateway.control.deployment_jobs import DeploymentJob
from modelscan.gateway.top.look import device_figures
from modelscan.gateway.top.overview import GatewayFigures, Overview, TopRow
from modelscan.hub.partial import PartialDownload
from modelscan.registry.curation import Approval, Curation
from modelscan.registry.gates import GateCheck
from modelscan.registry.policy import BUILT_IN
from modelscan.registry.types import RegistryModel, RegistryPage
from modelscan.routing.listing import RoutedService
from modelscan.state.server.audit import Actor
from modelscan.state.settings import SettingRow, SettingsShown
from modelscan.supervisor.engines.answers import EngineList
from modelscan.targets.answers import TargetList, TargetRow
from modelscan.traces.spans import LeftMachine, Span, SpanUsage
from modelscan.web import guard
from modelscan.web.assets import asset_at
from modelscan.web.environment import page_text
from modelscan.web.pages import courses, deployment, here, registry, scores, system, traffic
from modelscan.web.pages.deployment import ClientSnippet, DeploymentAnswer
from modelscan.web.series import Series
from modelscan.web.visit import View, Visit

T = TypeVar("T")
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"
LONG = "Huihui-Qwen3-235B-A22B-Instruct-2507-abliterated-very-long-name-i1-GGUF"
NOW = 1_790_000_000.0


def made(kind: type[T], **values: Any) -> T:
    """A value of a dataclass; what is not given and has no default is None."""
    for one in fields(kind):  # type: ignore[arg-type]
        if one.default is MISSING and one.default_factory is MISSING:
            values.setdefault(one.name, None)
    return kind(**values)


@dataclass
class Gallery:
    """The pages by name."""

    hostile: bool = False

    def t(self, text: str) -> str:
        """A text that others wrote."""
        return text + HOSTILE if self.hostile else text

    def pages(self) -> dict[str, tuple[Visit, View]]:
        """Every page: crowded, in trouble, and empty."""
        made_by: Mapping[str, tuple[str, Callable[[Visit], View]]] = {
            "here": ("/", self.here), "here-empty": ("/", self.here_empty),
            "deployment": ("/deployment/large", self.deployment),
            "deployment-failed": ("/deployment/broken", self.failed),
            "traffic": ("/traffic", self.traffic), "traffic-empty": ("/traffic", self.no_traffic),
            "request": ("/traffic/1", self.request), "scores": ("/scores", self.scores),
            "scores-empty": ("/scores", lambda visit: scores.view(visit, (), ())),
            "scores-compare": ("/scores/compare", self.compared),
            "registry": ("/registry", self.registry),
            "registry-empty": ("/registry", lambda visit: registry.view(
                visit, RegistryPage((), None), (), BUILT_IN)),
            "system": ("/system", self.system), "system-empty": ("/system", self.new_system),
        }  # fmt: skip
        rows = {}
        for name, (path, view) in made_by.items():
            visit = Visit(path, {}, {})
            rows[name] = (visit, view(visit))
        return rows

    # Here

    def records(self) -> list[Deployment]:
        """Forty deployments: one on four GPUs, some on one, some on the CPU, stopped, failed."""
        large = self._on("large", (0, 1, 2, 3), 61 * GIB, measured=(60.2, 59.8, 60.4, 60.1))
        rows = [large, self._on(self.t(LONG.lower()[:60]), (4,), 33 * GIB, measured=(32.4,))]
        rows += [self._on(f"coder-{n}", (4 + n % 4,), (7 + n) * GIB, measured=None if n == 2 else (6.5 + n,))
                 for n in range(5)]  # fmt: skip
        rows += [self._on(f"small-{n}", (), GIB // 2, measured=(0.45,)) for n in range(20)]
        rows += [
            replace(self._on(f"old-{n}", (1,), GIB, None), state=State.STOPPED) for n in range(10)
        ]
        rows += [replace(self._on(f"broken-{n}", (1,), GIB, None), state=State.FAILED,
                         reason=self.t("CUDA error: out of memory")) for n in range(3)]  # fmt: skip
        return rows

    def _on(
        self, name: str, gpus: tuple[int, ...], size: int, measured: tuple[float, ...] | None
    ) -> Deployment:
        parts = Parts(int(size * 0.72), int(size * 0.18), 0, int(size * 0.04), 0, int(size * 0.06))
        devices = tuple(
            DeviceEstimate(
                index, parts, parts.total_bytes, memory_bytes=80 * GIB, free_bytes=79 * GIB
            )
            for index in gpus
        )
        count = max(1, len(gpus))
        whole = Parts(**{one.name: getattr(parts, one.name) * count for one in fields(Parts)})
        estimate = replace(ESTIMATE, parts=whole, total_bytes=whole.total_bytes, per_gpu=devices)
        found = None if measured is None else self._measured(gpus, measured)
        return make(
            name, gpus=gpus, plan=plan(files=(self.t("a.gguf"),), estimate=estimate,
                                       reasons=(self.t("the best quality that fits"),)),
            measured=found, model=f"lab/{self.t(LONG)}", restarts=2,
            started_at="2026-11-30T09:00:00.000Z", health="ok", log_path=self.t("/tmp/x.log"),
        )  # fmt: skip

    def _measured(self, gpus: tuple[int, ...], sizes: tuple[float, ...]) -> Measured:
        each = [MeasuredParts(int(0.74 * one * GIB), int(0.2 * one * GIB), compute_bytes=int(0.06 * one * GIB))
                for one in sizes]  # fmt: skip
        names = [f"CUDA{n}" for n in range(len(gpus))] or ["CPU"]
        total = MeasuredParts(
            sum(one.weights_bytes or 0 for one in each), sum(one.kv_cache_bytes or 0 for one in each),
            compute_bytes=sum(one.compute_bytes or 0 for one in each),
        )  # fmt: skip
        return Measured(
            "engine_log", total, int(sum(sizes) * GIB), dict(zip(names, each, strict=True))
        )

    def overview(self) -> Overview:
        """What ``top`` shows of this machine."""
        records = self.records()
        gpus = tuple(
            made(Gpu, index=n, name=self.t("NVIDIA H100 80GB HBM3"), memory_bytes=80 * GIB,
                 free_bytes=int((18.9 if n < 4 else 80 - 9 * n) * GIB)) for n in range(8)
        )  # fmt: skip
        inventory = made(Inventory, gpus=gpus, host=made(
            Host, memory_bytes=503 * GIB, free_bytes=455 * GIB))  # fmt: skip
        rows = [
            TopRow(one.name, "deployment", one.state.value, "ok" if one.state is State.RUNNING else None,
                   one.backend, 1.5 * n, 4910.0 / (n + 1), n % 5, 128 if n == 1 else 0, 0.93 / (n + 1),
                   one.plan.estimate.total_bytes if one.plan else None,
                   one.measured.total_bytes if one.measured else None, one.gpus)
            for n, one in enumerate(records)
        ]  # fmt: skip
        rows += [TopRow(self.t(f"provider-{n}.example/{LONG.lower()}"), "backend", "up" if n else "not up",
                        None, None, None, None, n, 0, None, None, None, ()) for n in range(4)]  # fmt: skip
        gateway = GatewayFigures("", "ok", None, "1.0", 48.2, 12345.0, 31, 128, 100)
        return Overview(2.0, gateway, tuple(rows), device_figures(inventory, records))

    def here(self, visit: Visit) -> View:
        """Forty deployments on eight GPUs."""
        shown = self.overview()
        wave = [100 + 80 * math.sin(n / 5) for n in range(60)]
        history = {one.name: wave for one in shown.services[:9]}
        return here.view(visit, shown, history, "http://127.0.0.1:8900")

    def here_empty(self, visit: Visit) -> View:
        """A new machine without a GPU."""
        host = made(Host, memory_bytes=16 * GIB, free_bytes=11 * GIB)
        devices = device_figures(made(Inventory, gpus=(), host=host), ())
        gateway = GatewayFigures("", "ok", None)
        return here.view(visit, Overview(None, gateway, (), devices), {}, "http://127.0.0.1:8900")

    # Deployment

    def series(self, points: int) -> Series:
        """An hour with a busy half and a gap."""

        def column(scale: float, *, gaps: bool = True) -> tuple[float | None, ...]:
            return tuple(None if gaps and 0.4 < n / points < 0.5 else round(scale * (1.2 + math.sin(6 * n / points)), 3)
                         for n in range(points))  # fmt: skip

        step = 3600 / points
        return Series(
            "large", step, tuple(NOW - 3600 + n * step for n in range(points)), column(3, gaps=False),
            column(1234, gaps=False), column(0.1, gaps=False), column(0.21), column(0.9), column(3.1),
            column(9.7), column(4), column(0.4), column(6),
        )  # fmt: skip

    def _answer(self, row: Deployment, **changes: Any) -> DeploymentAnswer:
        shown = made(
            DeploymentShown, deployment=deployment_row(row), plan=row.plan,
            estimate=row.plan.estimate if row.plan else None, measured=row.measured,
            memory=memory_rows(row), speed=speed_rows(row, ()),
            curl=self.t("curl http://127.0.0.1:41000/v1/chat/completions -d '{\"model\": \"m\"}'"),
        )  # fmt: skip
        now = next((one for one in self.overview().services if one.name == row.name), None)
        lines = tuple(self.t(f"0.00.{n:03d} I slot update_slots: id {n % 8} | task {n} | new prompt, n_ctx_slot = 32768, n_tokens = {n}")
                      for n in range(200))  # fmt: skip
        snippets = tuple(ClientSnippet(one, one, self.t('{"provider": {"npm": "@ai-sdk/openai-compatible"}}'))
                         for one in ("opencode", "continue", "claude-code", "codex"))  # fmt: skip
        course = courses.deployment_courses(
            self.series(60), self.series(12), "/api/v1/series?of=large"
        )
        values = DeploymentAnswer(
            shown, now, lines, None, snippets, None, "http://127.0.0.1:8900", course
        )
        return replace(values, **changes)

    def deployment(self, visit: Visit) -> View:
        """One on four GPUs."""
        return deployment.view(visit, self._answer(self.records()[0]))

    def failed(self, visit: Visit) -> View:
        """One that failed, after a change that failed."""
        row = replace(self.records()[-1], measured=None)
        error = Failure("start_failed", self.t("llama.cpp ended with status 1: CUDA error: out of memory"),
                        "modelscan logs broken-2", {})  # fmt: skip
        job = DeploymentJob(row.name, "set", "failed", "2026-11-30T09:00:00Z", error=error)
        nothing = courses.deployment_courses(_nothing(60), _nothing(12), "/api/v1/series?of=x")
        answer = self._answer(row, log=(), log_error=self.t("there is no log"), snippets=(), job=job,
                              courses=nothing)  # fmt: skip
        return deployment.view(visit, answer)

    # Traffic

    def spans(self) -> list[Span]:
        """A hundred and twenty requests, some of them refused."""
        return [
            made(Span, trace_id=f"{n:032x}", span_id="1", started_at="2026-11-30T09:00:00.000Z",
                 duration_s=12.345 / (n + 1), operation="chat", requested_model=self.t(LONG if n % 7 == 0 else "coder"),
                 route=self.t("coder"), provider=self.t("large" if n % 3 else f"provider-{n}.example"),
                 served_model=self.t("m"), endpoint_host=self.t("127.0.0.1"),
                 reasons=(self.t("the role's first provider is full: 4 of 4 requests"),), retries=0,
                 fallback_from=self.t("large") if n % 11 == 0 else None, status=200 if n % 9 else 503,
                 error_type=None if n % 9 else self.t("upstream_unavailable"), ttft_s=0.42, queue_s=0.2, wake_s=0.0,
                 finish_reasons=(self.t("stop"),), usage=SpanUsage(12345 * n, 678, 4, None), tools=(),
                 left_machine=LeftMachine(1234, ("text",), self.t("api.example"), ()), key=self.t("laptop"),
                 client=self.t("opencode/1.2"))
            for n in range(120)
        ]  # fmt: skip

    def traffic(self, visit: Visit) -> View:
        """Many requests and routes."""
        services = [
            made(RoutedService, name=self.t(f"route-{n}"), model=self.t(f"lab/{LONG}"), where="local",
                 state="routable" if n else "deployed", reason=None if n else self.t("its engine is loading"),
                 engine="llama.cpp", context_tokens=131072, node=self.t("gpu-node-7.rack12") if n > 8 else None)
            for n in range(14)
        ]  # fmt: skip
        course = courses.traffic_courses(
            self.series(60), self.series(12), "/api/v1/series?last=3600"
        )
        return traffic.view(visit, self.spans(), services, [one.name for one in services], course)

    def no_traffic(self, visit: Visit) -> View:
        """Nothing yet."""
        course = courses.traffic_courses(_nothing(60), _nothing(12), "/api/v1/series?last=3600")
        return traffic.view(visit, (), (), (), course)

    def request(self, visit: Visit) -> View:
        """One request that waited for its model."""
        return traffic.request_view(visit, replace(self.spans()[8], wake_s=0.51), kept=True)

    # Scores, Registry, System

    def scores(self, visit: Visit) -> View:
        """Three suites of up to fourteen models."""
        rows = [
            made(BoardRow, model=self.t(f"lab/{LONG}" if n == 1 else f"lab/model-{n}"),
                 quantization=self.t("Q4_K_M") if n % 2 else None, route=self.t(f"route-{n}"), suite=self.t(suite),
                 metric="accuracy", score=0.93 - n / 18,
                 interval=None if n == 3 else ScoreInterval(0.86 - n / 18, 0.97 - n / 20),
                 tasks=60 + n, tokens_per_s=4910 / (n + 1), memory_bytes=(n + 3) * GIB, thinking="off",
                 eval_id=self.t(f"e{n}"), at="2026-11-30T09:00:00Z")
            for suite in ("structured", "tools", "needle") for n in range(14 if suite == "tools" else 3)
        ]  # fmt: skip
        samples = [
            StoredSample(f"b{n}", self.t("s"), None, self.t("chat-short"), "2026-11-30T09:00:00Z",
                         {"tokens_per_sec": 123.4 / (n + 1), "ttft_ms": 12345.6, "p50_latency_ms": 99.9},
                         None, self.t(f"route-{n}"), None)
            for n in range(20)
        ]  # fmt: skip
        pairs = {(a.eval_id, b.eval_id): self._comparison(0.04 if a.suite == "tools" else 0.2)
                 for a, b in scores.neighbours(rows)}  # fmt: skip
        return scores.view(visit, rows, samples, pairs)

    def compared(self, visit: Visit) -> View:
        """Two runs that differ in twenty of sixty tasks."""
        return scores.compare_view(visit, self._comparison(0.333))

    def _comparison(self, difference: float) -> EvalComparison:
        a = made(
            EvalReceipt,
            model=self.t(f"lab/{LONG}"),
            quantization=self.t("Q4_K_M"),
            route=self.t("coder"),
        )
        b = made(EvalReceipt, model=self.t("lab/other"), quantization=None, route=self.t("small"))
        tasks = tuple(
            ComparedTask(self.t(f"task-{n}-with-a-name"), 1.0, 1.0 if n % 3 else 0.0)
            for n in range(60)
        )
        bounds = ScoreInterval(difference - 0.12, difference + 0.12, "bootstrap")
        return EvalComparison(
            self.t("tools"), "h", "a", "b", a, b, 1.0, 1 - difference, tasks, difference, bounds,
            Discordant(20, 0), "a_better" if bounds.lower > 0 else "no_difference_shown",
            (self.t("thinking"),),
        )  # fmt: skip

    def registry(self, visit: Visit) -> View:
        """Twenty models, two proposals."""
        models = tuple(
            RegistryModel(slug=self.t(f"acme/support-model-{n}"), license=self.t("apache-2.0"), family=self.t("qwen"),
                          tags=tuple(self.t(one) for one in ("curated", "fine-tuned", "german")[: n % 4]),
                          aliases={self.t("production"): "3", self.t("canary"): "4"} if n % 3 == 0 else {},
                          latest_version="12", version_count=n + 1, min_vram_bytes=(n + 2) * GIB,
                          updated_at="2026-11-30T09:00:00Z", description=self.t("text"))
            for n in range(20)
        )  # fmt: skip
        gates = (
            GateCheck(self.t("tools"), self.t("accuracy"), ">=", 0.8, 0.9123, "e1", 10.0, True),
            GateCheck(self.t("needle"), self.t("accuracy"), ">=", 0.95, None, None, None, False,
                      self.t("H100"), reason=self.t("no result on this hardware")),
        )  # fmt: skip
        waiting = [
            Curation(f"c{n}", self.t("acme/support-model-1"), str(n), self.t("curated"), "proposed",
                     Actor("key", self.t("carol")), "2026-11-30T09:00:00Z", "x",
                     (Approval(Actor("key", self.t("dave")), "2026-11-30T09:00:00Z"),), gates if n else ())
            for n in range(2)
        ]  # fmt: skip
        return registry.view(visit, RegistryPage(models, "next"), waiting, BUILT_IN)

    def system(self, visit: Visit) -> View:
        """Failed checks and a full disk."""
        checks = [Check(self.t(f"check {n}"), ("error", "warning", "ok", "absent")[n % 4], self.t("what was found " * 4),
                        self.t("modelscan engine install llama.cpp")) for n in range(20)]  # fmt: skip
        items = tuple(
            made(Cached, source="huggingface", repo=self.t(f"unsloth/{LONG}-{n}"), revision="abc", folder=Path("/x"),
                 files=(), size_bytes=(31 - n) * GIB, complete=n != 4, pulled_at="2026-11-30T09:00:00Z",
                 deployments=(self.t("large"),) if n % 2 else ())
            for n in range(30)
        )  # fmt: skip
        partial = (
            PartialDownload("huggingface", self.t("org/cut"), Path("/x"), GIB, active=False),
        )
        settings = SettingsShown(tuple(SettingRow(f"key_{n}", self.t("value"), self.t("/home/u/config.toml"), "")
                                       for n in range(60)))  # fmt: skip
        targets = TargetList(
            "a",
            (
                made(
                    TargetRow,
                    name=self.t("a"),
                    url=self.t("https://gpustack.example"),
                    default=True,
                ),
            ),
        )
        total = sum(one.size_bytes for one in items) + GIB
        return system.view(visit, Diagnosis(tuple(checks), 5), CacheList(total, items, partial), EngineList((), ()),
                           targets, settings)  # fmt: skip

    def new_system(self, visit: Visit) -> View:
        """Nothing is installed."""
        return system.view(visit, Diagnosis((), 0), CacheList(0, (), ()), EngineList((), ()),
                           TargetList(None, ()), SettingsShown(()))  # fmt: skip


def _nothing(points: int) -> Series:
    zero, unknown = (0.0,) * points, (None,) * points
    times = tuple(NOW - 3600 + n * 3600 / points for n in range(points))
    return Series("x", 3600 / points, times, zero, zero, zero, unknown, unknown, unknown, unknown, unknown,
                  unknown, unknown)  # fmt: skip


@contextlib.contextmanager
def gallery_site(gallery: Gallery) -> Iterator[str]:
    """A server of these pages with the headers of the real ones: /NAME."""
    texts = {name: page_text(*page) for name, page in gallery.pages().items()}
    columns = {one.name: getattr(gallery.series(180), one.name) for one in fields(Series)}

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asset, text = asset_at(path), texts.get(path.strip("/"))
            if asset is not None:
                self._send(200, asset.kind, asset.data)
            elif text is not None:
                self._send(200, "text/html; charset=utf-8", text.encode())
            elif path == "/api/v1/series":
                self._send(200, "application/json", json.dumps(columns).encode())
            else:
                self._send(304, "application/json", b"")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in guard.HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
