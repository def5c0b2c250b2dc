"""Metrics: what receipts add up to, both text formats, OTLP, and a real gateway that has them all."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from support.served import Served, engines, routed, serving, until, write_routing

from modelscan.core.errors import UsageError
from modelscan.core.receipt import Receipt
from modelscan.gateway.control.collector import TRACES, collector_url
from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.exposition import exposition
from modelscan.gateway.metrics.families import HistogramValue
from modelscan.gateway.metrics.otlp import OtlpResource, metrics_request
from modelscan.gateway.metrics.requests import RequestFigures
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.choices import ChoiceStore

RESOURCE = OtlpResource("0.9", "here:1", 100.0, {"one": "llama.cpp"})
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def receipt(**fields: Any) -> Receipt:
    given = {"trace_id": "t", "at": 1.0, "operation": "chat", "requested_model": "m",
             "route": "coder", "backend": "one", "status": 200, "duration_s": 2.0,
             "stream": True, "ttft_s": 0.5, "input_tokens": 10, "output_tokens": 4, **fields}  # fmt: skip
    return Receipt(**given)  # type: ignore[arg-type]


def figures(*receipts: Receipt) -> RequestFigures:
    made = RequestFigures()
    made.add(receipts)
    return made


def samples(made: RequestFigures) -> dict[str, float]:
    """The page's samples as Prometheus would name them."""
    page, _ = exposition(made.families(), "")
    return {
        one.name + str(sorted(one.labels.items())): one.value
        for family in prometheus(page.decode())
        for one in family.samples
    }


def labels(**values: str) -> str:
    return str(sorted(values.items()))


def test_receipts_become_counters_and_histograms() -> None:
    place = {"route": "coder", "backend": "one", "operation": "chat"}
    text = samples(
        figures(
            receipt(key="team", retries=1),
            receipt(status=499, duration_s=0.1, ttft_s=None, output_tokens=None),
            receipt(
                fallback_from="coder",
                left_machine_bytes=7,
                cached_tokens=3,
                queue_s=0.2,
                wake_s=4.0,
            ),
            receipt(
                backend=None,
                route=None,
                status=429,
                error="queue_full",
                duration_s=None,
                ttft_s=None,
                input_tokens=None,
                output_tokens=None,
            ),
        )
    )
    assert text["modelscan_requests_total" + labels(**place, status="200")] == 2
    assert text["modelscan_requests_total" + labels(**place, status="499")] == 1
    name = "modelscan_request_duration_seconds"
    assert text[f"{name}_count" + labels(**place)] == 3
    assert text[f"{name}_sum" + labels(**place)] == pytest.approx(4.1)
    assert text[f"{name}_bucket" + labels(**place, le="1.28")] == 1
    assert text[f"{name}_bucket" + labels(**place, le="2.56")] == 3
    assert text["modelscan_time_to_first_token_seconds_count" + labels(**place)] == 2
    assert text["modelscan_time_per_output_token_seconds_sum" + labels(**place)] == 1.0
    assert text["modelscan_queue_seconds_count" + labels(**place)] == 1
    assert text["modelscan_wake_seconds_sum" + labels(**place)] == 4.0
    used = {"route": "coder", "backend": "one"}
    assert text["modelscan_tokens_total" + labels(**used, kind="input")] == 30
    assert text["modelscan_tokens_total" + labels(**used, kind="cached")] == 3
    assert text["modelscan_retries_total" + labels(route="coder")] == 1
    assert text["modelscan_fallbacks_total" + labels(route="coder")] == 1
    assert text["modelscan_refused_requests_total" + labels(code="queue_full")] == 1
    assert text["modelscan_left_machine_bytes_total" + labels(backend="one")] == 7
    assert text["modelscan_key_requests_total" + labels(key="team")] == 1
    assert text["modelscan_key_tokens_total" + labels(key="team", kind="output")] == 4


def test_a_bucket_includes_its_bound() -> None:
    value = HistogramValue((1.0, 2.0))
    for one in (0.5, 1.0, 1.5, 2.0, 2.1):
        value.add(one)
    assert (value.counts, value.count, value.total) == ([2, 2, 1], 5, pytest.approx(7.1))


