"""An engine option never changes the address, port, key or model that modelscan set."""

from __future__ import annotations

import pytest

from modelscan.core.errors import UsageError
from modelscan.engines.owned_options import check_parameters, check_variables
from modelscan.supervisor.environment import engine_environment
from modelscan.supervisor.rundir import ProcessSpec


@pytest.mark.parametrize(
    ("backend", "name", "value"),
    [
        (None, "host", "0.0.0.0"), (None, "m", "/other.gguf"), (None, "api_key", "abc"),
        ("llama.cpp", "--port", "43999"), ("llama.cpp", "api-key-file", "/k"),
        ("llama.cpp", "hf-repo", "a/b"), ("llama.cpp", "hfr", "a/b"), ("llama.cpp", "mu", "http://x"),
        ("llama.cpp", "models-preset", "x"), ("llama.cpp", "gpt-oss-20b-default", None),
        ("llama.cpp", "ssl-cert-file", "x"), ("llama.cpp", "api-prefix", "/x"),
        ("llama.cpp", "swa-full", "--host=0.0.0.0"), ("llama.cpp", "no-warmup", "--host"),
        ("vllm", "host", "0.0.0.0"), ("vllm", "config", "x.yaml"), ("vllm", "uds", "/x"),
        ("vllm", "model", "a/b"), ("vllm", "hf_token", "abc"), ("vllm", "host.x", "1"),
        ("sglang", "hos", "0.0.0.0"), ("sglang", "model-path", "a"), ("sglang", "admin-api-key", "a"),
        ("vllm", "hos", "0.0.0.0"), ("vllm", "api_ke", "abc"), ("vllm", "max-logprobs", "5 --po 1"),
        (None, "ｈost", "1"), (None, "host:", "1"), (None, "@args", None), (None, "threads", "1\0"),
        ("llama.cpp", "threads", "1\n--host\n0.0.0.0"),
        ("vllm", "hf-overrides", '{"key": "sk-proj-abcdefgh12345678"}'),
    ],
)  # fmt: skip
def test_owned_options_are_refused(backend: str | None, name: str, value: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        check_parameters([(name, value)], backend)
    assert caught.value.hint
    assert value is None or len(value) < 4 or value not in caught.value.message


@pytest.mark.parametrize(
    ("backend", "name", "value"),
    [
        (None, "fa", "off"),  # llama.cpp has it, SGLang has an option that begins so
        (None, "ctx-size", "8192"), ("llama.cpp", "temp", "-1"), ("vllm", "max-model-len", "1k"),
        ("llama.cpp", "mmproj", "/x"), ("llama.cpp", "metrics", None), ("vllm", "tokenizer", "a/b"),
        ("vllm", "max-num-batched-tokens", "8192"), ("vllm", "compilation_config.level", "3"),
        ("vllm", "mm-processor-kwargs.size+", "1"), ("llama.cpp", "grp-attn-n", "-1"),
        ("sglang", "tp", "2"), ("vllm", "m", "x"),
        ("vllm", "hf-overrides", '{"architectures": ["X"]}'), ("sglang", "mem-fraction-static", "0.8"),
    ],
)  # fmt: skip
def test_other_options_pass(backend: str | None, name: str, value: str | None) -> None:
    check_parameters([(name, value)], backend)


@pytest.mark.parametrize(
    "name", ["LLAMA_ARG_HOST", "llama_arg_port", "LLAMA_ARG_HF_REPO", "VLLM_API_KEY"]
)
def test_variables_with_the_same_effect_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_variables({name: "0.0.0.0"})
    with pytest.raises(UsageError, match="looks like a key"):
        check_variables({"MY_VALUE": "hf_abcdefghijklmnop1234"})
    check_variables({"VLLM_LOGGING_LEVEL": "WARNING", "HF_TOKEN": "env:HF_TOKEN"})


def test_they_are_not_inherited() -> None:
    own = {"LLAMA_ARG_OFFLINE": "1"}
    spec = ProcessSpec(run_id="r", name="x", argv=("x",), embedded=False, env=own, secrets={})
    inherited = {"LLAMA_ARG_HOST": "0.0.0.0", "LLAMA_ARG_MODEL": "/x", "LLAMA_ARG_POLL": "0"}
    environment = engine_environment(spec, inherited)
    assert "LLAMA_ARG_HOST" not in environment
    assert "LLAMA_ARG_MODEL" not in environment
    assert (environment["LLAMA_ARG_POLL"], environment["LLAMA_ARG_OFFLINE"]) == ("0", "1")
