"""The measurement of one streamed answer: every definition, whatever pieces it arrives in."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelscan.bench.stream import Arrival, RequestResult, failed, measured, sse_events

MS = 1_000_000


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(content: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    fields = {**({} if content is None else {"content": content}), **fields}
    return event(model="lab/m", choices=[{"delta": fields, "finish_reason": finish}])


def usage(prompt: int = 20, completion: int = 4, cached: int = 5) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion,
              "prompt_tokens_details": {"cached_tokens": cached}}  # fmt: skip
    return event(choices=[], usage=counts)


DONE = b"data: [DONE]\n\n"


def timed(*parts: tuple[int, bytes], end_ms: int | None = None) -> RequestResult:
    """Parts with their milliseconds after t0, which is at 1,000 ms."""
    arrivals = [Arrival((1000 + at) * MS, data) for at, data in parts]
    last = parts[-1][0] if parts else 0
    return measured(1000 * MS, arrivals, (1000 + (last if end_ms is None else end_ms)) * MS)


def approx(value: float) -> Any:
    return pytest.approx(value, abs=1e-9)


FULL = (
    (5, delta("", role="assistant")),
    (100, delta("a")),
    (120, delta("b")),
    (160, delta("c")),
    (180, delta("d")),
    (181, delta(finish="length")),
    (185, usage()),
    (190, DONE),
)


def test_the_definitions() -> None:
    one = timed(*FULL)
    assert one.error is None
    assert one.ttft_s == approx(0.100) and one.ttfo_s == approx(0.100)
    assert one.e2e_s == approx(0.180) and one.total_s == approx(0.190)
    assert one.tpot_s == approx(0.080 / 3)
    assert [round(gap, 6) for gap in one.chunk_gaps_s] == [0.02, 0.04, 0.02]
    assert (one.completion_tokens, one.prompt_tokens, one.cached_tokens) == (4, 20, 5)
    assert one.new_prompt_tokens == 15 and one.events == 4
    assert (one.finish_reason, one.served_model, one.text) == ("length", "lab/m", "abcd")


def test_thinking_counts_as_the_first_token_but_not_as_output() -> None:
    thinking = (50, delta(reasoning_content="hm")), (70, delta(reasoning="hm"))
    one = timed(*thinking, (100, delta("x", finish="stop")), (110, DONE))
    assert one.ttft_s == approx(0.050) and one.ttfo_s == approx(0.100)
    assert one.text == "x"
    silent = timed(*thinking, (100, delta(finish="stop")))
    assert silent.error is None and silent.ttfo_s is None


def test_a_tool_call_is_output() -> None:
    call = [{"index": 0, "function": {"name": "f", "arguments": ""}}]
    one = timed((30, delta(tool_calls=call)), (40, delta(finish="tool_calls")))
    assert one.ttft_s == approx(0.030) and one.ttfo_s == approx(0.030)
    assert one.error is None and one.text == ""


def test_comments_roles_and_usage_are_no_tokens() -> None:
    one = timed(
        (1, b": keep-alive\n\n"), (2, b"event: ping\n\n"), (3, delta("", role="assistant")),
        (4, delta(None, role="assistant")), (9, delta("x", finish="stop")), (10, usage()),
    )  # fmt: skip
    assert one.events == 1 and one.ttft_s == approx(0.009)


@pytest.mark.parametrize("tokens", [0, 1])
def test_one_token_has_no_time_per_token(tokens: int) -> None:
    one = timed((10, delta("x", finish="length")), (11, usage(completion=tokens)), (12, DONE))
    assert one.tpot_s is None and one.completion_tokens == tokens


def test_without_usage_tokens_are_unknown() -> None:
    one = timed((10, delta("x")), (30, delta("y", finish="stop")), (31, DONE))
    assert one.error is None
    assert one.completion_tokens is None and one.tpot_s is None
    assert one.chunk_gaps_s == (approx(0.02),)


def test_a_later_usage_without_counts_keeps_them() -> None:
    one = timed(
        (10, delta("a")),
        (20, delta("b", "stop")),
        (21, usage()),
        (22, event(usage={"cost": 1})),
        (23, DONE),
    )
    assert (one.prompt_tokens, one.completion_tokens, one.cached_tokens) == (20, 4, 5)


def test_content_in_parts_is_thinking_and_text() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    text = [{"type": "text", "text": "42"}]
    one = timed((10, delta([])), (20, delta(thinking)), (30, delta(text, "stop")), (31, DONE))
    assert (one.text, one.events) == ("42", 2)
    assert (one.ttft_s, one.ttfo_s) == (approx(0.020), approx(0.030))


def test_several_tokens_in_an_event_count_by_usage() -> None:
    """Speculative decoding: an event has several tokens, the usage counts each."""
    one = timed((10, delta("two words")), (30, delta("more", finish="stop")), (31, usage()))
    assert one.events == 2 and one.tpot_s == approx(0.020 / 3)


def test_engine_timings_are_recomputed() -> None:
    """Builds of llama.cpp divide by n or by n - 1: the quotient in the answer is not used."""
    timings = {"prompt_ms": 90.0, "prompt_n": 15, "predicted_ms": 78.0, "predicted_n": 4,
               "predicted_per_token_ms": 19.5}  # fmt: skip
    one = timed(*FULL[:-1], (190, event(choices=[], timings=timings)), (191, DONE))
    assert one.timings is not None and one.timings.tpot_s == approx(0.026)
    assert one.queue_s == approx(0.010)
    assert timed(*FULL).queue_s is None
    partly = timed(*FULL[:-1], (190, event(choices=[], timings={"prompt_ms": 90.0})), (191, DONE))
    assert partly.timings is None


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ((), "empty"),
        (((5, delta("", role="assistant")), (6, delta(finish="stop")), (7, DONE)), "empty"),
        (((5, delta("x")),), "broken"),  # neither a finish reason nor [DONE]
        (((5, delta("x")), (6, b'data: {"error": {"message": "no memory"}}\n\n')), "broken"),
        (((5, delta("x")), (6, b"data: <html>\n\n"), (7, DONE)), "broken"),
        (((5, delta("x")), (6, event(object="error", message="no memory")), (7, DONE)), "broken"),
        (((5, delta("x")), (6, b'data: [1, 2]\n\n'), (7, DONE)), "broken"),
        (((5, delta("x")), (6, b'data: {"choices": "x"}\n\n'), (7, DONE)), "broken"),
    ],
)  # fmt: skip
def test_failures_by_class(parts: tuple[tuple[int, bytes], ...], error: str) -> None:
    one = timed(*parts)
    assert one.error == error and one.reason


def test_an_unknown_form_of_a_field_is_no_failure() -> None:
    odd = event(
        model=7, usage=[], timings="x",
        choices=[{"delta": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": 3}],
    )  # fmt: skip
    one = timed((5, odd), (6, delta(finish="stop")), (7, DONE))
    assert one.error is None and one.events == 1 and one.text == "x"
    counts = event(choices=[], usage={"prompt_tokens": True, "completion_tokens": -1})
    one = timed((5, delta("x", finish="stop")), (7, counts))
    assert (one.prompt_tokens, one.completion_tokens) == (None, None)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(1, 10_000), max_size=12))
def test_pieces_do_not_matter_but_for_their_times(cuts: set[int]) -> None:
    """However a stream is cut, its events are the same, each at the part that completes it."""
    body = b"".join(part for _, part in FULL)
    places = [0, *sorted({1 + cut % (len(body) - 1) for cut in cuts}), len(body)]
    parts = [
        Arrival(number, body[begin:end])
        for number, (begin, end) in enumerate(itertools.pairwise(places))
    ]
    whole = [one.data for one in sse_events([Arrival(0, body)])]
    events = list(sse_events(parts))
    assert [one.data for one in events] == whole
    for one in events:
        end = body.index(one.data) + len(one.data)
        assert one.at_ns == next(n for n, place in enumerate(places[1:]) if place > end)


def test_lines_end_with_cr_lf_too() -> None:
    body = b"data: a\r\ndata: b\r\n\r\ndata:c\n\ndata: cut off"
    assert [one.data for one in sse_events([Arrival(1, body)])] == [b"a\nb", b"c"]


def test_a_failed_request() -> None:
    one = failed("timeout", "no answer", 1000 * MS, 3000 * MS)
    assert one.total_s == approx(2.0) and one.ttft_s is None and one.queue_s is None
