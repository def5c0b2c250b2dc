"""Token counts out of the last bytes of answers, as engines and providers write them."""

from __future__ import annotations

import json
import random

import pytest

from modelscan.gateway.data.usage import Tail, TokenUsage

OPENAI = (
    b'{"choices":[{"finish_reason":"length","message":{"content":"say \\"usage\\":{1}"}}],'
    b'"usage":{"prompt_tokens":231,"total_tokens":280,"completion_tokens":49,'
    b'"prompt_tokens_details":{"cached_tokens":200},'
    b'"completion_tokens_details":{"reasoning_tokens":12}},"prompt_logprobs":null}'
)
CASES = {
    "openai": (OPENAI, TokenUsage(231, 49, 200, 12), "length"),
    "no numbers of tokens": (
        b'{"usage": {"prompt_tokens": 1' + b"0" * 30 + b', "completion_tokens": -4}}',
        TokenUsage(),
        None,
    ),
    "spaces": (
        b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "finish_reason": "stop"}',
        TokenUsage(3, 4),
        "stop",
    ),
    "stream": (
        b'data: {"choices":[{"finish_reason":null}],"usage":null}\n\n'
        b'data: {"choices":[{"finish_reason":"stop"}],"usage":null}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}\n\n'
        b"data: [DONE]\n\n",
        TokenUsage(7, 9),
        "stop",
    ),
    "anthropic stream": (
        b'event: message_start\ndata: {"message":{"usage":{"input_tokens":11,'
        b'"cache_read_input_tokens":5,"output_tokens":1}}}\n\n' + b"data: {}\n\n" * 3000
        + b'data: {"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":40}}\n\n',
        TokenUsage(16, 40, 5),  # messages count what was cached apart from the input
        "end_turn",
    ),
    "responses": (
        b'{"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},'
        b'"output_tokens":6,"output_tokens_details":{"reasoning_tokens":3}}}',
        TokenUsage(5, 6, 2, 3),
        None,
    ),
    "embeddings": (b'{"usage":{"prompt_tokens":8,"total_tokens":8}}', TokenUsage(8), None),
    "nothing": (b"plain text", TokenUsage(), None),
    "not an object": (b'"usage":7 "usage":"x" "usage"', TokenUsage(), None),
    "damaged": (b'"usage":{"prompt_tokens":"x"}', TokenUsage(), None),
    "not closed": (b'"usage":{"prompt_tokens":1', TokenUsage(), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 3, 1000, 100_000])
def test_usage(name: str, size: int) -> None:
    """The same counts, in whatever pieces the answer comes."""
    data, usage, finish = CASES[name]
    tail = Tail()
    for start in range(0, len(data), size):
        tail.add(data[start : start + size])
    assert tail.read() == (usage, finish)


def test_a_long_answer_costs_no_memory() -> None:
    tail = Tail()
    for _ in range(1000):
        tail.add(b"x" * 10_000)
    tail.add(OPENAI)
    assert tail.read() == (TokenUsage(231, 49, 200, 12), "length")


def test_bodies_are_what_a_full_parse_says() -> None:
    """The name in a body is replaced, all else equals a full parse; the last double key counts."""
    from modelscan.gateway.data.plan import _decode_document, _decode_name

    pick = random.Random(1)
    tokens = ["model", '"model"', '\\"model\\":', "a", "{", "}", ":", ",", "\\", "é", '"model":"a"']

    def value(depth: int = 0) -> object:
        kind = pick.random()
        if kind < 0.5 or depth > 2:
            return "".join(pick.choice(tokens) for _ in range(pick.randint(0, 4)))
        if kind < 0.75:
            return {pick.choice(tokens): value(depth + 1) for _ in range(pick.randint(0, 3))}
        return [value(depth + 1) for _ in range(pick.randint(0, 3))]

    for _ in range(2000):
        items = [(pick.choice(tokens) + str(n), value()) for n in range(pick.randint(0, 4))]
        items.append(("model", "a"))
        pick.shuffle(items)
        text = json.dumps(dict(items), ensure_ascii=pick.random() < 0.5).encode()
        document = _decode_document(text)
        assert _decode_name(document["model"]) == "a"
        assert {name: json.loads(bytes(raw)) for name, raw in document.items()} == dict(items)
    twice = _decode_document(b'{"model":"b","mod\\u0065l":"a"}')
    assert _decode_name(twice["model"]) == "a"
