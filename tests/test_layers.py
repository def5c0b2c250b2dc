"""Imports run one way, nothing heavy is imported at module level, pure packages stay pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "modelscan"
LAYERS = (
    {"core"},
    {"state"},
    {"catalog", "gpu", "memory"},
    {"planner"},
    {"engines", "routing"},
    {"deploy"},
    {"gateway"},
    {"cli"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PURE = [
    *sorted((PACKAGE / "memory").rglob("*.py")),
    *sorted((PACKAGE / "planner").rglob("*.py")),
    *sorted((PACKAGE / "core").rglob("*.py")),
    PACKAGE / "routing" / "resolve.py",
    PACKAGE / "routing" / "schema.py",
    PACKAGE / "routing" / "edit.py",
]
IMPURE = {"os", "socket", "subprocess", "time", "httpx", "shutil", "tempfile", "random", "sqlite3",
          "requests", "urllib.request", "http"}  # fmt: skip


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def test_every_folder_has_a_place() -> None:
    """A new package must be put on a step."""
    folders = {p.parent.relative_to(PACKAGE).parts[0] for p in modules()}
    assert folders - {"schemas"} <= set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    """A module imports its own package or a step below, never a sibling or a step above."""
    own = layer(path)
    wrong = []
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "modelscan" or len(parts) < 2 or parts[1] not in RANK:
            continue
        if parts[1] != own and RANK[parts[1]] >= RANK[own]:
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_pure_modules_have_no_way_out(path: Path) -> None:
    """No files, network, clock, environment or printing where decisions are made."""
    tree = ast.parse(path.read_text())
    assert {
        name for name in imported(tree) if name in IMPURE or name.split(".")[0] in IMPURE
    } == set()
    calls = {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert calls & {"open", "print", "input"} == set()


def calls_print(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(n, ast.Name) and n.id == "print" for n in nodes)


def writes_stdout(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(n, ast.Attribute) and n.attr == "stdout" for n in nodes)


def test_only_output_prints() -> None:
    """``print`` is nowhere; stdout belongs to output.py and the two entry points."""
    assert [p for p in PACKAGE.rglob("*.py") if calls_print(p)] == []
    allowed = {"cli/output.py", "cli/app.py", "__main__.py"}
    writers = {str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py") if writes_stdout(p)}
    assert {w for w in writers if w.startswith(("cli/", "__main__"))} <= allowed


def test_help_and_version_import_nothing_heavy() -> None:
    """Start-up is a feature: --help loads no HTTP client, no YAML, no table printer."""
    code = (
        "import sys; from modelscan.cli.app import run; run(['--help']);"
        "heavy={'httpx','rich','yaml','ruamel','psutil','pynvml','xllamacpp','sqlite3','pydantic',"
        "'huggingface_hub','aiohttp','asyncio','rich.console'};"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
