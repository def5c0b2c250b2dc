"""Keys by reference only, and nothing that looks like one is ever shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelscan.core.errors import AuthError, UsageError
from modelscan.state.secrets import check_reference, redact, resolve

PLANTED = (
    "sk-proj-abcdefgh12345678",
    "hf_abcdefghijklmnop",
    "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef",
    "eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4",
)


@pytest.mark.parametrize(
    "reference", ["sk-1234", "", "env:", "env:A B", "file:", "http://x", "$KEY"]
)
def test_literal_keys_are_refused(reference: str) -> None:
    """The message does not repeat the key."""
    with pytest.raises(UsageError) as caught:
        check_reference(reference)
    assert "sk-1234" not in caught.value.message


def test_references_resolve(tmp_path: Path) -> None:
    """From a variable or a file; missing or empty is exit 4."""
    (tmp_path / "key").write_text("s3cret\n")
    assert resolve("env:K", {"K": "v"}) == "v"
    assert resolve(f"file:{tmp_path / 'key'}") == "s3cret"
    (tmp_path / "empty").write_text("")
    for reference in ("env:NOPE", f"file:{tmp_path / 'none'}", f"file:{tmp_path / 'empty'}"):
        with pytest.raises(AuthError):
            resolve(reference, {})


@pytest.mark.parametrize("text", ["a\nb", "abc\x01", "abcé", "a" * 20_000])
def test_a_key_is_one_line(tmp_path: Path, text: str) -> None:
    """What a header cannot carry, or does not end, is an error that shows nothing of it."""
    (tmp_path / "key").write_text(text)
    os.mkfifo(tmp_path / "pipe")
    places = (f"file:{tmp_path / 'key'}", f"file:{tmp_path / 'pipe'}", "file:/dev/zero", "env:K")
    for reference in places:
        with pytest.raises(AuthError) as caught:
            resolve(reference, {"K": text})
        assert text not in caught.value.message


@pytest.mark.parametrize("key", PLANTED)
@pytest.mark.parametrize(
    "line",
    ["Authorization: Bearer {}", "HF_TOKEN={} next", '{{"api_key": "{}"}}', "--api-key {} --port 1",
     "https://user:{}@host/x", "{}"],
)  # fmt: skip
def test_planted_keys_do_not_leak(key: str, line: str) -> None:
    """Wherever it stands."""
    assert key not in redact(line.format(key))


@pytest.mark.parametrize(
    "line",
    [
        "VLLM_API_KEY=s3cr3tvalue next", "api_key: s3cr3tvalue", "'api_key': ['s3cr3tvalue'], 'port': 1",
        "--hf-token s3cr3tvalue", "--api-key=s3cr3tvalue", "password = s3cr3tvalue",
        "AWS_SECRET_ACCESS_KEY=s3cr3tvalue", "token: s3cr3tvalue", '{"token": "s3cr3tvalue"}',
        "GITHUB_TOKEN=s3cr3tvalue", "authorization: Basic s3cr3tvalue", "http://me:s3cr3tvalue@h/x",
        "api_key=SecretStr('s3cr3tvalue')", "client_secret=s3cr3tvalue", "hub_token=s3cr3tvalue",
    ],
)  # fmt: skip
def test_values_of_secret_names_are_hidden(line: str) -> None:
    assert "s3cr3tvalue" not in redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "'hf_overrides': {'num_experts': 8}, 'max_num_batched_tokens': 8192, 'max_tokens': 64",
        "HF_HUB_ENABLE_HF_TRANSFER=1 but the package hf_transfer is missing; HF_HUB_OFFLINE=1",
        "'SmallConfig' object has no attribute 'hf_text_config'", "pip install sk-learn-contrib",
        "print_info: EOS token        = 151645 '<|im_end|>'", "eos_token: '</s>', pad_token=<pad>",
        "eos_token='<|endoftext|>' image_token: <image>", "ValueError: unexpected token: identifier",
        "tokenizer=/models/qwen tokenizer_mode=auto skip_tokenizer_init=False token_ids=[1, 2]",
        "api_key=None, hf_token: null, password=required, API_KEY=env:MY_KEY", "n_tokens = 512",
        "secret: env:NAME", "gpustack_operator gpustack-runner:cuda12.8-vllm0.17.1",
        "--max-num-batched-tokens 8192 --tokenizer-mode mistral --enable-prompt-tokens-details",
        "speculative_config={'num_speculative_tokens': 3, 'method': 'ngram'}",
        "https://user@host/x http://127.0.0.1:8080/v1", "hf_quant_config.json hf_device_map=auto",
        "sk_buff_alloc failed; task-12345678 slot-launch_", "prompt eval: 12 tokens, key_value_heads=8",
    ],
)  # fmt: skip
def test_names_and_settings_of_a_model_stay(line: str) -> None:
    assert redact(line) == line


def test_prose_and_numbers_stay() -> None:
    """Redaction must not eat a log's meaning."""
    text = "loaded 8192 tokens; token count 17; secret sauce; n_tokens = 512, max_tokens: 64"
    assert redact(text) == text
