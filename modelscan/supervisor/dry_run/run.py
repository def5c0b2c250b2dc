"""llama.cpp's own dry run: how many bytes it would allocate, asked of the engine itself.

xllamacpp loads the header with ``no_alloc`` and reserves its buffers without memory, in a child
process (``engines.llamacpp.dry_run_child``), because the engine ends that run with a crash
(observed with b11549: SIGSEGV or SIGABRT after the figures are printed). The weights are never
read: a sparse file with the real header is enough, so a remote model costs only its header.
"""

from __future__ import annotations

import dataclasses
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
from modelscan.core.errors import ModelscanError
from modelscan.core.estimate import Estimate, Parts
from modelscan.core.gpu import Inventory
from modelscan.core.units import MIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate as computed_estimate
from modelscan.engines.estimate import finish
from modelscan.engines.llamacpp import NAME as LLAMACPP
from modelscan.engines.llamacpp import settings as llamacpp_settings
from modelscan.engines.llamacpp.versions import build_number
from modelscan.formats.gguf import GgufHeader, Reader

MODULE = "modelscan.supervisor.dry_run.child"
TIMEOUT_S = 120.0
MARGIN_BYTES = 4 * MIB  # what the engine allocates beside what it reports
_SIZE = r"\s*=\s*(\d+(?:\.\d+)?) MiB"
_CACHE = re.compile(r"llama_kv_cache\w*: size" + _SIZE)
_STATE = re.compile(r"llama_memory_recurrent: size" + _SIZE)
_COMPUTE = re.compile(r"(\S+) compute buffer size" + _SIZE)
_OUTPUT = re.compile(r"output buffer size" + _SIZE)
_HOST = re.compile(r"Host\s*\|?\s*(\d+) =\s*(\d+) \+\s*(\d+) \+\s*(\d+)")
_CONTEXT = re.compile(r"n_ctx\s*= (\d+)")
_SEQUENCE = re.compile(r"n_ctx_seq\s*= (\d+)")
_LAST = re.compile(r"reserve took|exiting due to model loading error|fatal error|GGML_ASSERT")
_FLASH = re.compile(r"Flash Attention enabled|flash_attn\s*= (?:enabled|1)")


class DryRunError(ModelscanError):
    """The engine would not take the file or the settings."""

    default_code = "dry_run"


@dataclasses.dataclass(frozen=True, slots=True)
class DryRun:
    """What the engine printed, in bytes (its log has hundredths of a MiB, ``model`` whole MiB)."""

    model_bytes: int | None
    kv_cache_bytes: int
    recurrent_state_bytes: int
    compute_bytes: int
    output_bytes: int
    context_tokens: int | None
    sequence_tokens: int | None
    flash_attention: bool
    log: str


def available() -> bool:
    """Is the embedded engine installed?"""
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
    """The estimate with the engine's own figures: a local file's ``path``, or ``header`` and
    ``read`` of one that is elsewhere (only its first MiB are read), or all ``shards`` of a split
    one.

    ``basis`` is "exact" where everything is host memory, which is what the bundled engine can
    size; with GPUs its cache, state and output figures are taken over and the rest stays
    computed. Raises DryRunError, with a hint where the engine is not installed or another build
    than the one asked about.
    """
    _check_version(workload.backend_version)
    found = computed_estimate(shape, workload, inventory, model=model, backend=LLAMACPP)
    settings = llamacpp_settings.from_workload(workload, shape.architecture)
    elsewhere = shards or ([(header, read)] if header and read else [])
    with _file(path, elsewhere) as file:
        ran = run(file, arguments(settings))
    adopted = _adopt(found, ran, shape)
    return finish(adopted, shape, workload, inventory, model)


def _check_version(asked: str | None) -> None:
    """The figures are those of the engine that is installed."""
    installed = engine_version()
    if asked is None or installed is None or asked == installed:
        return
    build = build_number(asked)
    if build is None or build != build_number(installed):
        raise DryRunError(
            f"the dry run is that of the installed llama.cpp, {installed}, not of {asked}",
            hint=f"leave out --exact to compute {asked}, or --backend-version to ask {installed}",
            code="engine_version",
        )


def arguments(settings: llamacpp_settings.Settings) -> tuple[str, ...]:
    """llama-server's options for these settings."""
    words = [
        "--ctx-size", str(settings.context_tokens), "--parallel", str(settings.parallel),
        "--batch-size", str(settings.batch), "--ubatch-size", str(settings.ubatch),
        "--cache-type-k", settings.type_k.name.lower(),
        "--cache-type-v", settings.type_v.name.lower(),
        "--flash-attn", "auto" if settings.flash_attention else "off",
    ]  # fmt: skip
    words += ["--kv-unified"] if settings.unified else []
    words += ["--swa-full"] if settings.swa_full else []
    words += ["--embeddings", "--pooling", "mean"] if settings.embedding else []
    return tuple(words)


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
    """The log up to the last figure, or to the line that says there will be none."""
    lines = []
    assert child.stdout is not None
    for raw in child.stdout:
        lines.append(raw.decode("utf-8", errors="replace"))
        if _LAST.search(lines[-1]):
            break
    return "".join(lines)


