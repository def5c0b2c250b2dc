"""The load generator against a server that streams at known times: loads, failures, times."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bench_server import BenchServer, Sent

from modelscan.bench.counters import CounterChange, CounterReading, has_foreign, metrics_check
from modelscan.bench.dataset import read_dataset
from modelscan.bench.load import poisson_times
from modelscan.bench.place import BenchPlace
from modelscan.bench.report import BenchReport
from modelscan.bench.request import BenchRequest
from modelscan.bench.run import measure
from modelscan.bench.slo import ServiceLevel
from modelscan.bench.stream import RequestResult
from modelscan.bench.workload import BenchWorkload, shape
from modelscan.core.errors import AuthError, RemoteError, UsageError
from modelscan.state.config import load

QUIET: Any = lambda _: None  # noqa: E731


@pytest.fixture
def server() -> Iterator[BenchServer]:
    with BenchServer() as running:
        yield running


def place_of(server: BenchServer, **fields: Any) -> BenchPlace:
    return replace(BenchPlace("stand-in", server.url, "lab/stand-in"), **fields)


def bench(server: BenchServer, workload: BenchWorkload | None = None, **fields: Any) -> BenchReport:
    place = fields.pop("place", None) or place_of(server)
    request = BenchRequest("stand-in", workload or shape(20, 4), **fields)
    return measure(place, request, load(), QUIET)


def written(*prompts: str) -> BenchWorkload:
    """A data set of written prompts."""
    return read_dataset([json.dumps({"text": one}) for one in prompts], "x.jsonl", 4)


def counted(server: BenchServer, report: BenchReport) -> list[Sent]:
    """The requests that count: the last ones."""
    return server.sent[-sum(one.requests for one in report.points) :]


def test_a_closed_loop_keeps_so_many_open(server: BenchServer) -> None:
    server.gap_s = 0.01
    report = bench(server, concurrency=(1, 3), requests=9)
    assert [one.concurrency for one in report.points] == [1, 3]
    assert [one.requests for one in report.points] == [9, 9]
    assert all(one.errors.total == 0 for one in report.points)
    assert server.most_open == 3
    (first, second) = report.points
    assert first.completion_tokens == second.completion_tokens == 4
    assert first.token_source == "usage" and first.ttft_s.n == 9


def test_prompts_have_the_requested_length_by_the_servers_count(server: BenchServer) -> None:
    """The stand-in counts words: the words of the nonce and the last sentence are learned."""
    report = bench(server, shape(50, 3), requests=4)
    assert report.points[0].prompt_tokens == 50
    assert report.workload.input_tokens == 50 and report.points[0].errors.total == 0


def test_no_two_prompts_begin_alike(server: BenchServer) -> None:
    bench(server, concurrency=(2,), requests=6)
    bench(server, concurrency=(2,), requests=6)  # the same seed again, other nonces
    nonces = [sent.body["messages"][0]["content"] for sent in server.sent]
    assert len(set(nonces)) == len(nonces) == 20  # two first requests and two warm-ups each
    assert {len(nonce) for nonce in nonces} == {12}
    assert len({nonce[:3] for nonce in nonces}) > 10  # no prefix is shared
    roles = {sent.body["messages"][0]["role"] for sent in server.sent}
    assert roles == {"system"}


def test_the_requests_of_a_shape(server: BenchServer) -> None:
    report = bench(server, shape(20, 5), requests=2, seed=11)
    body = counted(server, report)[0].body
    assert body["max_tokens"] == 5 and body["ignore_eos"] is True and body["seed"] == 11
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    assert body["temperature"] == 0.0 and body["model"] == "lab/stand-in"
    assert (report.workload.seed, report.workload.cache) == (11, "nonce")


def test_an_engines_cache_is_kept_out(server: BenchServer) -> None:
    for engine, key, value, use in (("llama.cpp", "cache_prompt", False, "disabled"),
                                    ("vllm", "cache_salt", None, "salted")):  # fmt: skip
        report = bench(server, requests=2, place=place_of(server, engine_name=engine))
        bodies = [sent.body for sent in counted(server, report)]
        assert report.workload.cache == use and key in bodies[0]
        if value is not None:
            assert bodies[0][key] is value
        else:
            assert bodies[0][key] != bodies[1][key]


@pytest.mark.parametrize(
    ("refused", "missing", "tokens"),
    [
        (("ignore_eos",), ("ignore_eos",), "max_tokens"),
        (("max_tokens",), ("ignore_eos", "temperature", "max_tokens"), "max_completion_tokens"),
        (("seed", "ignore_eos"), ("ignore_eos", "seed"), "max_completion_tokens"),
    ],
)
def test_what_a_server_refuses_is_left_out(
    refused: tuple[str, ...], missing: tuple[str, ...], tokens: str
) -> None:
    with BenchServer(refused=refused) as server:
        report = bench(server, requests=3)
        body = counted(server, report)[0].body
    assert not set(missing) & set(body) and body[tokens] == 4
    assert report.points[0].errors.total == 0
    assert "the server refuses ignore_eos" in report.warnings[0]
    assert report.workload.ignore_eos is False


def test_what_no_simpler_request_helps_is_an_error() -> None:
    with BenchServer(refused=("messages",)) as server, pytest.raises(RemoteError, match="HTTP 400"):
        bench(server, requests=3)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("cut", "broken"), ("empty", "empty"), ("busy", "status"), ("json", "broken"),
     ("error", "broken"), ("garbage", "broken"), ("hang", "timeout")],
)  # fmt: skip
def test_failures_are_counted_by_class(server: BenchServer, mode: str, kind: str) -> None:
    """Every second request fails; the others count."""
    report = bench(
        server, written(f"please mode={mode}", "hello"), requests=4, warmup=0,
        timeout_s=1.0 if mode == "hang" else 60.0, slo=ServiceLevel(ttft_s=60.0),
    )  # fmt: skip
    (point,) = report.points
    assert getattr(point.errors, kind) == 2 and point.errors.total == 2
    assert point.requests == 4 and point.ttft_s.n == 2
    assert point.goodput_fraction == 0.5
    (sample,) = report.samples
    assert sample.results.response_rate == 0.5
    assert any("2 of 4 requests failed" in text for text in report.warnings)


def test_a_server_that_refuses_everything(server: BenchServer) -> None:
    with pytest.raises(RemoteError, match=r"HTTP 503.*no slot"):
        bench(server, written("mode=busy"), requests=3)  # the warm-up fails


def test_a_dead_server() -> None:
    with BenchServer() as server:
        place = place_of(server)
    with pytest.raises(RemoteError, match="does not answer"):
        measure(place, BenchRequest("stand-in", shape(8, 2)), load(), QUIET)


def test_a_server_that_closes_its_connections(server: BenchServer) -> None:
    """Keep-alive is only a promise: a request that nothing was answered to is sent again."""
    report = bench(server, written("mode=once"), requests=6, concurrency=(2,))
    assert report.points[0].errors.total == 0 and report.points[0].requests == 6


def test_servers_that_end_a_body_with_the_connection(server: BenchServer) -> None:
    report = bench(server, written("mode=old", "mode=closing"), requests=4, warmup=1)
    (point,) = report.points
    assert point.errors.total == 0 and point.ttft_s.n == 4
    assert point.token_source == "chunks"  # one of them reports no usage
    assert point.output_tokens_per_s is None


def test_the_key_is_sent_and_a_refused_one_is_an_error(server: BenchServer) -> None:
    bench(server, requests=1, place=place_of(server, key="sk-1"))
    assert set(server.authorizations) == {b"Bearer sk-1"}
    server.key = "sk-2"
    with pytest.raises(AuthError, match="refuses the key"):
        bench(server, requests=1, place=place_of(server, key="sk-1"))


def test_a_server_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with BenchServer(unix=path) as server:
        place = place_of(server, root="http://localhost", socket_path=path)
        assert place.is_here
        report = bench(server, requests=3, place=place)
    assert report.points[0].errors.total == 0 and len(server.sent) >= 3


def test_a_proxy_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:9")
    place = BenchPlace("x", "https://api.example.com", "m")
    with pytest.raises(UsageError, match="the proxy that HTTPS_PROXY names") as error:
        measure(place, BenchRequest("x", shape(8, 2)), load(), QUIET)
    assert error.value.hint == "export NO_PROXY=api.example.com"
    assert "secret" not in error.value.message


def test_an_open_loop_does_not_wait_for_answers(server: BenchServer) -> None:
    server.gap_s = 0.05
    report = bench(server, shape(8, 10), rate=200.0, requests=12)
    (point,) = report.points
    assert (point.concurrency, point.rate, point.requests) == (None, 200.0, 12)
    assert server.most_open > 2 and point.errors.total == 0
    assert report.samples[0].benchmark_id.endswith("/200/s")


def test_times_of_an_open_loop_are_seeded_and_have_their_rate() -> None:
    times = list(itertools.islice(poisson_times(5.0, 1), 4000))
    assert times == list(itertools.islice(poisson_times(5.0, 1), 4000))
    assert times == sorted(times) and 4000 / times[-1] == pytest.approx(5.0, rel=0.05)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.stdev(gaps) == pytest.approx(0.2, rel=0.1)  # exponential: as its mean


def test_a_duration_ends_a_load(server: BenchServer) -> None:
    server.gap_s = 0.02
    report = bench(server, duration_s=0.5)
    assert 1 <= report.points[0].requests < 500


def test_growing_ends_where_more_does_not_help(server: BenchServer) -> None:
    """The stand-in serves one at a time: two at once are no faster."""
    server.gap_s, server.at_once = 0.01, 1
    report = bench(server, grow=True, requests=8)
    assert [one.concurrency for one in report.points][:2] == [1, 2]
    assert len(report.points) < 5


def test_repeats(server: BenchServer) -> None:
    report = bench(server, requests=5, repeats=3)
    (point,) = report.points
    assert (point.repeats, point.requests) == (3, 15)
    assert point.output_tokens_per_s_interval is not None
    assert point.ttft_s.interval is not None
    assert point.ttft_s.interval.method == "t_over_repeats"


def test_a_conversation_has_the_answers_in_it(server: BenchServer) -> None:
    line = json.dumps({"turns": ["one", "two", "three"]})
    workload = read_dataset([line], "x.jsonl", 2)
    report = bench(server, workload, requests=2, warmup=0)
    assert report.points[0].requests == 6  # of two conversations
    messages = server.sent[-1].body["messages"]
    texts = [(one["role"], one["content"]) for one in messages]
    assert texts == [("user", "one"), ("assistant", "word word "), ("user", "two"),
                     ("assistant", "word word "), ("user", "three")]  # fmt: skip


def test_requests_with_their_own_times(server: BenchServer) -> None:
    lines = [json.dumps({"timestamp": 40 * n, "input_length": 10 + n, "output_length": 2})
             for n in range(4)]  # fmt: skip
    report = bench(server, read_dataset(lines, "trace.jsonl", None), warmup=0)
    (point,) = report.points
    assert (point.requests, point.concurrency, point.rate) == (4, None, None)
    assert point.prompt_tokens == 11.5
    assert report.samples[0].benchmark_id.endswith("/schedule")


def test_a_prompt_that_cannot_fit_is_refused_before_the_run(server: BenchServer) -> None:
    with pytest.raises(UsageError, match=r"4,104 tokens are needed.*serves 4,096"):
        bench(server, shape(4096, 8), place=place_of(server, context_tokens=4096))
    assert server.sent == []


def test_measured_times_are_those_of_the_server(server: BenchServer) -> None:
    """Within 2 % of what the server noted that it did, whatever it aimed at.

    Another process on this machine may delay either side: one of a few runs must show it.
    """
    server.first_s, server.gap_s = 0.3, 0.03
    errors = []
    for _ in range(6):
        report = bench(server, shape(8, 8), concurrency=(2,), requests=6)
        point, sent = report.points[0], counted(server, report)
        first = statistics.fmean(one.tokens_ns[0] - one.at_ns for one in sent) * 1e-9
        each = statistics.fmean(one.tokens_ns[-1] - one.tokens_ns[0] for one in sent) * 1e-9 / 7
        last = statistics.fmean(one.tokens_ns[-1] - one.at_ns for one in sent) * 1e-9
        pairs = ((point.ttft_s.mean, first), (point.tpot_s.mean, each), (point.e2e_s.mean, last))
        errors.append(max(abs((ours or 0.0) / theirs - 1) for ours, theirs in pairs))
        if errors[-1] <= 0.02:
            break
    assert min(errors) <= 0.02


METRICS = """# HELP vllm:request_success_total x
vllm:request_success_total{{finished_reason="stop"}} {done}
vllm:request_success_total{{finished_reason="length"}} 1
vllm:generation_tokens_total{{model="m"}} {tokens}
vllm:time_to_first_token_seconds_sum {first}
vllm:time_to_first_token_seconds_count {done}
vllm:inter_token_latency_seconds_sum {gaps}
vllm:inter_token_latency_seconds_count {count}
"""


def change(done: int = 2, tokens: int = 22, gaps: float = 1.0) -> CounterChange:
    before = METRICS.format(done=0, tokens=0, first=0, gaps=0, count=0)
    after = METRICS.format(done=done, tokens=tokens, first=0.4, gaps=gaps, count=20)
    return CounterChange(CounterReading.of(before), CounterReading.of(after))


def result(tokens: int | None = 11, **fields: Any) -> RequestResult:
    return RequestResult(completion_tokens=tokens, tpot_s=0.05, **fields)


def test_the_engines_histograms_check_the_client() -> None:
    ours = [result(), result()]
    check = metrics_check(change(), ours)
    assert check is not None and check.source == "metrics" and check.agrees is True
    assert (check.prompt_s, check.tpot_s, check.completion_tokens) == (0.2, 0.05, 22)
    slower = metrics_check(change(gaps=2.0), ours)
    assert slower is not None and slower.agrees is False
    others = metrics_check(change(done=5), ours)
    assert others is not None and others.agrees is None  # the histograms are not ours alone


def test_requests_of_others_are_noticed() -> None:
    ours = [result(), result()]
    assert has_foreign(change(), ours) is False
    assert has_foreign(change(done=3), ours) is True
    assert has_foreign(change(), [result(error="broken")]) is None
    nothing = CounterChange(CounterReading.of(""), CounterReading.of(""))
    assert has_foreign(nothing, ours) is None and metrics_check(nothing, ours) is None
    tokens = [CounterReading.of(f"llamacpp:tokens_predicted_total {n}") for n in (5, 27, 30)]
    assert has_foreign(CounterChange(tokens[0], tokens[1]), ours) is False
    assert has_foreign(CounterChange(tokens[0], tokens[2]), ours) is True
    assert has_foreign(CounterChange(tokens[0], tokens[1]), [result(None)]) is None
    assert has_foreign(CounterChange(tokens[1], tokens[0]), ours) is None  # restarted
