"""llama.cpp's own dry run: the bytes the engine itself reports that it would allocate.

xllamacpp loads the header with ``no_alloc`` and reserves its buffers without memory, in a child
process (``supervisor.dry_run.child``), because the engine ends that run with a crash (observed with
b11549: SIGSEGV or SIGABRT after the figures are printed). The weights are never read: a sparse file
with the real header is enough, so a remote model costs only its header.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate as computed_estimate
from modelscan.engines.estimate import finish
from modelscan.engines.llamacpp import NAME as LLAMACPP
from modelscan.engines.llamacpp.drafting import without_drafting
from modelscan.engines.llamacpp.dry_run import (
    DryRun,
    DryRunError,
    adopt,
    arguments,
    parse,
    with_drafting,
)
from modelscan.engines.llamacpp.settings import from_workload
from modelscan.engines.llamacpp.versions import build_number
from modelscan.formats.gguf import GgufHeader, Reader

MODULE = "modelscan.supervisor.dry_run.child"
TIMEOUT_S = 120.0
_LAST = re.compile(r"reserve took|exiting due to model loading error|fatal error|GGML_ASSERT")


def available() -> bool:
    """Whether the embedded engine is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def engine_version() -> str | None:
    """xllamacpp's version: its last number is llama.cpp's build."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None


def exact(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *, model: str,
    path: Path | None = None, header: GgufHeader | None = None, read: Reader | None = None,
    shards: Sequence[tuple[GgufHeader, Reader]] = (),
) -> Estimate:  # fmt: skip
    """The estimate with the engine's own figures: from a local file's ``path``, from ``header`` and
    ``read`` of a remote file (only its first MiB are read), or from all ``shards`` of a split one.

    ``basis`` is "exact" if everything is in host memory, which is what the bundled engine can size;
    with GPUs only a note is added. What drafting adds is computed. Raises DryRunError, with a
    hint, if the engine is not installed or is another build than the requested one.
    """
    _check_version(workload.backend_version)
    computed = computed_estimate(shape, workload, inventory, model=model, backend=LLAMACPP)
    plain, alone = without_drafting(workload), computed
    if plain != workload:
        alone = computed_estimate(shape, plain, inventory, model=model, backend=LLAMACPP)
    settings = from_workload(plain, shape.architecture)
    remote = shards or ([(header, read)] if header and read else [])
    with _file(path, remote) as file:
        ran = run(file, arguments(settings))
    adopted = with_drafting(adopt(alone, ran, shape, engine_version()), computed, alone)
    return finish(adopted, shape, workload, inventory, model)


def _check_version(version: str | None) -> None:
    """Raises DryRunError if another version than the installed one is requested."""
    installed = engine_version()
    if version is None or installed is None or version == installed:
        return
    build = build_number(version)
    if build is None or build != build_number(installed):
        raise DryRunError(
            f"the dry run is that of the installed llama.cpp, {installed}, not of {version}",
            hint=f"leave out --exact to compute {version} by formula, or leave out "
            f"--backend-version to run {installed}",
            code="engine_version",
        )


def run(file: Path, options: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> DryRun:
    """The engine's figures for a file under llama-server's options. Raises DryRunError."""
    if not available():
        raise DryRunError(
            "the exact mode needs the embedded llama.cpp (xllamacpp), which is not installed",
            hint="pip install xllamacpp",
            code="engine_missing",
        )
    command = [sys.executable, "-m", MODULE, str(os.getpid()), "--model", str(file), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        env=_environment(),
    ) as child:  # fmt: skip
        watchdog = threading.Timer(timeout_s, child.kill)
        watchdog.start()
        try:
            log = _until_figures(child)
        finally:
            expired = not watchdog.is_alive()
            watchdog.cancel()
            child.kill()
    if expired:
        raise DryRunError(f"llama.cpp's dry run did not end within {timeout_s:.0f} s")
    return parse(log)


def _until_figures(child: subprocess.Popen[bytes]) -> str:
    """The log up to the last figure, or to a line after which there are none."""
    lines = []
    assert child.stdout is not None
    for raw in child.stdout:
        lines.append(raw.decode("utf-8", errors="replace"))
        if _LAST.search(lines[-1]):
            break
    return "".join(lines)


def _environment() -> dict[str, str]:
    """Hides the GPUs and prevents a debugger on the crash at the end."""
    hidden = {"GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "passive", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **hidden}


@contextmanager
def _file(path: Path | None, sources: Sequence[tuple[GgufHeader, Reader]]) -> Iterator[Path]:
    if path is not None:
        yield path
        return
    if not sources:
        raise DryRunError("a dry run needs a file, or a header and a way to read it")
    with tempfile.TemporaryDirectory(prefix="modelscan-dry-run-") as folder:
        files = []
        for header, read in sorted(sources, key=lambda source: source[0].split_no):
            name = f"model-{header.split_no + 1:05d}-of-{header.split_count:05d}.gguf"
            files.append(Path(folder) / name)
            write_sparse(files[-1], header, read)
        yield files[0]


def write_sparse(file: Path, header: GgufHeader, read: Callable[[int, int], bytes]) -> None:
    """The header, then a hole of the size of the data."""
    step = 1 << 20
    with file.open("wb") as out:
        for offset in range(0, header.data_offset, step):
            out.write(read(offset, min(step, header.data_offset - offset)))
    os.truncate(file, max(header.expected_bytes, header.file_bytes or 0))
