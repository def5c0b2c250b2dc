"""Workloads: the bundled checks pass right answers and fail wrong ones; files name their errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelscan.bench.cases import case_results, pass_rate
from modelscan.bench.checks import CHECK_KINDS, AnswerCheck, failed_checks, made, passes
from modelscan.bench.dataset import read_dataset
from modelscan.bench.replay import workload_of
from modelscan.bench.slo import ServiceLevel
from modelscan.bench.stream import RequestResult
from modelscan.bench.synthetic import WordScale, synthetic_prompt
from modelscan.bench.workload import BenchWorkload, shape, workload_hash
from modelscan.bench.workload_file import BUNDLED, bundled_workload, read_workload, workload_file
from modelscan.core.errors import UsageError
from modelscan.core.receipt import Receipt

# For each bundled prompt: answers that are right, and wrong ones with what is wrong.
RIGHT = {
    "loaded_or_cold": (
        "Server A: three queued requests of 2 s make a request wait 6 seconds, while Server B "
        "needs 40 seconds to load the model first. A is faster.",
        "Send it to server A. It waits 3 x 2 = 6 s there; at B it waits 40 s for the model.",
        "A. At A the wait is six seconds, at B forty seconds because the model must be loaded.",
    ),
    "latency_or_throughput": (
        "Throughput rises by a factor of 4 (8 requests in 2 s instead of 1 per second). The "
        "latency of one request doubles to 2 seconds. For one interactive user, run without a "
        "batch.",
        "It is fourfold: 4 requests per second. Each request takes twice as long. A single user "
        "is served best with a batch size of 1.",
    ),
    "api_404": (
        "- Check that the path is /v1/chat/completions\n- Check the model's name in GET "
        "/v1/models\n- Check that the port is the server's, e.g. 8080",
        "1. URL: does it end in /v1 once only?\n2. Model: is the name listed?\n3. Port: does "
        "another service listen on :8000?\n4. Proxy: does it rewrite the path?",
    ),
    "tmux_service_exits": (
        "- tmux ls: does the session still exist?\n- Read the log or journalctl for the reason\n"
        "- Run it as a systemd unit with lingering enabled",
        "1. Attach to the session\n2. Redirect stderr to a file and read the output\n3. Use "
        "docker or systemd instead of the terminal",
    ),
}  # fmt: skip
WRONG = {
    "loaded_or_cold": (
        "Server B, because it is idle and has no queue at the moment. A waits 6 and B 40 seconds.",
        "Server A, because it has the model already and is therefore the faster one.",
        "Sure! Server A: a request waits 6 seconds there, and 40 seconds at server B.",
        "A: 6, B: 40",
        "Server A is right. " + "It waits 6 seconds and not 40 seconds there. " * 12,
        "",
    ),
    "latency_or_throughput": (
        "Throughput rises 8 times, the latency of one request doubles. Use it without a batch.",
        "The throughput rises by a factor of 4 and the latency does not change. No batch is best.",
        "Throughput rises fourfold, latency doubles, and the batch of eight suits a single chat "
        "best." + " Really." * 80,
        "Certainly! Throughput rises 4x, latency doubles, use it without a batch for one user.",
        "",
    ),
    "api_404": (
        "Check the path /v1, the model and the port.",
        "Here is a checklist:\n- path /v1\n- model name\n- port 8080",
        "- the path is /v1/chat/completions\n- the port is 8080\n- restart the client",
        "- path\n- model\n- port\n" + "- and another thing to look at\n" * 20,
        "",
    ),
    "tmux_service_exits": (
        "The session is gone, read the log and use systemd.",
        "- the session may be gone\n- read the log\n- try again",
        "- use systemd\n- use docker\n- use nohup",
        "Okay, here:\n- tmux ls for the session\n- read the log\n- use systemd",
        "",
    ),
}  # fmt: skip


def case(name: str) -> Any:
    cases = [one for workload in BUNDLED for one in bundled_workload(workload).cases]
    return next(one for one in cases if one.id == name)


def test_every_bundled_prompt_is_proven() -> None:
    names = {one.id for workload in BUNDLED for one in bundled_workload(workload).cases}
    assert names == set(RIGHT) == set(WRONG)


@pytest.mark.parametrize(("name", "answer"), [(n, a) for n, rows in RIGHT.items() for a in rows])
def test_right_answers_pass(name: str, answer: str) -> None:
    assert failed_checks(case(name).checks, answer) == []


@pytest.mark.parametrize(("name", "answer"), [(n, a) for n, rows in WRONG.items() for a in rows])
def test_wrong_answers_fail(name: str, answer: str) -> None:
    assert failed_checks(case(name).checks, answer)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (made("contains", "abc"), "xabcx", "ABC"),
        (made("contains", "abc", ignore_case=True), "ABC", "ab"),
        (made("not_contains", "sorry"), "fine", "so sorry"),
        (made("regex", r"^\d+$"), "text\n42", "42nd"),
        (made("not_regex", "^sure", ignore_case=True), "no, sure", "Sure, here"),
        (made("json", None), '```json\n{"a": [1]}\n```', '{"a": 1} is the answer'),
        (made("json", None), " [1, 2]\n", "[1, 2"),
        (made("json_schema", {"type": "object", "required": ["a"]}), '{"a": 1}', '{"b": 1}'),
        (made("json_schema", {"type": "integer"}), "3", "three"),
        (made("min_words", 2), "two words", "one"),
        (made("max_words", 2), "two words", "three words here"),
        (made("nonempty", None), "x", " \n"),
    ],
)
def test_every_kind_of_check(check: AnswerCheck, right: str, wrong: str) -> None:
    assert passes(check, right) and not passes(check, wrong)


def test_every_kind_is_tried_above() -> None:
    mark = next(one for one in test_every_kind_of_check.pytestmark if one.name == "parametrize")
    assert {row[0].kind for row in mark.args[1]} == set(CHECK_KINDS)


FILE = """\
name: support
version: 2
system: Answer in one sentence.
cases:
  - id: refund
    prompt: How do I get a refund?
    max_tokens: 60
    checks:
      - {kind: regex, pattern: "30 days", ignore_case: true}
      - {kind: max_words, value: 40}
      - {kind: json_schema, schema: {type: object}}