def test_the_number_of_series_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d, "MOST_SERIES", 3)
    text = samples(figures(*(receipt(route=f"r{n}", key=f"k{n}") for n in range(9))))
    counted = {key: v for key, v in text.items() if key.startswith("modelscan_requests_total")}
    assert len(counted) == 4
    assert sum(counted.values()) == 9
    assert text["modelscan_key_requests_total" + labels(key="other")] == 6


@pytest.mark.parametrize(("accept", "read"), [("", prometheus), (OPEN_METRICS, open_metrics)])
def test_any_name_survives_both_formats(accept: str, read: Any) -> None:
    name = 'a "quoted"\\ name\nof two lines, é'
    page, kind = exposition(figures(receipt(route=name)).families(), accept)
    assert ("openmetrics" in kind) == bool(accept)
    families = {family.name: family for family in read(page.decode())}
    found = families["modelscan_requests"].samples[0]
    assert found.labels["route"] == name
    assert families["modelscan_requests"].documentation == d.REQUESTS.help


def parsed(body: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a request that the protocol's own reader accepts."""
    message = ParseDict(body, ExportMetricsServiceRequest())
    scope = message.resource_metrics[0].scope_metrics[0]
    assert len({one.name for one in scope.metrics}) == len(scope.metrics)
    return {one.name: one for one in scope.metrics}


def test_otlp_has_the_names_of_the_conventions() -> None:
    made = figures(receipt(operation="completions"), receipt())
    metrics = parsed(metrics_request(made.families(), RESOURCE, 160.0))
    duration = metrics["gen_ai.server.request.duration"]
    assert (duration.unit, duration.histogram.aggregation_temporality) == ("s", 2)
    points = [
        {pair.key: pair.value.string_value for pair in point.attributes}
        for point in duration.histogram.data_points
    ]
    assert points[0] == {
        "gen_ai.request.model": "coder", "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "llama_cpp", "modelscan.backend": "one",
    }  # fmt: skip
    point = duration.histogram.data_points[0]
    assert sum(point.bucket_counts) == point.count == 1
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert point.start_time_unix_nano == 100 * 10**9
    usage = metrics["gen_ai.client.token.usage"].histogram.data_points
    kinds = [{p.key: p.value.string_value for p in one.attributes} for one in usage]
    assert sorted(one["gen_ai.token.type"] for one in kinds) == ["input"] * 2 + ["output"] * 2
    requests = metrics["modelscan.requests"].sum
    assert requests.is_monotonic
    assert sum(one.as_double for one in requests.data_points) == 2


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/metrics"),
        ("https://c.lan/otlp", "https://c.lan/otlp/v1/metrics"),
        ("https://c.lan/v1/metrics", "https://c.lan/v1/metrics"),
    ],
)
def test_the_path_of_a_collector(endpoint: str, url: str) -> None:
    assert collector_url(endpoint) == url
    assert collector_url(endpoint, TRACES) == url.replace("metrics", "traces")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://x:1", "http://u:p@x", "http://"])
