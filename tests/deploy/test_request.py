"""Names, and what makes two requests the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.core.deployment_name import MAX_NAME, check_name, derive_name
from modelscan.core.errors import AuthError, UsageError
from modelscan.core.workload import Workload
from modelscan.targets.request import Request


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Qwen/Qwen3-8B-GGUF", "qwen3-8b-gguf"),
        ("qwen/qwen3-8b", "qwen3-8b"),
        ("/models/My Model (v2).gguf", "my-model-v2"),
        ("models/llama/", "llama"),
        ("日本語", "model"),
        ("..", "model"),
    ],
)
def test_names_come_from_the_model(text: str, name: str) -> None:
    assert derive_name(text) == name


@given(st.text())
def test_a_derived_name_is_a_name(text: str) -> None:
    assert check_name(derive_name(text)) == derive_name(text)


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a b", "a/b", "../a", "a" * (MAX_NAME + 1)])
def test_what_is_no_name_is_refused_with_one_that_is(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.hint is not None
    check_name(caught.value.hint.removeprefix("--name "))


def request(**changes: object) -> Request:
    return Request(**{"model": "x.gguf", "workload": Workload(), **changes})  # type: ignore[arg-type]


def test_the_same_request_is_the_same_however_the_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    same = request(model="./x.gguf"), request(model=str(tmp_path / "x.gguf"))
    assert same[0].record() == same[1].record()
    assert request(model="y.gguf").record() != same[0].record()


def test_how_one_waits_or_insists_does_not_make_another_request() -> None:
    first = request().record()
    assert request(wait=False, timeout_s=3.0, replace=True).record() == first
    assert request(workload=Workload(force=True)).record() == first
    assert request(workload=Workload(context_tokens=1)).record() != first
    assert request(api_key="env:K").record() != first


def test_mistakes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="needs a key"):
        request(expose=True).check()
    with pytest.raises(AuthError, match="NOT_THERE"):
        request(api_key="env:NOT_THERE").check()
    with pytest.raises(UsageError, match="not a port"):
        request(port=70000).check()
    with pytest.raises(UsageError, match="more than 0"):
        request(timeout_s=0).check()
    monkeypatch.setenv("THERE", "k")
    request(expose=True, api_key="env:THERE").check()


def test_a_port_that_is_not_asked_for_may_be_any() -> None:
    """`deploy M` after `deploy M --port 41000` asks for nothing new; another port does."""
    first = Request("m", Workload(), port=41000).record()
    assert Request("m", Workload()).is_like(first)
    assert Request("m", Workload(), port=41000).is_like(first)
    assert not Request("m", Workload(), port=41001).is_like(first)
    assert not Request("other", Workload()).is_like(first)
    assert not Request("m", Workload()).is_like(None)