"""


def test_a_file_is_read() -> None:
    workload = read_workload(FILE, "support.yaml")
    (one,) = workload.cases
    assert (workload.name, workload.version, workload.is_checked) == ("support", 2, True)
    assert (one.id, one.turns, one.max_tokens) == ("refund", ("How do I get a refund?",), 60)
    assert one.checks[0] == AnswerCheck("regex", "30 days", True)
    assert workload_hash(workload, 7) != workload_hash(workload, 8)
    assert workload_hash(workload, 7) == workload_hash(read_workload(FILE, "x"), 7)


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("kind: regex", "kind: regexp", 9, "no check of the kind 'regexp'.*did you mean regex"),
        ("kind: regex", "kind: llm_judge", 9, "The kinds are contains"),
        ('pattern: "30 days"', 'pattern: "("', 9, "no regular expression"),
        ('pattern: "30 days", ', "", 9, "needs pattern"),
        ("value: 40", "value: many", 10, "needs words"),
        ("value: 40", "words: 40, sentences: 2", 10, "unknown key 'sentences'"),
        ("schema: {type: object}", "schema: {type: 5}", 11, "no JSON Schema"),
        ("schema: {type: object}", "schema: text", 11, "needs schema"),
        ("max_tokens: 60", "max_token: 60", 7, "did you mean 'max_tokens'"),
        ("max_tokens: 60", "max_tokens: 0", 7, "from 1 to"),
        ("prompt: How do I get a refund?", "prompt: ''", 6, "prompt: a text"),
        ("version: 2", "version: two", 2, "version: a number"),
        ("version: 2", "temperature: hot", 2, "temperature"),
        ("name: support", "name: [1]", 1, "name: a text"),
        ("  - id: refund", "  - id: refund\n    tags: [x]", 6, "unknown key 'tags'"),
        ("cases:", "case:", 4, "unknown key 'case'"),
    ],
)
def test_an_error_in_a_file_has_its_line(old: str, new: str, line: int, what: str) -> None:
    assert old in FILE
    with pytest.raises(UsageError, match=what) as error:
        read_workload(FILE.replace(old, new, 1), "support.yaml")
    assert f"support.yaml, line {line}:" in error.value.message


@pytest.mark.parametrize("text", ["", "[]", "name: x", "name: x\ncases: []", "a: [", "- 1"])
def test_what_is_no_workload_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_workload(text, "w.yaml")


def test_the_ids_of_a_file_are_unique() -> None:
    twice = FILE + FILE[FILE.index("  - id") :]
    with pytest.raises(UsageError, match="line 12: the id 'refund' occurs twice"):
        read_workload(twice, "w.yaml")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="no workload 'chat\\.short") as error:
        bundled_workload("chat.short_resoning")
    assert "--workload chat.short_reasoning" in (error.value.hint or "")


def answered(case: str, text: str) -> RequestResult:
    return RequestResult(status=200, text=text, case=case)


def test_answers_are_counted_by_prompt() -> None:
    workload = read_workload(
        FILE.replace("      - {kind: json_schema, schema: {type: object}}\n", ""), "x"
    )
    results = [answered("refund", "Within 30 days."), answered("refund", "Never."),
               RequestResult("broken", "cut", case="refund")]  # fmt: skip
    assert pass_rate(workload, results) == 0.3333  # a failed request passes nothing
    (one,) = case_results(workload, results)
    assert (one.answers, one.passed) == (2, 1)
    assert [(each.check, each.failures) for each in one.failed_checks] == [("regex 30 days", 1)]
    assert pass_rate(shape(8, 8), results) is None and case_results(shape(8, 8), results) == ()


LINES = {
    '{"text": "Hello"}': (("Hello",), 0, 32),
    '{"type": "single_turn", "texts": ["Hello", "other"]}': (("Hello",), 0, 32),
    '{"turns": [{"text": "One"}, {"text": "Two"}], "session_id": "s"}': (("One", "Two"), 0, 32),
    '{"turns": ["One", "Two"]}': (("One", "Two"), 0, 32),
    '{"prompt": "Hello", "max_tokens": 9}': (("Hello",), 0, 9),
    '{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]}': (
        ("U",), 1, 32),
    '{"messages": [{"role": "user", "content": [{"type": "text", "text": "U"}]}]}': (("U",), 0, 32),
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_the_shapes_of_a_dataset(line: str) -> None:
    turns, before, tokens = LINES[line]
    workload = read_dataset([line, "\n"], "data/prompts.jsonl", 32)
    (one,) = workload.cases
    assert (one.turns, len(one.messages), one.max_tokens) == (turns, before, tokens)
    assert (workload.name, workload.synthetic) == ("prompts.jsonl", False)


def test_a_trace_has_lengths_and_times() -> None:
    lines = ['{"timestamp": 500, "input_length": 12, "output_length": 3, "hash_ids": [1]}',
             '{"timestamp": 1500, "input_length": 30, "output_length": 4}']  # fmt: skip
    workload = read_dataset(lines, "trace.jsonl", None)
    assert workload.synthetic and workload.is_scheduled
    rows = [(one.at_s, one.input_tokens, one.max_tokens) for one in workload.cases]
    assert rows == [(0.5, 12, 3), (1.5, 30, 4)]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["{"], "line 1"),
        (['{"text": "a"}', "[1]"], "line 2: it is no JSON object"),
        (['{"text": ""}'], "line 1: there is no prompt"),
        (['{"image": "x.png", "text": "a"}'], "line 1: image: only text"),
        (['{"turns": [{"text": "a", "images": ["x"]}]}'], "images: only text"),
        (['{"messages": []}'], "a list is required"),
        (['{"messages": [{"role": "robot", "content": "x"}]}'], "needs a role"),
        (['{"messages": [{"role": "assistant", "content": "x"}]}'], "must be the user's"),
        (['{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}'], "of text"),
        (['{"text": "a", "max_tokens": 0.5}'], "whole number"),
        (['{"text": "a", "timestamp": "noon"}'], "timestamp: a number"),
        (['{"text": "a", "timestamp": 1}', '{"text": "b"}'], "prompt 2 has no timestamp"),
        ([], "has no prompt"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        read_dataset(lines, "x.jsonl", None)


def test_past_requests_are_repeated_without_their_texts() -> None:
    rows = [Receipt(f"{n:032x}", 100.0 + n, "chat", "m", input_tokens=10 * n, output_tokens=n)
            for n in range(3)]  # fmt: skip
    workload = workload_of(rows[::-1], keep_times=True)
    found = [(one.at_s, one.input_tokens, one.max_tokens) for one in workload.cases]
    assert found == [(0.0, 10, 1), (1.0, 20, 2)]  # the first one has no counted tokens
    assert not workload_of(rows[::-1], keep_times=False).is_scheduled
    with pytest.raises(UsageError, match="none of 1 requests"):
        workload_of(rows[:1], keep_times=False)


def test_the_server_counts_the_tokens_of_a_word() -> None:
    scale = WordScale()
    scale.learn((16, 52), (64, 148))  # two tokens a word, 20 for the template
    assert scale.words(220) == 100 and scale.words(10) == 0
    scale.learn((16, 52), (16, 52))  # nothing to learn from
    assert scale.words(220) == 100


def test_prompts_differ_and_begin_with_their_nonce() -> None:
    one, two = (synthetic_prompt(20, f"n-{number}", number) for number in range(2))
    assert one[0].content == "n-0" and one[0].role == "system"
    assert one[1].content != two[1].content
    assert synthetic_prompt(20, "n-0", 0) == one
    assert ServiceLevel() == ServiceLevel() and isinstance(shape(1, 1), BenchWorkload)


def evaluation_catalog(*workloads: dict[str, Any]) -> str:
    """An evaluation catalog as GenieHive's tools read it, JSON."""
    return json.dumps({
        "schema_version": "geniehive.evaluation.catalog.v1", "dataset_revision": "eval-1",
        "model_profiles": [{"model_id": "m", "family": "f"}],
        "workloads": [{
            "workload_id": "chat.json", "role_ids": ["extractor"], "dataset_revision": "eval-1",
            "evaluator": "e", "risk_class": "high", "minimum_pass_rate": 1.0,
            "hard_failures": ["invalid_json"], "system_prompt": "Only JSON.",
            "chat_template_kwargs": {"enable_thinking": False},
            "cases": [
                {"case_id": "a", "prompt": "Year?", "max_completion_tokens": 30, "adversarial": True,
                 "checks": [{"kind": "json"}, {"kind": "contains", "value": "year"},
                            {"kind": "regex", "pattern": "^.*18"}]},
                {"case_id": "b", "prompt": "Anything."},
            ],
        }, *workloads],
    })  # fmt: skip


