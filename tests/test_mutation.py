"""The mutation check itself: its mutants, the tests it chooses, its lists."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY

from scripts import mutate
from scripts.mutation.mutants import Mutant, mutants_of
from scripts.mutation.plugin import Run

SETTINGS = yaml.safe_load(mutate.SETTINGS.read_text(encoding="utf-8"))


def changes(source: str) -> set[tuple[str, str]]:
    return {(m.before, m.after) for m in mutants_of("m.py", textwrap.dedent(source))}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a < b", {"(a <= b)"}), ("a <= b", {"(a < b)"}), ("a > b", {"(a >= b)"}),
        ("a >= b", {"(a > b)"}), ("a == b", {"(a != b)"}), ("a is b", {"(a is not b)"}),
        ("a in b", {"(a not in b)"}), ("a < b < c", {"(a <= b < c)", "(a < b <= c)"}),
        ("a + b", {"(a - b)"}), ("a - b", {"(a + b)"}), ("a * b", {"(a // b)"}),
        ("a / b", {"(a * b)"}), ("a // b", {"(a * b)"}), ("a % b", {"(a * b)"}),
        ("a and b", {"(a or b)"}), ("a or b", {"(a and b)", "(a)"}),
        ("a or b or c", {"(a and b and c)", "(a or b)"}), ("not a", {"(a)"}),
        ("min(a)", {"(max(a))"}), ("math.ceil(a)", {"(math.floor(a))"}), ("any(a)", {"(all(a))"}),
        ("True", {"False"}), ("7", {"8", "6"}), ("0", {"1"}), ("0.5", {"1.5", "-0.5"}),
        ("a[b:]", {"a[b + 1:]"}), ("a[:b]", {"a[:b + 1]"}), ("'text'", set()), ("f'{a + b}'", set()),
    ],
)  # fmt: skip
def test_what_an_expression_becomes(before: str, after: set[str]) -> None:
    assert {new for _, new in changes(f"x = {before}")} == {f"x = {text}" for text in after}


def test_annotations_assertions_errors_and_imports_stay() -> None:
    source = """
        from a import b
        def f(x: int | None = None) -> "list[1]":
            assert x > 1
            raise ValueError(x + 1)
        class C:
            y: int | None
        """
    assert changes(source) == set()


def test_a_mutant_knows_its_scope_and_its_lines() -> None:
    source = textwrap.dedent(
        """
        N = 1
        class C:
            default: int = 2
            def f(self, x=3):
                if (x
                        < 4):
                    return x + 5
        """
    )
    found = {m.before: m for m in mutants_of("m.py", source)}
    assert (found["N = 1"].scope, found["N = 1"].at_import) == ("", True)
    assert (found["default: int = 2"].scope, found["default: int = 2"].at_import) == ("C", True)
    default = found["def f(self, x=3):"]
    assert (default.scope, default.at_import) == ("C", True)
    border = found["if (x < 4):"]
    assert (border.scope, border.at_import, border.first, border.last) == ("C.f", False, 6, 7)
    assert all(ast.parse(m.source) for m in found.values())


def mutant(line: int, *, at_import: bool = False) -> Mutant:
    return Mutant("m.py", "f", line, line, line, at_import, "a", "b", "")


def test_the_shortest_tests_that_run_the_line_come_first() -> None:
    runs = {
        "slow": Run(True, 2.0, {("m.py", 3), ("m.py", 4)}),
        "quick": Run(True, 0.1, {("m.py", 3)}),
        "other": Run(True, 0.1, {("n.py", 3)}),
    }
    assert mutate.covering(mutant(3), runs) == ["quick", "slow"]
    assert mutate.covering(mutant(4), runs) == ["slow"]
    assert mutate.covering(mutant(9), runs) == []
    assert mutate.covering(mutant(9, at_import=True), runs) == ["quick", "slow"]


def test_a_sample_is_stable_and_an_edit_changes_few_of_its_mutants() -> None:
    source = "def f(a, b):\n" + "".join(f"    x{n} = a + {n}\n" for n in range(1, 40))
    before = mutants_of("m.py", source)
    after = mutants_of("m.py", source.replace("x20 = a + 20", "x20 = b + 20"))
    chosen = {m.key for m in mutate.sampled(before, 20, "1")}
    assert chosen == {m.key for m in mutate.sampled(list(reversed(before)), 20, "1")}
    assert len(chosen & {m.key for m in mutate.sampled(after, 20, "1")}) >= 17
    assert chosen != {m.key for m in mutate.sampled(before, 20, "2")}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout of one module and its tests."""
    tree = tmp_path / "tree"
    (tree / "tests").mkdir(parents=True)
    (tree / "double.py").write_text(
        "def double(x):\n    if x > 10:\n        return 20\n    while x < 0:\n        x = x + 1\n"
        "    return x * 2\n"
    )
    (tree / "tests" / "test_double.py").write_text(
        "from double import double\n\ndef test_three():\n    assert double(3) == 6\n\n"
        "def test_large():\n    assert double(99) == 20\n\ndef test_less():\n"
        "    assert double(-2) == 0\n"
    )
    names = ("gpu", "slow", "gpustack", "vllm", "shared")
    markers = "".join(f'"{name}: x", ' for name in names)
    (tree / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\nmarkers = [{markers}]\n")
    return tree


# In a process of its own, because the check forks and other tests may leave threads.
CHECKS = """
import sys
from pathlib import Path
from scripts.mutation.run import baseline, killed

tree = Path(sys.argv[1])
runs = baseline(tree, ["tests"], ["double.py"])
tests = {name: f"tests/test_double.py::test_{name}" for name in ("three", "large", "less")}
assert set(runs) == set(tests.values()), runs
assert {line for _, line in runs[tests["large"]].lines} >= {2, 3}, runs
assert 3 not in {line for _, line in runs[tests["three"]].lines}, runs
source = (tree / "double.py").read_text()
every = list(tests.values())
assert killed(tree, "double.py", source.replace("x * 2", "x + 2"), every, 60)
assert killed(tree, "double.py", source.replace("x + 1", "x - 1"), [tests["less"]], 5)
assert not killed(tree, "double.py", source.replace("x > 10", "x >= 10"), every, 60)
assert not killed(tree, "double.py", source.replace("x * 2", "x + 3"), [tests["three"]], 60)
assert not killed(tree, "double.py", source, every, 60)
assert (tree / "double.py").read_text() == source
"""


def run_checks(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHECKS, str(tree)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_mutants_are_run_in_the_copy_and_the_module_is_restored(tree: Path) -> None:
    done = run_checks(tree)
    assert done.returncode == 0, done.stderr


def test_failing_tests_are_no_baseline(tree: Path) -> None:
    (tree / "double.py").write_text("def double(x):\n    return 0\n")
    done = run_checks(tree)
    assert "the tests fail without a mutant" in done.stderr
    assert done.returncode == 1


def test_the_modules_and_tests_of_the_lists_are_there() -> None:
    groups = [*mutate.groups(SETTINGS, []), *mutate.sample_groups(SETTINGS)]
    assert groups
    for group in groups:
        assert all((REPOSITORY / path).exists() for path in group.tests), group.tests


def test_every_equivalent_mutant_is_one() -> None:
    listed = yaml.safe_load(mutate.EQUIVALENT.read_text(encoding="utf-8"))
    keys = {
        mutant.key
        for path in listed
        for mutant in mutants_of(path, (REPOSITORY / path).read_text(encoding="utf-8"))
    }
    assert mutate.equivalents() <= keys
    assert all(row["reason"] for rows in listed.values() for row in rows)