def parse(log: str) -> DryRun:
    """Read the log of a dry run. Raises DryRunError when it has no figures."""
    last = log.rpartition("constructing llama_context")[2]
    compute = {device: _bytes(size) for device, size in _COMPUTE.findall(last)}
    if not compute:
        raise DryRunError(
            f"llama.cpp cannot load this model: {_reason(log)}",
            hint="update the engine: pip install -U xllamacpp",
        )
    host = _HOST.findall(log)
    context, sequence = _CONTEXT.search(last), _SEQUENCE.search(last)
    return DryRun(
        model_bytes=int(host[0][1]) * MIB if host else None,
        kv_cache_bytes=sum(_bytes(size) for size in _CACHE.findall(last)),
        recurrent_state_bytes=sum(_bytes(size) for size in _STATE.findall(last)),
        compute_bytes=sum(compute.values()),
        output_bytes=sum(_bytes(size) for size in _OUTPUT.findall(last)),
        context_tokens=int(context.group(1)) if context else None,
        sequence_tokens=int(sequence.group(1)) if sequence else None,
        flash_attention=_FLASH.search(last) is not None,
        log=log,
    )


def _bytes(mebibytes: str) -> int:
    return round(float(mebibytes) * MIB)


def _reason(log: str) -> str:
    """The engine's own words: the first line it marked as an error, without its prefixes."""
    for line in log.splitlines():
        if " E " in line or "fatal error" in line or "GGML_ASSERT" in line:
            words = line.partition(" E ")[2] or line
            return words.rpartition("error loading model: ")[2].strip()
    return "it gave no reason"


def _environment() -> dict[str, str]:
    """No GPU, no debugger on the crash at the end."""
    hidden = {"GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "passive", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **hidden}


def engine_parts(old: Parts, ran: DryRun, embedding_bytes: int) -> Parts:
    """The engine's figures in place of the formulas', where they do not just round the same."""
    return dataclasses.replace(
        old,
        weights_bytes=_weights(old, ran, embedding_bytes),
        kv_cache_bytes=_closer(old.kv_cache_bytes, ran.kv_cache_bytes),
        recurrent_state_bytes=_closer(old.recurrent_state_bytes, ran.recurrent_state_bytes),
        compute_bytes=ran.compute_bytes,
        output_bytes=_closer(old.output_bytes, ran.output_bytes),
    )


def _adopt(found: Estimate, ran: DryRun, shape: ModelShape) -> Estimate:
    """The engine's figures in place of the formulas'."""
    if found.per_gpu:
        note = "checked against llama.cpp's own dry run (host only; the GPU split is computed)"
        return dataclasses.replace(found, margin_bytes=0, assumptions=(*found.assumptions, note))
    parts = engine_parts(found.parts, ran, shape.weights.embedding_bytes or 0)
    host = found.host and dataclasses.replace(
        found.host, parts=parts, total_bytes=parts.total_bytes
    )
    return dataclasses.replace(
        found,
        parts=parts,
        total_bytes=parts.total_bytes,
        host=host,
        basis="exact",
        backend_version=engine_version() or found.backend_version,
        margin_bytes=MARGIN_BYTES,
        verdict=None,
        low_bytes=None,
        high_bytes=None,
    )


def _weights(old: Parts, ran: DryRun, embedding_bytes: int) -> int:
    """The header's bytes, unless the engine loads a different amount (it prints whole MiB).

    Some architectures count a tied embedding twice in the dry run and map it once when loading.
    """
    if ran.model_bytes is None:
        return old.weights_bytes
    for expected in (old.weights_bytes, old.weights_bytes + embedding_bytes):
        if 0 <= expected - ran.model_bytes < 2 * MIB:
            return old.weights_bytes
    return ran.model_bytes


def _closer(ours: int, theirs: int) -> int:
    """Ours where both agree within the log's rounding, because it has every byte."""
    return ours if abs(ours - theirs) <= MIB // 50 else theirs


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
    """The header as it is, then one hole of the size of the data."""
    step = 1 << 20
    with file.open("wb") as out:
        for offset in range(0, header.data_offset, step):
            out.write(read(offset, min(step, header.data_offset - offset)))
    os.truncate(file, max(header.expected_bytes, header.file_bytes or 0))
