"""Sends everything of one run: first requests, warm-ups, each load, the engine's counters.

Everything runs on one event loop, so that connections stay open between loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from modelscan.bench.cases import pass_rate
from modelscan.bench.counters import CounterChange, CounterReading, has_foreign, metrics_check
from modelscan.bench.http_stream import Server
from modelscan.bench.load import (
    Conversation,
    LoadGenerator,
    LoadLimits,
    LoadResult,
    poisson_times,
)
from modelscan.bench.place import BenchPlace
from modelscan.bench.point import BenchLoad, ClientUse, point, timings_check
from modelscan.bench.prompts import PromptSource
from modelscan.bench.report import BenchPoint
from modelscan.bench.request import BenchRequest, Progress
from modelscan.bench.request_body import RequestStyle, first_style, simpler_styles
from modelscan.bench.stream import RequestResult
from modelscan.core.errors import AuthError, RemoteError, UsageError
from modelscan.net.exchange import HttpSettings
from modelscan.net.proxies import proxy_for
from modelscan.state.secrets import redact
from modelscan.supervisor.health import metrics
from modelscan.supervisor.load import parse_requests

_FEWEST, _PER_STREAM = 10, 3
_FEW_WORDS, _MANY_WORDS = 16, 64
_GROWTH = 1.05  # below it more concurrency does not help
_MOST_CONCURRENCY = 256
_LATE_S = 0.05  # an open loop that is later than this does not keep its rate
_REFUSED_FIELDS, _REFUSED_KEY = (400, 422), (401, 403)


@dataclass(slots=True)
class BenchSession:
    """A run in progress: its points, all of its requests, what it warned of."""

    place: BenchPlace
    request: BenchRequest
    progress: Progress
    points: list[BenchPoint] = field(default_factory=list)
    results: list[RequestResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    foreign: list[bool | None] = field(default_factory=list)
    source: PromptSource = field(init=False)

    def __post_init__(self) -> None:
        workload, seed = self.request.workload, self.request.seed
        style = first_style(self.place.model, self.place.engine, workload, seed)
        self.source = PromptSource(self.place, workload, style, seed)

    async def everything(self) -> LoadResult:
        """All points. Raises RemoteError or AuthError where the first request is refused."""
        generator = LoadGenerator(server_of(self.place), self.request.timeout_s)
        try:
            await self._first(generator)
            for load in self._loads():
                await self._point(generator, load)
                if self._is_enough():
                    break
        finally:
            generator.close()
        return LoadResult()

    def _loads(self) -> Iterator[BenchLoad]:
        request = self.request
        if request.rate is not None or request.workload.is_scheduled:
            yield BenchLoad(None, request.rate, request.slo, request.seed)
            return
        levels: Sequence[int] = request.concurrency
        if request.grow:
            levels = [2**power for power in range(_MOST_CONCURRENCY.bit_length())]
        for concurrency in levels:
            yield BenchLoad(concurrency, None, request.slo, request.seed)

    def _is_enough(self) -> bool:
        """With ``grow``: whether the last point was no better, or no longer good."""
        if not self.request.grow or len(self.points) < 2:
            return False
        before, last = self.points[-2:]
        rates = before.output_tokens_per_s, last.output_tokens_per_s
        if last.goodput_fraction is not None and last.goodput_fraction < 1:
            return True
        return None in rates or (rates[1] or 0.0) < _GROWTH * (rates[0] or 0.0)

    async def _first(self, generator: LoadGenerator) -> None:
        """Find out what the server accepts and how many tokens a word is."""
        self.progress("sending a first request")
        few = await self._accepted(generator)
        if not self.request.workload.synthetic:
            return
        tokens = max((c.input_tokens or 0 for c in self.request.workload.cases), default=0)
        words = max(_MANY_WORDS, tokens // 2)
        many = await generator.one(self.source.synthetic(words, 1))
        if few.prompt_tokens is None or many.prompt_tokens is None:
            self.warnings.append(
                "the server reports no usage: the prompts have about as many words as the "
                "requested tokens, and tokens are not counted"
            )
            return
        self.source.scale.learn((_FEW_WORDS, few.prompt_tokens), (words, many.prompt_tokens))

    async def _accepted(self, generator: LoadGenerator) -> RequestResult:
        """The first answer; simpler requests are tried where the server refuses a field."""
        styles: Iterator[RequestStyle] = simpler_styles(self.source.style)
        while True:
            result = await generator.one(self.source.synthetic(_FEW_WORDS, 2))
            if result.status not in _REFUSED_FIELDS:
                break
            simpler = next(styles, None)
            if simpler is None:
                break
            self.source.style = simpler
        if result.error is not None and result.error != "empty":
            raise refused(result, self.place)
        if self.source.style.dropped:
            names = ", ".join(self.source.style.dropped)
            self.warnings.append(f"the server refuses {names}: the requests are without")
        return result

    async def _point(self, generator: LoadGenerator, load: BenchLoad) -> None:
        await self._warm_up(generator, load)
        repeats: list[list[RequestResult]] = []
        cpu_s, late_s, before = 0.0, 0.0, self._counters()
        busy = parse_requests(metrics(self.place.address)) if self.place.is_here else None
        for repeat in range(self.request.repeats):
            self._tell(load, repeat)
            done = await self._load(generator, load, repeat)
            repeats.append(done.results)
            cpu_s, late_s = cpu_s + done.cpu_s, max(late_s, done.late_s)
        results = [one for repeat_results in repeats for one in repeat_results]
        change = CounterChange(before, self._counters())
        others = busy is not None and busy.running + busy.waiting > 0
        self.foreign.append(True if others else has_foreign(change, results))
        self.results += results
        use = ClientUse(cpu_s, sum(one.events for one in results))
        check = timings_check(results) or metrics_check(change, results)
        made = point(load, repeats, use, check, pass_rate(self.request.workload, results))
        self.points.append(self._limited(made, late_s))

    def _limited(self, made: BenchPoint, late_s: float) -> BenchPoint:
        """The point, marked where the open loop could not keep its times."""
        if late_s > _LATE_S:
            self.warnings.append(f"requests were sent up to {late_s:.2f} s late")
            made = replace(made, client_limited=True)
        return made

    async def _warm_up(self, generator: LoadGenerator, load: BenchLoad) -> None:
        """Requests of the same shape with other nonces; they are not counted."""
        count = self.request.warmup
        at_once = load.concurrency or 1
        count = max(1, at_once) if count is None else count
        if count:
            self.progress(f"warming up: {count} requests")
            limits = LoadLimits(count, None, self.request.timeout_s)
            done = await generator.closed(self.source.conversations(), at_once, limits)
            if all(one.error is not None for one in done.results):
                raise refused(done.results[0], self.place)

    async def _load(self, generator: LoadGenerator, load: BenchLoad, repeat: int) -> LoadResult:
        request = self.request
        requests = request.requests
        if requests is None and request.duration_s is None:
            requests = max(_PER_STREAM * (load.concurrency or 1), _FEWEST)
            requests = max(requests, len(request.workload.cases))
        limits = LoadLimits(requests, request.duration_s, request.timeout_s)
        if load.concurrency is not None:
            return await generator.closed(self.source.conversations(), load.concurrency, limits)
        if load.rate is not None:
            times = poisson_times(load.rate, request.seed + repeat)
            return await generator.open(self.source.conversations(), times, limits)
        return await generator.open(*self._scheduled(), limits)

    def _scheduled(self) -> tuple[Iterator[Conversation], Iterator[float]]:
        """The workload's own times, from its first one on."""
        cases = sorted(self.request.workload.cases, key=lambda case: case.at_s or 0.0)
        begin = cases[0].at_s or 0.0
        return map(self.source.conversation, cases), iter([(c.at_s or 0.0) - begin for c in cases])

    def _tell(self, load: BenchLoad, repeat: int) -> None:
        what = f"{load.concurrency} at once" if load.concurrency else "at their times"
        what = f"{load.rate:g} per second" if load.rate else what
        again = (
            f", repeat {repeat + 1} of {self.request.repeats}" if self.request.repeats > 1 else ""
        )
        self.progress(f"measuring {self.place.asked}: {what}{again}")

    def _counters(self) -> CounterReading:
        return CounterReading.of(metrics(self.place.address) if self.place.engine else "")


