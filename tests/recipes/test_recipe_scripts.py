"""Every script compiles, is the same for every model, and uses what its pinned packages have."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelscan.recipes.flavors import FLAVORS
from modelscan.recipes.registry import RECIPES
from modelscan.recipes.script_files import environment_of, script_text
from scripts.check_recipes import TABLE, pins, scripts, uses

TEXTS = scripts()
SENDS = ("push_to_hub", "upload_folder", "upload_file", "create_repo", "create_commit", "HfApi")


def test_every_recipe_has_a_script() -> None:
    assert {kind.script for kind in RECIPES} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_it_compiles(name: str) -> None:
    compile(TEXTS[name], f"{name}.py", "exec")


@pytest.mark.parametrize("name", TEXTS)
def test_pins_are_exact(name: str) -> None:
    environment = environment_of(TEXTS[name])
    assert environment.python.startswith(">=3.")
    assert all(one.count("==") == 1 and "," not in one for one in environment.requirements)


@pytest.mark.parametrize("name", TEXTS)
def test_names_and_keywords_exist_in_the_pinned_versions(name: str) -> None:
    """By the table that ``make check-recipes`` compares with the packages' published sources."""
    table = json.loads(TABLE.read_text())[name]
    assert table["checked_against"] == pins(TEXTS[name])
    for use in uses(TEXTS[name]):
        row = table["names"][use.key]
        assert set(use.keywords) <= {*row["keywords"], *row["passed_on"]}, use


def test_an_unknown_keyword_is_noticed() -> None:
    table = json.loads(TABLE.read_text())["quantize"]["names"]
    changed = TEXTS["quantize"].replace("dampening_frac=", "damping=")
    wrong = [use for use in uses(changed) if "damping" in use.keywords]
    assert len(wrong) == 1
    row = table[wrong[0].key]
    assert not set(wrong[0].keywords) <= {*row["keywords"], *row["passed_on"]}


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_sent(name: str) -> None:
    """No call that uploads; where a library would by a setting, it is off."""
    tree = ast.parse(TEXTS[name])
    names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert not names & set(SENDS)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "push_to_hub":
            assert isinstance(node.value, ast.Constant) and node.value.value is False
        if isinstance(node, ast.keyword) and node.arg == "report_to":
            assert isinstance(node.value, ast.Constant) and node.value.value == "none"
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "shell"):
            assert isinstance(node.value, ast.Constant) and node.value.value is False


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_clean(name: str, tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(TEXTS[name])
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "100", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_merge_runs_mergekit_as_a_program() -> None:
    """Its license is LGPL-3.0-only: nothing of it is imported."""
    assert not [use for use in uses(TEXTS["merge"]) if use.name.startswith("mergekit")]


def test_flavors_are_those_of_the_hub() -> None:
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "JobHardware"):
        pytest.skip("this version has no list of them")
    assert {one.name for one in FLAVORS} == {one.value for one in hub.JobHardware}
    assert all(one.gpu_memory_bytes for one in FLAVORS if one.gpu)


def test_scripts_do_not_depend_on_the_model() -> None:
    for kind in RECIPES:
        assert script_text(kind) == TEXTS[kind.script]
