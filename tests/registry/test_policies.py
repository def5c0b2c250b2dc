"""The policy file: what it says, errors with line and suggestion; gates over results."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY

from modelscan.core.errors import UsageError
from modelscan.core.yaml_reader import read_yaml
from modelscan.registry.gates import GateCheck, check_gates, fits_hardware
from modelscan.registry.policy import BUILT_IN, GateRule, read_policies
from modelscan.registry.policy_file import load_policies
from modelscan.registry.results import ModelResult
from modelscan.state.clock import text_of
from modelscan.state.config import load

FILE = """
# the tags of this lab
version: 1
tags:
  curated:
    approvals: 3
    withdraw: true
    gates:
      - {suite: coding, metric: accuracy, op: ">=", threshold: 0.6, max_age: 30d}
      - workload: shape
        metric: ttft_s.p95
        op: "<"
        threshold: 2
        hardware: RTX 4090
        concurrency: 4
  reviewed: {}
"""
NOW = 1_800_000_000.0


def test_a_file_says_what_tags_need() -> None:
    policies = read_policies(FILE, "curation.yaml")
    curated, reviewed = policies.tags["curated"], policies.tags["reviewed"]
    assert (curated.approvals, curated.withdraw) == (3, True)
    assert curated.gates == (
        GateRule("suite", "coding", "accuracy", ">=", 0.6, max_age_s=30 * 86_400.0),
        GateRule("workload", "shape", "ttft_s.p95", "<", 2.0, hardware="RTX 4090", concurrency=4),
    )
    assert (reviewed.approvals, reviewed.gates, reviewed.withdraw) == (2, (), False)
    assert read_policies("", "x").tags == {}


def test_the_schema_accepts_what_the_reader_accepts() -> None:
    text = (REPOSITORY / "modelscan" / "schemas" / "files" / "curation.json").read_text()
    jsonschema.Draft202012Validator(json.loads(text)).validate(read_yaml(FILE).value)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tag: {}", "line 1: the file: unknown key 'tag'", "did you mean tags?"),
        ("tags:\n  a:\n    aprovals: 2", "line 3: tags.a: unknown key", "did you mean approvals?"),
        ("tags:\n  a:\n    approvals: 0", "line 3: tags.a: approvals must be a positive", None),
        ("tags:\n  a:\n    approvals: 21", "line 3: tags.a: approvals must be at most 20", None),
        ("tags:\n  a:\n    approvals: two", "line 3: tags.a.approvals must be a whole number", None),
        ("tags:\n  a:\n    approvals: true", "line 3: tags.a.approvals must be a whole", None),
        ("tags:\n  a:\n    withdraw: 1", "line 3: tags.a.withdraw must be true or false", None),
        ("version: 2", "line 1: version 2 is not supported", "use one of 1"),
        ("tags: [curated]", "line 1: tags must be a mapping", None),
        ("- a", "line 1: the file must be a mapping", None),
        ("tags:\n  'a b': {}", "'a b' is not a tag", None),
        ("tags:\n  a: {gates: [{metric: m, op: '>', threshold: 1}]}", "either suite or workload", None),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '=>', threshold: 1}]}", "op '=>'", None),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '>'}]}", "needs threshold", None),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '>', threshold: .nan}]}", "a number", None),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '>', threshold: 1, max_age: soon}]}",
         "'soon' is not a time", "write it like 12h or 30d"),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '>', threshold: 1, max_age: 0d}]}",
         "must be more than 0", None),
        ("tags:\n  a: {gates: [{suite: s, metric: m, op: '>', threshold: 1, concurrency: 2}]}",
         "a suite has no concurrency", None),
        ("tags: {a: {}, a: {}}", "line 1: the key 'a' occurs twice", None),
        ("tags:\n\ta: {}", "tab", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as error:
        read_policies(text, "curation.yaml")
    assert error.value.message.startswith("curation.yaml") and message in error.value.message
    assert error.value.hint
    assert hint is None or error.value.hint == hint


def test_where_the_file_is(tmp_path: Path) -> None:
    environment = {"MODELSCAN_HOME": str(tmp_path)}
    assert load_policies(load(environ=environment)) is BUILT_IN
    assert BUILT_IN.tags["curated"].approvals == 2
    own = tmp_path / "config" / "curation.yaml"
    own.parent.mkdir()
    own.write_text("tags: {a: {}}")
    assert list(load_policies(load(environ=environment)).tags) == ["a"]
    other = tmp_path / "other.yaml"
    config = load(environ={**environment, "MODELSCAN_CURATION_POLICY": str(other)})
    with pytest.raises(UsageError, match="there is no such file"):
        load_policies(config)  # a file that was named and is gone opens nothing
    for content in (b"\xff\xfe", None):
        if content is None:
            other.unlink()
            other.mkdir()
        else:
            other.write_bytes(content)
        with pytest.raises(UsageError, match="cannot read"):
            load_policies(config)


def result(
    report: str, age_s: float = 0.0, load_: int | None = None, **values: object
) -> ModelResult:
    plain: dict[str, object] = {
        "id": report if load_ is None else f"{report}/{load_}", "report_id": report,
        "kind": "suite" if load_ is None else "workload", "name": "s", "digest": "", "slug": "a",
        "version": "1", "matched_by": "sha256", "observed_at": text_of(NOW - age_s),
        "hardware": "NVIDIA GeForce RTX 4090", "quantization": None, "concurrency": load_,
        "metrics": {"m": 1.0}, "by": "bot", "ingested_at": text_of(NOW),
    }  # fmt: skip
    return ModelResult(**{**plain, **values})  # type: ignore[arg-type]


def checked(rule: GateRule, *results: ModelResult) -> GateCheck:
    (check,) = check_gates((rule,), results, NOW)
    return check


def test_the_newest_report_counts_and_not_the_best() -> None:
    rule = GateRule("suite", "s", "m", ">=", 0.5)
    best, newest = result("a", 100, metrics={"m": 0.9}), result("b", 10, metrics={"m": 0.4})
    check = checked(rule, best, newest)
    assert (check.met, check.observed, check.eval_id, check.age_s) == (False, 0.4, "b", 10.0)
    assert checked(rule, newest, best) == check  # in any order
    assert check.reason == "m is 0.4, not >= 0.5"


def test_of_several_loads_the_worst_counts_or_the_named_one() -> None:
    loads = [result("a", load_=n, metrics={"m": float(n)}) for n in (1, 4, 8)]
    for op, worst in (("<=", "a/8"), (">=", "a/1")):
        rule = GateRule("workload", "s", "m", op, 4.0)  # type: ignore[arg-type]
        assert checked(rule, *loads).eval_id == worst
        assert not checked(rule, *loads).met
    named = GateRule("workload", "s", "m", "<=", 4.0, concurrency=4)
    assert (checked(named, *loads).eval_id, checked(named, *loads).met) == ("a/4", True)
    missing = GateRule("workload", "s", "m", "<=", 4.0, concurrency=2)
    assert "2 requests at once" in (checked(missing, *loads).reason or "")


@pytest.mark.parametrize(("op", "met"), [(">=", True), (">", False), ("<=", True), ("<", False)])
def test_the_threshold_itself(op: str, met: bool) -> None:
    rule = GateRule("suite", "s", "m", op, 1.0)  # type: ignore[arg-type]
    assert checked(rule, result("a")).met is met


def test_ages_names_and_unknown_values() -> None:
    rule = GateRule("suite", "s", "m", ">=", 0.5, max_age_s=60.0)
    assert checked(rule, result("a", 60)).met
    old = checked(rule, result("a", 61))
    assert not old.met and "old" in (old.reason or "") and old.observed == 1.0
    for other in (result("a", name="t"), result("a", kind="workload"), result("a", metrics={}),
                  result("a", metrics={"m": float("nan")})):  # fmt: skip
        assert checked(rule, other).observed is None
    assert "there are x" in (checked(rule, result("a", metrics={"x": 1.0})).reason or "")


@pytest.mark.parametrize(
    ("wanted", "hardware", "fits"),
    [
        (None, None, True), ("RTX 4090", None, False), ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("rtx 4090", "2 x NVIDIA GeForce RTX 4090", True), ("RTX 4090", "RTX 4090D", False),
        ("H100", "NVIDIA H100 80GB HBM3", True), ("A10", "NVIDIA A100", False),
    ],
)  # fmt: skip
def test_hardware_by_words(wanted: str | None, hardware: str | None, fits: bool) -> None:
    assert fits_hardware(wanted, hardware) is fits