def refused(result: RequestResult, place: BenchPlace) -> AuthError | RemoteError:
    """The error of a run whose first request failed."""
    why = redact(result.reason or "no answer")
    if result.status in _REFUSED_KEY:
        return AuthError(
            f"{place.root} refuses the key: {why}",
            hint=f"modelscan bench run '{place.root}#{place.model}' --api-key env:NAME",
        )
    check = (
        f"modelscan route test {place.service}" if place.service else f"curl {place.root}/v1/models"
    )
    return RemoteError(
        f"{place.root} does not answer a streamed chat request: {why}", hint=check,
        details={"status": result.status, "class": result.error},
    )  # fmt: skip


def server_of(place: BenchPlace) -> Server:
    """Where the load generator connects. Raises UsageError where a proxy is between."""
    if place.socket_path is not None or (place.is_here and place.url.startswith("http:")):
        return Server(place.url, place.key, socket_path=place.socket_path)
    from modelscan.net.httpx_setup import environment, tls_context

    proxy = proxy_for(place.url, environment())
    if proxy is not None:
        host = urlsplit(place.url).hostname or ""
        raise UsageError(
            f"requests to {host} go through the proxy that {proxy.variable} names: a benchmark "
            "would measure that proxy too",
            hint=f"export NO_PROXY={host}",
            code="proxy",
        )
    if not place.url.startswith("https:"):
        return Server(place.url, place.key)
    files = HttpSettings().with_files(place.tls)
    return Server(place.url, place.key, tls_context(files.ca_file, files.own))
