"""Figures of an engine from two looks at its metrics."""

from __future__ import annotations

import pytest

from modelscan.supervisor.speed import SpeedHistory, parse_page, speed_between

LLAMACPP = """llamacpp:requests_processing 1
llamacpp:requests_deferred 0
llamacpp:tokens_predicted_total {0}
llamacpp:tokens_predicted_seconds_total {1}
"""


def histogram(name: str, model: str, counts: dict[str, int], total: float) -> str:
    rows = [f'{name}_bucket{{le="{le}",model_name="{model}"}} {n}' for le, n in counts.items()]
    count = counts["+Inf"]
    labels = f'{{model_name="{model}"}}'
    return "\n".join([*rows, f"{name}_count{labels} {count}", f"{name}_sum{labels} {total}", ""])


def vllm(requests: int, *, model: str = "m") -> str:
    """After so many requests of 1.5 s each, 100 tokens with 20 ms between them."""
    return (
        f'vllm:num_requests_running{{model_name="{model}"}} 2\n'
        f'vllm:num_requests_waiting{{model_name="{model}"}} 5\n'
        f'vllm:kv_cache_usage_perc{{model_name="{model}"}} 0.25\n'
        + histogram("vllm:e2e_request_latency_seconds", model,
                    {"1.0": 0, "2.0": requests, "5.0": requests, "+Inf": requests}, 1.5 * requests)
        + histogram("vllm:time_to_first_token_seconds", model, {"+Inf": requests}, 0.3 * requests)
        + histogram("vllm:inter_token_latency_seconds", model, {"+Inf": 99 * requests},
                    0.02 * 99 * requests)
    )  # fmt: skip


def test_vllm_counts_between_two_looks() -> None:
    before, after = parse_page(vllm(10)), parse_page(vllm(14))
    assert after is not None
    speed = speed_between(before, after)
    assert speed.requests is not None
    assert (speed.requests.running, speed.requests.waiting) == (2, 5)
    assert speed.p50_ms == 1500.0, "in the middle of the bucket from 1 to 2 s"
    assert speed.p95_ms == 1950.0
    assert speed.ttft_ms == 300.0
    assert speed.tokens_per_s == pytest.approx(50.0)
    assert speed.kv_cache_used == 0.25


def test_models_of_one_server_are_counted_together() -> None:
    page = parse_page(vllm(4) + vllm(4, model="adapter"))
    assert page is not None
    speed = speed_between(None, page)
    assert speed.requests is not None
    assert speed.requests.running == 4
    assert speed.p50_ms == 1500.0


def test_sglang_has_the_same_histograms() -> None:
    page = parse_page(
        "sglang:num_running_reqs 3\nsglang:num_queue_reqs 1\nsglang:token_usage 0.5\n"
        + histogram("sglang:e2e_request_latency_seconds", "m", {"1.0": 1, "+Inf": 2}, 3.0)
        + histogram("sglang:inter_token_latency_seconds", "m", {"+Inf": 10}, 0.1)
    )
    assert page is not None
    speed = speed_between(None, page)
    assert (speed.tokens_per_s, speed.kv_cache_used, speed.p95_ms) == (100.0, 0.5, 1000.0)


def test_llamacpp_has_tokens_and_their_seconds() -> None:
    before, after = (parse_page(LLAMACPP.format(*pair)) for pair in ((100, 10), (160, 12)))
    assert after is not None
    speed = speed_between(before, after)
    assert (speed.tokens_per_s, speed.p50_ms, speed.ttft_ms) == (30.0, None, None)


def test_an_idle_engine_keeps_its_last_figures_and_a_restarted_one_does_not() -> None:
    history = SpeedHistory()
    history.look("a", LLAMACPP.format(100, 10))
    assert history.look("a", LLAMACPP.format(100, 10)).tokens_per_s == 10.0  # type: ignore[union-attr]
    again = history.look("a", LLAMACPP.format(0, 0))
    assert again is not None
    assert again.tokens_per_s is None
    history.keep_only([])
    assert history.look("a", LLAMACPP.format(0, 0)).tokens_per_s is None  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "garbage", "go_goroutines 7\n", "{}", "vllm:x{ nan"])
def test_what_is_no_page_of_an_engine(text: str) -> None:
    assert parse_page(text) is None
    assert SpeedHistory().look("a", text) is None


def test_a_broken_value_is_left_out() -> None:
    page = parse_page('vllm:num_requests_running 1.e.2\nvllm:num_requests_waiting 3\n'
                      'vllm:e2e_request_latency_seconds_bucket{le="x"} 3\n')  # fmt: skip
    assert page is not None
    assert speed_between(None, page).p50_ms is None