def test_an_address_that_is_no_collector_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="otlp_endpoint"):
        collector_url(endpoint)


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[dict[str, str], dict[str, Any]]]]]:
    """A collector: its address, and the headers and bodies that it got."""
    reports: list[tuple[dict[str, str], dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reports.append(({**headers, "path": self.path}, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", reports
    finally:
        server.shutdown()
        server.server_close()


def page(gateway: Served, accept: str) -> tuple[str, str]:
    request = urllib.request.Request(gateway.url + "/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers["Content-Type"], response.read().decode()


def test_a_gateway_has_every_metric_and_sends_them(clean_environment: Path) -> None:
    metrics = "vllm:num_requests_running 3.0\nvllm:num_requests_waiting 2.0\n"
    with engines("one") as (one,), collector() as (url, reports):
        one.metrics = metrics + 'vllm:kv_cache_usage_perc{engine="0"} 0.25\n'
        write_routing(clean_environment, routed(one.entry()))
        variables = {
            "MODELSCAN_OTLP_ENDPOINT": url, "MODELSCAN_OTLP_INTERVAL_S": "0.2",
            "MODELSCAN_OTLP_AUTHORIZATION": "env:COLLECTOR", "COLLECTOR": "Basic eDp5",
        }  # fmt: skip
        with serving(**variables) as gateway:
            assert gateway.chat("one")[0] == 200
            assert gateway.chat("one", stream=True)[0] == 200
            assert gateway.chat("nothing")[0] == 404
            wanted = 'modelscan_request_duration_seconds_count{backend="one",operation="chat"'
            until(lambda: f'{wanted},route="one"}} 2.0' in page(gateway, "")[1])
            until(lambda: 'engine_kv_cache_used_ratio{backend="one"} 0.25' in page(gateway, "")[1])
            kind, text = page(gateway, OPEN_METRICS)
            assert kind.startswith("application/openmetrics-text")
            assert text.endswith("# EOF\n")
            families = {family.name: family for family in open_metrics(text)}
            assert families.keys() == {one.name for one in d.METRICS}
            for definition in d.METRICS:
                assert families[definition.name].type == definition.kind
                for sample in families[definition.name].samples:
                    assert sample.name in definition.series
                    assert sample.labels.keys() - {"le"} == set(definition.labels)
            refused = families["modelscan_refused_requests"].samples
            assert [(s.labels["code"], s.value) for s in refused] == [("model_not_found", 1)]
            name = "gen_ai.server.time_to_first_token"
            headers, body = until(
                lambda: next((one for one in list(reports) if name in json.dumps(one[1])), None)
            )
            assert (headers["path"], headers["authorization"]) == ("/v1/metrics", "Basic eDp5")
            assert name in parsed(body)


def pushed(reports: list[tuple[dict[str, str], dict[str, Any]]]) -> dict[str, dict[str, str]]:
    """The spans that a collector has, checked with OpenTelemetry's definitions: names' values."""
    spans = {}
    for headers, body in list(reports):
        if headers["path"] == "/v1/traces":
            request = Parse(json.dumps(body), ExportTraceServiceRequest())
            for span in request.resource_spans[0].scope_spans[0].spans:
                spans[span.name] = {one.key: one.value.string_value for one in span.attributes}
    return spans


def test_requests_are_pushed_as_spans(clean_environment: Path) -> None:
    """Redacted; texts only of a route whose texts are kept; none while receipts are off."""
    config = load({})
    with ServerDatabase.open(config.paths.state) as database:
        ChoiceStore(database).keep_content("route", "two", True)
    message = [
        {"role": "user", "content": "mail ada@example.org the key sk-ant-api03-" + "aZ9" * 30}
    ]
    with engines("one", "two") as (one, two), collector() as (url, reports):
        write_routing(clean_environment, routed(one.entry(), two.entry()))
        variables = {"MODELSCAN_OTLP_ENDPOINT": url, "MODELSCAN_OTLP_INTERVAL_S": "0.2"}
        with serving(**variables) as gateway:
            assert gateway.chat("one", messages=message)[0] == 200
            assert gateway.chat("two", messages=message)[0] == 200
            assert gateway.chat("lost-ada@example.org")[0] == 404
            until(lambda: len(pushed(reports)) == 3)
        spans = pushed(reports)
        with ServerDatabase.open(config.paths.state) as database:
            ChoiceStore(database).record(False)
        before = sum(headers["path"] == "/v1/traces" for headers, _ in reports)
        with serving(**variables) as gateway:
            assert gateway.chat("one", stream=True)[0] == 200
        after = sum(headers["path"] == "/v1/traces" for headers, _ in reports)
        assert after == before  # what waits at the end is sent, too
    plain, kept = spans["chat one"], spans["chat two"]
    assert plain["gen_ai.response.model"] == "one"
    assert "gen_ai.input.messages" not in plain
    assert "the key [redacted:" in kept["gen_ai.input.messages"]
    text = json.dumps([body for _, body in reports])
    assert "ada@example.org" not in text and "sk-ant-api03" not in text


def test_a_dead_collector_is_reported_once_and_costs_nothing(clean_environment: Path) -> None:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        variables = {
            "MODELSCAN_OTLP_ENDPOINT": "http://127.0.0.1:9", "MODELSCAN_OTLP_INTERVAL_S": "0.1",
        }  # fmt: skip
        with serving(**variables) as gateway:
            assert "127.0.0.1:9" in gateway.event("warning")["text"]
            assert all(gateway.chat("one")[0] == 200 for _ in range(5))
            assert gateway.stop() == 0
            gateway.event("stopped")
            warned = [e for e in gateway.events if e["event"] == "warning"]
            assert len(warned) == 1
