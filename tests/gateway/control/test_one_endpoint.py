"""From a model file to an answer at the one endpoint, with a real engine and OpenAI's client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
from conftest import REPOSITORY, Ran
from ruamel.yaml import YAML
from support.served import Engine, engines, routed, serving, until, write_routing

import modelscan
from modelscan.core.errors import RemoteError, UsageError

pytest_plugins = ("support.engine_fixtures",)
DEMO = str(REPOSITORY / "examples" / "demo-model.gguf")


@pytest.fixture
def deployed(run_in_process: Callable[..., Ran], home: Path) -> Iterator[str]:
    done = run_in_process("deploy", DEMO, "--name", "demo", "--json")
    assert done.code == 0, done.out
    yield done.json["deployment"]["name"]
    run_in_process("remove", "demo", "--yes")


def test_one_address_for_a_deployment_its_alias_and_a_role(
    deployed: str, home: Path, run_in_process: Callable[..., Ran]
) -> None:
    file = home / "config" / "routing.yaml"
    yaml = YAML()
    document = yaml.load(file)
    document["routing"]["fallback"] = True
    document["routing"]["aliases"] = {"gpt-4o": "demo"}
    role = {"role_id": "helper", "operation": "chat",
            "prompt_policy": {"system_prompt": "Answer about modelscan."}}  # fmt: skip
    document["routing"]["roles"] = [role]
    with engines("spare") as (spare,), serving("--workers", "2") as gateway:
        document["routing"]["direct"]["providers"].append(spare.entry())
        with file.open("w") as stream:
            yaml.dump(document, stream)
        gateway.event("reloaded")
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
        question = [{"role": "user", "content": "What is modelscan?"}]
        until(lambda: "helper" in [model.id for model in client.models.list()])
        answers = {
            name: client.chat.completions.create(model=name, messages=question, temperature=0)
            for name in ("demo", "gpt-4o", "helper")
        }
        first = answers["demo"].choices[0].message.content
        assert answers["gpt-4o"].choices[0].message.content == first
        assert "model" in (first or "")
        stream = client.chat.completions.create(
            model="gpt-4o", messages=question, temperature=0, stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(pieces) == first
        with pytest.raises(openai.NotFoundError, match="demo"):
            client.chat.completions.create(model="demoo", messages=question)
        models = {model.id: model for model in client.models.list()}
        facts = models["demo"].model_dump()["modelscan"]
        assert (facts["where"], facts["loaded"]) == (["local"], True)
        assert facts["context"]["tokens"]
        until(lambda: _latency(client) is not None)
        assert run_in_process("stop", "demo").code == 0
        answer = until(lambda: _from_spare(client, question))
        assert answer == "from spare"


def _latency(client: openai.OpenAI) -> float | None:
    row = client.models.retrieve("demo").model_dump()["modelscan"]
    return row["latency"]["p50_ms"]  # type: ignore[no-any-return]


def _from_spare(client: openai.OpenAI, question: list[dict[str, str]]) -> str | None:
    """The answer of the other backend, once the gateway knows that the deployment is stopped."""
    try:
        done = client.chat.completions.create(model="demo", messages=question)  # type: ignore[call-overload]
    except openai.APIError:
        return None
    return str(done.choices[0].message.content)


def test_a_program_routes_without_a_gateway(
    clean_environment: Path, run_in_process: Callable[..., Ran]
) -> None:
    with engines("one", "two") as (one, two):
        spread = {"strategy": "round_robin"}
        role = {"role_id": "pair", "operation": "chat", "routing_policy": spread,
                "prompt_policy": {"request_policy": {"body_defaults": {"top_k": 7}}}}  # fmt: skip
        path = write_routing(clean_environment, routed(one.entry(), two.entry(), roles=[role]))
        router = modelscan.Router(path)
        with pytest.raises(UsageError, match="'pare'") as error:
            router.chat("pare", "Hello")
        assert "pair" in (error.value.hint or "")
        answer = router.chat("one", "Hello", max_tokens=3)
        assert (answer.content, answer.backend, answer.where) == ("from one", "one", "local")
        assert (answer.input_tokens, answer.output_tokens, answer.tried) == (7, 3, ())
        assert one.requests[-1]["max_tokens"] == 3
        got = [router.chat("pair", "Hello", temperature=0).backend for _ in range(4)]
        assert sorted(got) == ["one", "one", "two", "two"]
        assert one.requests[-1]["top_k"] == 7
        one.stop()
        before = len(one.requests)
        assert {router.chat("pair", "Hello").backend for _ in range(2)} == {"two"}
        states = {model.name: model.state for model in router.models()}
        assert states == {"one": "known", "two": "routable"}
        health = run_in_process("route", "health", "--json")
        assert health.code == 5
        assert [e["healthy"] for e in health.json["entries"]] == [False, True]
        assert health.json["entries"][1]["served"] == {"two": 4096}
        words = ("route", "add", "keyless", "--base-url", "http://127.0.0.1:9", "--model", "m",
                 "--key", "env:NO_SUCH_KEY")  # fmt: skip
        assert run_in_process(*words).code == 0
        rows = run_in_process("route", "health", "--json").json["entries"]
        assert rows[2]["reason"] == "its key is missing (env:NO_SUCH_KEY)"
        with pytest.raises(RemoteError, match="no answer"):
            router.chat("one", "Hello")
        assert len(one.requests) == before


def test_a_program_wakes_a_sleeping_deployment(
    deployed: str, home: Path, run_in_process: Callable[..., Ran]
) -> None:
    """As the gateway does, where its memory is free; one that a user stopped stays stopped."""
    assert run_in_process("stop", deployed, "--sleep").code == 0
    answer = modelscan.Router().chat(deployed, "What is modelscan?", max_tokens=4)
    assert (answer.backend, answer.tried) == (deployed, ())
    assert run_in_process("stop", deployed).code == 0
    with pytest.raises(RemoteError):
        modelscan.Router().chat(deployed, "Hello")


def test_a_key_goes_to_its_own_provider_only(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-decoy-0123456789abcdef")
    monkeypatch.setenv("MINE", "sk-mine-0123456789abcdef")
    with engines("one", "two") as (one, two):
        write_routing(clean_environment, routed(one.entry(), two.entry(api_key="env:MINE")))
        for ask in (_by_router, _by_gateway):
            ask("one")
            ask("two")
            assert "authorization" not in one.headers[-1]
            assert two.headers[-1]["authorization"] == "Bearer sk-mine-0123456789abcdef"
    assert "decoy" not in json.dumps([one.headers, two.headers])
    for file in clean_environment.rglob("*"):
        assert file.is_dir() or b"sk-mine" not in file.read_bytes(), file


def _by_router(name: str) -> None:
    modelscan.Router().chat(name, "Hello")


def _by_gateway(name: str) -> None:
    with serving() as gateway:
        assert gateway.chat(name)[0] == 200
        assert "sk-mine" not in json.dumps([gateway.get("/health"), gateway.get("/v1/models")])


def test_offline_no_request_leaves_this_machine(clean_environment: Path) -> None:
    with engines("one") as (one,):
        far = Engine("far").entry(base_url="http://192.0.2.1:80")
        write_routing(clean_environment, routed(one.entry(), far))
        with serving("--offline") as gateway:
            assert gateway.chat("one")[0] == 200
            status, body = gateway.chat("far")
            assert status in (404, 503), body
            assert "far" not in [row["id"] for row in gateway.get("/v1/models")[1]["data"]]


def test_an_entry_whose_key_is_missing_gets_no_request(clean_environment: Path) -> None:
    """The server's refusal would look like one of the caller's key."""
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry(api_key="env:MISSING")))
        with serving() as gateway:
            assert "MISSING" in gateway.event("warning")["text"]
            status, body = gateway.chat("one")
            assert status == 503, body
            assert gateway.get("/v1/models")[1]["data"] == []
            assert "MISSING" in gateway.get("/health")[1]["routing_file"]["missing_keys"][0]
        assert one.requests == []
        with pytest.raises(RemoteError):
            modelscan.Router().chat("one", "Hello")
        assert one.requests == []
