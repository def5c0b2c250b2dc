"""The reader of YAML: strict, with lines, and bounded for texts that grow when they are built."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.yaml_reader import YamlProblem, read_yaml, yaml_value

NEST = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only this\n", None),
        ("a: on\nb: ~\nc: 0x1F\nd: 1_000\ne: -2.5\nf: .inf\n",
         {"a": True, "b": None, "c": 31, "d": 1000, "e": -2.5, "f": float("inf")}),
        ("a: 2020-13-45\nb: 010\nc: 1:30\nd: =\n",
         {"a": "2020-13-45", "b": "010", "c": "1:30", "d": "="}),
        ("2070: a\non: b\n~: c\n", {"2070": "a", "on": "b", "~": "c"}),
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n",
         {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}),
        ("\ufeffa: 1\r\nb: 'x\ty' # a\tb\r\n", {"a": 1, "b": "x\ty"}),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    assert read_yaml(text).value == value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' occurs twice"),
        ("a: 1\nb:\t2\n", 2, "a tab"),
        ("a: b\t\n", 1, "a tab"),
        ("a: b\t# c\n", 1, "a tab"),
        ("t: &t [*t]\n", 1, "contains itself"),
        ("a: &a {b: *a}\n", 1, "contains itself"),
        (NEST, None, "aliases repeat"),
        ("x: !!int foo\n", 1, "does not match its tag !!int"),
        ("x: !!bool foo\n", 1, "does not match its tag !!bool"),
        ("x: !!python/name:os.system ''\n", 1, "tag !!python/name:os.system"),
        ("a: 1\nx: " + "9" * 5000, 2, "a number of 5,000 digits"),
        ("[" * 70 + "]" * 70, 1, "nested deeper"),
        ("[" * 5000, 1, "nesting"),
        ("{a: 1}: 2\n", 1, "a key must be text"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: *b\n", 1, "undefined alias"),
        ("a: [\n", None, "expected"),
        ("a: 1\nb: \x01\n", 2, "control characters"),
        ("펩\ufeff\x1c\n\x1c", None, "not allowed"),
        ('a: "\\ud800"\n', 1, "escape"),
        ("<<: 3\n", 1, "needs a mapping"),
    ],
)
def test_problems_have_a_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(YamlProblem, match=words) as caught:
        read_yaml(text)
    assert line is None or caught.value.line == line


def test_places() -> None:
    document = read_yaml("a:\n  b: 0.10\n  c:\n    - on\n    - 'x'\n")
    assert document.text(("a", "b")) == "0.10"
    assert document.text(("a", "c", 0)) == "on"
    assert document.line(("a", "c", 1)) == 5
    assert document.line(("a", "c", 7, "z")) == 3
    assert document.line(("nothing",)) == 1


def test_foreign_files_may_repeat_a_key() -> None:
    assert yaml_value("a: 1\na: 2\n", repeated=True) == {"a": 2}
    assert yaml_value("a: 1.0\nb: no\n", as_text=True) == {"a": "1.0", "b": "no"}


def test_a_long_text_is_refused() -> None:
    with pytest.raises(YamlProblem, match="longer than 100 characters"):
        read_yaml("a: 1\n" * 30, max_characters=100)
