"""The official libraries of three dialects over a model server that speaks only one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from support.chat_only import ChatOnly, chat_only
from support.served import Served, routed, serving, write_routing

READ = {"type": "object", "properties": {"path": {"type": "string"}}}
NAMES = ("text", "tool", "tools2", "reason", "context", "overloaded", "cut")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, ChatOnly]]:
    """One gateway and one model server for the whole file."""
    home = tmp_path_factory.mktemp("home")
    with chat_only() as server:
        entries = [
            {
                "name": name,
                "type": "openai",
                "base_url": server.url,
                "model": f"lab/{name}",
                "served_model": name,
            }
            for name in NAMES
        ]
        write_routing(home, routed(*entries))
        with serving(MODELSCAN_HOME=str(home)) as gateway:
            yield gateway, server


@pytest.fixture
def gateway(both: tuple[Served, ChatOnly]) -> Served:
    return both[0]


@pytest.fixture
def sent(both: tuple[Served, ChatOnly]) -> list[tuple[str, dict[str, Any]]]:
    both[1].requests.clear()
    return both[1].requests


class TestAnthropic:
    @pytest.fixture
    def client(self, gateway: Served) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as client:
            yield client

    @staticmethod
    def ask(model: str, *messages: Any, **more: Any) -> dict[str, Any]:
        turns = list(messages) or [{"role": "user", "content": "ping"}]
        return {"model": model, "max_tokens": 50, "messages": turns, **more}

    def test_whole(self, client: anthropic.Anthropic, sent: Any) -> None:
        answer = client.messages.create(**self.ask("reason", system="brief"))
        assert [block.type for block in answer.content] == ["thinking", "text"]
        assert answer.content[1].text == "pong 🌱"
        assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (7, 4)
        ((path, body),) = sent
        assert (path, body["model"]) == ("/v1/chat/completions", "reason")
        assert body["messages"][0] == {"role": "system", "content": "brief"}

    @pytest.mark.parametrize("model", ["tool", "tools2"])
    def test_a_tool_loop_in_a_stream(self, client: anthropic.Anthropic, model: str) -> None:
        tools = [{"name": "Read", "description": "Read a file", "input_schema": READ}]
        with client.messages.stream(**self.ask(model, tools=tools)) as stream:
            answer = stream.get_final_message()
        assert answer.stop_reason == "tool_use"
        calls = [block for block in answer.content if block.type == "tool_use"]
        assert [(one.name, one.input) for one in calls] == [("Read", {"path": "a.txt"})] * len(
            calls
        )
        results = [{"type": "tool_result", "tool_use_id": one.id, "content": "42"} for one in calls]
        turns = [{"role": "user", "content": "ping"}, {"role": "assistant", "content": answer.content},
                 {"role": "user", "content": results}]  # fmt: skip
        with client.messages.stream(**self.ask(model, *turns, tools=tools)) as stream:
            assert "".join(stream.text_stream) == "the tool said 42"

    def test_errors(self, client: anthropic.Anthropic, gateway: Served) -> None:
        with pytest.raises(
            anthropic.BadRequestError, match="prompt is too long: 9031 tokens > 8192 maximum"
        ):
            client.messages.create(**self.ask("context"))
        with pytest.raises(anthropic.APIStatusError, match="Loading model") as busy:
            client.messages.create(**self.ask("overloaded"))
        assert busy.value.status_code in (503, 529)
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(**self.ask("nothing-like-this"))
        with (
            pytest.raises(anthropic.APIStatusError, match="complete"),
            client.messages.stream(**self.ask("cut")) as s,
        ):
            s.get_final_message()
        status, body = gateway.ask("POST", "/v1/messages", {"model": "text", "messages": 5})
        assert (status, body["type"], body["error"]["type"]) == (
            400,
            "error",
            "invalid_request_error",
        )

    def test_models_and_counts(self, client: anthropic.Anthropic) -> None:
        counted = client.messages.count_tokens(
            model="text", messages=[{"role": "user", "content": "x" * 400}]
        )
        assert 100 <= counted.input_tokens <= 150
        assert {model.id for model in client.models.list()} >= set(NAMES)


class TestResponses:
    @pytest.fixture
    def client(self, gateway: Served) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
            yield client

    def test_whole_and_stream(self, client: openai.OpenAI) -> None:
        answer = client.responses.create(model="reason", instructions="brief", input="ping")
        assert (answer.output_text, answer.status) == ("pong 🌱", "completed")
        with client.responses.stream(model="reason", input="ping") as stream:
            final = stream.get_final_response()
        assert final.output_text == "pong 🌱"
        assert final.usage is not None
        assert final.usage.input_tokens_details.cached_tokens == 4

    def test_a_tool_loop(self, client: openai.OpenAI) -> None:
        tools: Any = [{"type": "function", "name": "read", "parameters": READ, "strict": False},
                      {"type": "web_search"}]  # fmt: skip
        with client.responses.stream(model="tools2", input="ping", tools=tools) as stream:
            answer = stream.get_final_response()
        calls = [item for item in answer.output if item.type == "function_call"]
        assert [json.loads(one.arguments) for one in calls] == [{"path": "a.txt"}] * 2
        turns: list[Any] = [{"role": "user", "content": "ping"}, *answer.output]
        turns += [
            {"type": "function_call_output", "call_id": one.call_id, "output": "42"}
            for one in calls
        ]
        assert (
            client.responses.create(model="tools2", input=turns, tools=tools).output_text
            == "the tool said 42"
        )

    def test_errors(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as context:
            client.responses.create(model="context", input="ping")
        assert context.value.code == "context_length_exceeded"
        with pytest.raises(openai.BadRequestError, match="not supported"):
            client.responses.create(model="text", input="ping", previous_response_id="resp_1")
        events = [
            event.type for event in client.responses.create(model="cut", input="ping", stream=True)
        ]
        assert events[-1] == "response.failed"


class TestOllama:
    @pytest.fixture
    def client(self, gateway: Served) -> Iterator[ollama.Client]:
        client = ollama.Client(host=gateway.url)
        yield client
        client._client.close()

    def test_lists(self, client: ollama.Client) -> None:
        assert {row.model for row in client.list().models} >= set(NAMES)
        assert client.show("text").modelinfo is not None
        client.ps()

    def test_chat(self, client: ollama.Client) -> None:
        turns: list[Any] = [{"role": "user", "content": "ping"}]
        answer = client.chat("reason", turns)
        assert (answer.message.content, answer.message.thinking) == ("pong 🌱", "let me think")
        assert (answer.prompt_eval_count, answer.done_reason) == (11, "stop")
        pieces = [part.message.content or "" for part in client.chat("text", turns, stream=True)]
        assert "".join(pieces) == "pong 🌱"
        tools: Any = [{"type": "function", "function": {"name": "read", "parameters": READ}}]
        answer = client.chat("tool", turns, tools=tools)
        assert answer.message.tool_calls is not None
        assert answer.message.tool_calls[0].function.arguments == {"path": "a.txt"}
        turns += [answer.message, {"role": "tool", "content": "42", "tool_name": "read"}]
        assert client.chat("tool", turns, tools=tools).message.content == "the tool said 42"

    def test_generate_and_embed(self, client: ollama.Client) -> None:
        assert client.generate("text", "ping").response == "pong 🌱"
        assert client.embed("text", ["a", "b"]).embeddings == [[0.5, 0], [0.5, 1]]

    def test_errors(self, client: ollama.Client) -> None:
        with pytest.raises(ollama.ResponseError, match="available context size") as context:
            client.chat("context", [{"role": "user", "content": "ping"}])
        assert context.value.status_code == 400
        with pytest.raises(ollama.ResponseError, match="complete"):
            list(client.chat("cut", [{"role": "user", "content": "ping"}], stream=True))


def test_untranslated_requests_pass_as_they_are(gateway: Served, sent: Any, tmp_path: Path) -> None:
    status, body = gateway.chat("text", x_unknown={"a": [1.50]}, temperature=0.30)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "pong 🌱")
    assert sent[0][1]["x_unknown"] == {"a": [1.5]}
