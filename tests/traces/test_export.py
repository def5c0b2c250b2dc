"""Exports: readable as OpenTelemetry's, without secrets, private, with provenance that validates."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from support.planted_secrets import forms, plant
from support.trace_rows import hosted, receipt, talk

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.traces.answers import TraceAccess, export_file
from modelscan.traces.otlp import operation_name
from modelscan.traces.redaction.redact import Redactor
from modelscan.traces.store import EVERY, ReceiptFilter


@pytest.fixture
def access(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceAccess]:
    monkeypatch.setenv("OPENROUTER_API_KEY", "plain-words-as-a-key")
    config = load({})
    with ServerDatabase.open(config.paths.state) as database:
        yield TraceAccess(config, database)


def test_a_span_is_what_the_definitions_of_opentelemetry_say(
    access: TraceAccess, tmp_path: Path
) -> None:
    talk(access.store, access.contents, 1, "How?", "So.", cached_tokens=7)
    access.store.write([hosted(2, status=503, error="overloaded", stream=True, ttft_s=0.25)])
    file = tmp_path / "spans.json"
    answer = export_file(access, file, "otlp-json", only=EVERY, with_content=True)
    assert (answer.spans, answer.contents) == (2, 1)
    lines = file.read_text().splitlines()
    data = Parse(_base64_ids(lines[0]), TracesData())
    (spans,) = data.resource_spans[0].scope_spans
    first, second = spans.spans
    assert first.trace_id.hex() == f"{1:032x}" and len(first.span_id) == 8
    assert first.end_time_unix_nano - first.start_time_unix_nano == 2_000_000_000
    values = {one.key: one.value for one in first.attributes}
    assert values["gen_ai.operation.name"].string_value == "chat"
    assert values["gen_ai.usage.input_tokens"].int_value == 1000
    assert values["gen_ai.usage.cache_read.input_tokens"].int_value == 7
    assert values["gen_ai.input.messages"].string_value == json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "How?"}]}]
    )
    assert second.kind == 3 and second.status.code == 2
    values = {one.key: one.value for one in second.attributes}
    assert values["gen_ai.response.time_to_first_chunk"].double_value == 0.25
    assert values["modelscan.left_machine.bytes"].int_value == 500
    assert "gen_ai.input.messages" not in values
    attributes = {a.key: a.value.string_value for a in data.resource_spans[0].resource.attributes}
    provenance = json.loads(attributes["modelscan.provenance"])
    assert provenance["model"] == ["qwen3-8b", "gpt-4o"]
    scope = json.loads(lines[0])["resourceSpans"][0]["scopeSpans"][0]
    text = json.dumps(scope, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert attributes["modelscan.sha256"] == hashlib.sha256(text.encode()).hexdigest()


def _base64_ids(line: str) -> str:
    """OTLP's JSON has ids as hexadecimal digits, protobuf's as base64."""
    import base64

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64encode(bytes.fromhex(one)).decode()
            if key in ("traceId", "spanId")
            else change(one)
            for key, one in value.items()
        }

    return json.dumps(change(json.loads(line)))


def test_the_header_of_json_lines_validates_and_the_file_is_private(
    access: TraceAccess, tmp_path: Path
) -> None:
    access.store.write([receipt(1), hosted(2)])
    file = tmp_path / "new" / "spans.jsonl"
    answer = export_file(access, file, "jsonl", only=ReceiptFilter(route="cloud"))
    header, _, rest = file.read_bytes().partition(b"\n")
    document = json.loads(header)
    assert document["sha256"] == answer.sha256 == hashlib.sha256(rest).hexdigest()
    assert document["provenance"]["route"] == ["cloud"]
    assert document["provenance"]["redaction"]["rules_version"] == 4
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (span,) = map(json.loads, rest.splitlines())
    assert span["tools"] == [{"name": "search", "calls": 2}]
    assert span["endpoint_host"] == "api.openai.com"


def test_no_planted_secret_is_in_an_export(access: TraceAccess, tmp_path: Path) -> None:
    secrets = list(plant(7, 200))
    for number, one in enumerate(secrets):
        talk(access.store, access.contents, number, one.text, f"again: {one.text}")
    talk(access.store, access.contents, 999, "my key is plain-words-as-a-key", "fine")
    for format in ("jsonl", "otlp-json"):
        file = tmp_path / format
        answer = export_file(access, file, format, only=EVERY, with_content=True)  # type: ignore[arg-type]
        text = file.read_text()
        assert not [one for one in secrets for form in forms(one.value) if form in text]
        assert "plain-words-as-a-key" not in text
        assert sum(answer.redactions.values()) >= 400


def test_a_secret_that_survives_stops_the_export(
    access: TraceAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(access.store, access.contents, 1, "I am ada@firma.de", "hello")
    monkeypatch.setattr(Redactor, "_without", lambda _, text, found: text)
    file = tmp_path / "spans.jsonl"
    file.write_text("older")
    with pytest.raises(ModelscanError, match="nothing was written") as caught:
        export_file(access, file, "jsonl", only=EVERY, with_content=True)
    assert caught.value.exit_code == 1
    assert file.read_text() == "older" and list(tmp_path.glob(".spans*")) == []


def test_an_export_goes_to_a_file(access: TraceAccess, tmp_path: Path) -> None:
    for place in (tmp_path, Path("-")):
        with pytest.raises(UsageError, match="is no file"):
            export_file(access, place, "jsonl", only=EVERY)


def test_a_key_that_a_stream_cut_in_pieces_is_found(access: TraceAccess, tmp_path: Path) -> None:
    from modelscan.core.receipt import KeptContent

    pieces = ["the key is sk-ant-", "api03-Ab1", "Cd2Ef3Gh4Ij5Kl6", "Mn7Op8 bye"]
    events = [json.dumps({"choices": [{"index": 0, "delta": {"content": one}}]}) for one in pieces]
    stream = "".join(f"data: {one}\n\n" for one in [*events, "[DONE]"]).encode()
    access.store.write([receipt(1)])
    body = json.dumps({"messages": [{"role": "user", "content": "?"}]}).encode()
    access.contents.write([KeptContent(f"{1:032x}", 1.0, body, stream)])
    file = tmp_path / "spans.jsonl"
    export_file(access, file, "jsonl", only=EVERY, with_content=True)
    span = json.loads(file.read_text().splitlines()[1])
    assert span["content"]["answer"]["content"] == "the key is [redacted:anthropic_key:1] bye"


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("chat", "chat"), ("messages", "chat"), ("responses", "chat"),
        ("completions", "text_completion"), ("embeddings", "embeddings"), ("rerank", "rerank"),
        ("transcription", "transcription"), ("image", "image"),
    ],
)  # fmt: skip
def test_an_operation_without_a_conventional_name_keeps_its_own(operation: str, name: str) -> None:
    assert operation_name(operation) == name
