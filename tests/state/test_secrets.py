"""Keys by reference only, and nothing that looks like one is ever shown."""

from __future__ import annotations

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


@pytest.mark.parametrize("key", PLANTED)
@pytest.mark.parametrize(
    "line",
    ["Authorization: Bearer {}", "HF_TOKEN={} next", '{{"api_key": "{}"}}', "--api-key {} --port 1",
     "https://user:{}@host/x", "{}"],
)  # fmt: skip
def test_planted_keys_do_not_leak(key: str, line: str) -> None:
    """Wherever it stands."""
    assert key not in redact(line.format(key))


def test_prose_and_numbers_stay() -> None:
    """Redaction must not eat a log's meaning."""
    text = "loaded 8192 tokens; token count 17; secret sauce; n_tokens = 512, max_tokens: 64"
    assert redact(text) == text