SECOND = {
    "workload_id": "chat.plain",
    "role_ids": ["r"],
    "cases": [{"case_id": "c", "prompt": "Hi"}],
}


def test_an_evaluation_catalog_is_a_workload(tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(evaluation_catalog())
    workload = workload_file(file)
    assert (workload.name, workload.system, workload.thinking) == ("chat.json", "Only JSON.", "off")
    assert workload.minimum_pass_rate == 1.0
    first, second = workload.cases
    assert (first.id, first.turns, first.max_tokens) == ("a", ("Year?",), 30)
    assert [check.label for check in first.checks] == ["json", "contains year", "regex ^.*18"]
    assert (second.max_tokens, [check.kind for check in second.checks]) == (120, ["nonempty"])
    file.write_text(evaluation_catalog(SECOND))
    plain = workload_file(Path(f"{file}#chat.plain"))
    assert (plain.name, plain.system) == ("chat.plain", "Return only the requested answer.")
    assert (plain.minimum_pass_rate, plain.thinking) == (0.8, None)


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        ({}, "", "has 2 workloads: chat.json, x"), ({}, "#chat.jsn", "has no workload 'chat.jsn'"),
        ({"seed": 1}, "#x", "unknown key 'seed'"), ({"cases": []}, "#x", "a list of prompts"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "#x", "chat_template_kwargs"),
        ({"cases": [{"case_id": "c", "prompt": "Hi", "seed": 2}]}, "#x", "unknown key 'seed'"),
        ({"cases": [{"case_id": "c", "prompt": "Hi", "checks": [{"kind": "judge"}]}]}, "#x", "judge"),
        ({"cases": [{"case_id": "c"}]}, "#x", "prompt: a text is required"), ({"cases": 3}, "#x", "cases"),
        ({"minimum_pass_rate": 2}, "#x", "a number from 0 to 1"),
    ],
)  # fmt: skip
def test_what_a_catalog_cannot_mean_is_refused(
    tmp_path: Path, change: dict[str, Any], name: str, message: str
) -> None:
    file = tmp_path / "catalog.json"
    file.write_text(evaluation_catalog({**SECOND, "workload_id": "x", **change}))
    with pytest.raises(UsageError) as caught:
        workload_file(Path(f"{file}{name}"))
    assert message in caught.value.message


def test_a_fragment_is_for_catalogs(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\ncases: [{id: a, prompt: Hi}]\n")
    with pytest.raises(UsageError, match="no evaluation catalog"):
        workload_file(Path(f"{file}#own"))
