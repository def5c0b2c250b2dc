"""Runs tests in a forked process inside a copy of the tree, so the checkout is never mutated."""

from __future__ import annotations

import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis.strategies  # noqa: F401 - see _PRELOADED
import pytest

from scripts.mutation.plugin import Baseline, Chosen, QuietHypothesis, Run

_COPIED = ("modelscan", "tests", "scripts", "benchmarks", "catalogs", "examples", "pyproject.toml")
_MEMORY_BYTES = 8 * 2**30
_MARKS = "not slow and not gpustack and not vllm and not shared and not gpu"
_TIMED_OUT = -1
# hypothesis is imported once, before the forks; pytest warns that it cannot rewrite its assertions.
_PRELOADED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


@contextmanager
def tree_copy(repository: Path) -> Iterator[Path]:
    """A temporary copy of what the tests need."""
    with tempfile.TemporaryDirectory(prefix="modelscan-mutation-") as folder:
        copy = Path(folder) / "tree"
        copy.mkdir()
        ignored = shutil.ignore_patterns("__pycache__")
        for name in _COPIED:
            source = repository / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy2(source, copy / name)
        yield copy


def baseline(tree: Path, tests: Sequence[str], modules: Sequence[str]) -> dict[str, Run]:
    """Every test by its id, with the lines of ``modules`` (relative paths) that it runs."""
    paths = {str(tree / module): module for module in modules}

    def work(result: Path) -> int:
        plugin = Baseline(paths)
        code = _pytest(tree, tests, plugin)
        result.write_bytes(pickle.dumps(plugin.runs))
        return code

    with tempfile.TemporaryDirectory(prefix="modelscan-mutation-") as folder:
        result = Path(folder) / "runs"
        code = _in_fork(lambda: work(result), Path(folder) / "log", 3600)
        if code != 0:
            raise SystemExit(f"the tests fail without a mutant:\n{_tail(Path(folder) / 'log')}")
        runs: dict[str, Run] = pickle.loads(result.read_bytes())
    return runs


def killed(tree: Path, path: str, source: str, nodeids: Sequence[str], seconds: float) -> bool:
    """Whether one of the tests fails (or hangs) with this text of the module at ``path``."""
    file = tree / path
    original, times = file.read_text(encoding="utf-8"), file.stat()
    files = list(dict.fromkeys(nodeid.partition("::")[0] for nodeid in nodeids))
    _write(file, source, times.st_mtime + 1000)  # never taken for what was compiled before
    try:
        code = _in_fork(
            lambda: _pytest(tree, files, Chosen(nodeids), "-x"), tree.parent / "log", seconds
        )
    finally:
        _write(file, original, times.st_mtime)
    return code != 0


def _write(file: Path, text: str, modified: float) -> None:
    file.write_text(text, encoding="utf-8")
    os.utime(file, (modified, modified))


def _pytest(tree: Path, tests: Sequence[str], plugin: object, *options: str) -> int:
    """pytest inside the copy. Only the baseline keeps what it compiles; mutants read that."""
    os.chdir(tree)
    if not isinstance(plugin, Baseline):
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(entry for entry in sys.path if entry)]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("modelscan", "tests")]:
        del sys.modules[name]
    arguments = ["-m", _MARKS, "-p", "no:cacheprovider", "--no-header", *_PRELOADED, *options]
    arguments += tests
    return int(pytest.main(arguments, plugins=[QuietHypothesis(), plugin]))


def _in_fork(work: Callable[[], int], log: Path, seconds: float) -> int:
    """The exit status of ``work`` in a child with a session of its own; -1: killed or too slow."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, log)
    os.close(writing)
    ended, _, _ = select.select([reading], [], [], seconds)
    if not ended:
        os.killpg(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else _TIMED_OUT


def _be_child(work: Callable[[], int], log: Path) -> Any:
    code = 3
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        code = work()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
