"""No test asserts how long something took: a busy machine would make it fail.

What a test may assert is what the time stands for: how often a server was asked, that the deadline
error was raised and with which number, which signal ended a process.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
          "thread_time", "time", "time_ns"}  # fmt: skip


def reads_clock(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and isinstance(part.func.value, ast.Name)
        and part.func.value.id == "time"
        and part.func.attr in CLOCKS
        for part in ast.walk(node)
    )


def elapsed_names(tree: ast.AST) -> set[str]:
    """Variables that hold a difference of clock readings."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp)
        if isinstance(node.value.op, ast.Sub) and reads_clock(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def timed_assertions(source: str) -> Iterator[int]:
    """Lines of the assertions that compare a clock reading or an elapsed time."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elapsed = elapsed_names(function)
        for node in ast.walk(function):
            if not isinstance(node, ast.Assert):
                continue
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if reads_clock(node.test) or names & elapsed:
                yield node.lineno


def test_no_test_asserts_an_elapsed_time() -> None:
    lines = [
        f"{path.relative_to(HERE)}:{line}"
        for path in sorted(HERE.rglob("*.py"))
        for line in timed_assertions(path.read_text(encoding="utf-8"))
    ]
    assert not lines, lines


def test_a_timed_assertion_is_recognised() -> None:
    direct = "def f():\n    begun = time.monotonic()\n    assert time.monotonic() - begun < 2\n"
    named = "def f():\n    took = time.perf_counter() - begun\n    assert took < 2\n"
    waits = "def f():\n    while time.monotonic() < deadline:\n        pass\n    assert done\n"
    assert list(timed_assertions(direct)) == [3]
    assert list(timed_assertions(named)) == [3]
    assert list(timed_assertions(waits)) == []
