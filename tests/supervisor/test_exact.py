"""Computed and exact side by side: llama.cpp's own dry run over sparse files, live."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks.llamacpp_rows import SHARED, Row, live_row, open_shape, shared_rows
from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, MIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.llamacpp.log import measured
from modelscan.formats.gguf import merge_shards, parse_header
from modelscan.memory.shape import from_gguf
from modelscan.supervisor.dry_run import run as dry_run
from modelscan.supervisor.dry_run.run import DryRunError
from scripts.sparse_gguf import Short, Signed, write
from scripts.sparse_models import MODELS

pytest.importorskip("xllamacpp")
REPOSITORY = Path(__file__).resolve().parents[2]

# One of each kind of graph: dense, tied, experts, latent, sliding, delta net, Mamba, parallel
# blocks, per-layer embeddings, short convolution, encoder, chunked, no positions, no norms,
# deepstack, diffusion, a cache that is never read, no flash attention, streams.
KINDS = ("llama-3.2-3b", "qwen2-0.5b", "mixtral-8x22b", "deepseek-r1", "gemma-3-27b", "gemma-2-9b",
         "gpt-oss-120b", "qwen3-next-80b", "qwen3.5-9b", "granite-4-h-small", "nemotron-3-super",
         "falcon-h1-7b", "mamba2-2.7b", "lfm2-1.2b", "command-r-35b", "gemma-4-26b-a4b",
         "gemma-4-31b", "llama-4-scout", "glm-4.5", "phi-4-mini", "bge-large", "olmo-3-32b",
         "starcoder2-7b", "minimax-m2", "mpt-30b", "olmo-7b", "qwen3-vl-8b", "dream-7b",
         "llama-embed-8b", "grok-1", "gemma-3n-e2b", "gemma-3n-e4b")  # fmt: skip
SETTINGS = (
    {"ctx-size": "10000", "parallel": "3"},
    {"ctx-size": "32768", "parallel": "4", "kv-unified": None, "cache-type-k": "q8_0",
     "cache-type-v": "q8_0"},
    {"ctx-size": "16384", "flash-attn": "off", "ubatch-size": "1024"},
)  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_computed_parts_are_what_llama_cpp_says(name: str, tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS[name](), path)
    shape = open_shape(path)
    turn = KINDS.index(name)
    chosen = [SETTINGS[(turn + step) % len(SETTINGS)] for step in range(2)]
    rows = [live_row(name, path, shape, dict(setting)) for setting in chosen]
    compared = [row for row in rows if row is not None]
    assert compared, "llama.cpp refuses the shape"  # an encoder's embeddings in 3 slots assert
    for row in compared:
        _agrees(row)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("llama-3.2-3b", {"ctx-size": "16384", "cache-type-k": "f32", "cache-type-v": "f32"}),
        ("llama-3.2-3b", {"ctx-size": "8192", "cache-type-k": "bf16", "cache-type-v": "bf16"}),
        ("phi-3.5-mini", {"ctx-size": "16384", "cache-type-k": "f32", "cache-type-v": "f32"}),
        ("phi-3.5-mini", {"ctx-size": "8192", "cache-type-k": "q8_0", "flash-attn": "off"}),
        ("deepseek-r1", {"ctx-size": "8192", "flash-attn": "off"}),
        ("deepseek-v3.2", {"ctx-size": "131072"}),
        ("minimax-text-01", {"ctx-size": "32768", "parallel": "4"}),
        ("lfm2-1.2b", {"ctx-size": "4096", "embeddings": None}),
        ("llama-3.2-3b", {"ctx-size": "4096", "embeddings": None}),
    ],
)
def test_what_only_some_settings_show(name: str, setting: dict[str, str | None], tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS[name](), path)
    row = live_row(name, path, open_shape(path), setting)
    assert row is not None
    assert row.error("compute_bytes") <= 0.005, row.measured


def test_both_refuse_a_quantised_cache_for_heads_of_no_whole_blocks(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS["mpt-30b"](), path)
    options = ("--ctx-size", "4096", "--cache-type-k", "q8_0", "--flash-attn", "auto")
    with pytest.raises(DryRunError, match="does not divide"):
        dry_run.run(path, options)
    with pytest.raises(NotDeployableError, match="heads of 112 values"):
        estimate(open_shape(path), Workload(kv_cache_k="q8_0"), None, model="x")


def _agrees(row: Row) -> None:
    for part in ("kv_cache_bytes", "recurrent_state_bytes", "output_bytes"):
        assert row.error(part) <= 0.001, f"{row.setting}: {part}"
    assert row.error("compute_bytes") <= 0.05, row.setting
    assert row.error("total") <= 0.005, row.setting


def test_exact_mode_takes_the_engines_figures(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS["qwen3.5-9b"](), path)
    shape = open_shape(path)
    workload = Workload(context_tokens=4096, parallel=2)
    found = dry_run.exact(shape, workload, None, model="m", path=path)
    ran = dry_run.run(path, ("--ctx-size", "8192", "--parallel", "2"))
    assert found.basis == "exact"
    assert found.parts.compute_bytes == ran.compute_bytes
    for ours, theirs in (
        (found.parts.kv_cache_bytes, ran.kv_cache_bytes),
        (found.parts.recurrent_state_bytes, ran.recurrent_state_bytes),
        (found.parts.output_bytes, ran.output_bytes),
    ):
        assert abs(ours - theirs) <= MIB // 50
    assert found.parts.weights_bytes == shape.weights.total_bytes
    assert found.parts.total_bytes == found.total_bytes
    assert (ran.context_tokens, ran.sequence_tokens) == (8192, 4096)


def test_the_figures_are_those_of_the_installed_engine(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS["qwen2-0.5b"](), path)
    shape, installed = open_shape(path), dry_run.engine_version()
    assert installed is not None
    build = f"b{installed.rpartition('.')[2]}"
    for asked in (None, installed, build):
        workload = Workload(context_tokens=4096, backend_version=asked)
        found = dry_run.exact(shape, workload, None, model="x", path=path)
        assert found.basis == "exact"
        assert found.backend_version == installed
    other = Workload(context_tokens=4096, backend_version="b10566")
    with pytest.raises(DryRunError, match="not of b10566") as caught:
        dry_run.exact(shape, other, None, model="x", path=path)
    assert caught.value.hint is not None


def test_an_engine_that_would_load_the_weights_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """xllamacpp 0.2 has no dry run."""
    (tmp_path / "xllamacpp.py").write_text("class CommonParams: pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DryRunError, match="cannot size a model without loading it"):
        dry_run.run(tmp_path / "model.gguf", ())


def test_a_remote_file_costs_only_its_header(tmp_path: Path):
    path = tmp_path / "remote.gguf"
    write(MODELS["qwen3-235b-a22b"](), path)
    size, asked = path.stat().st_size, 0

    def read(offset: int, length: int) -> bytes:
        nonlocal asked
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        asked += len(data)
        return data

    header = parse_header(read, size)
    found = dry_run.exact(
        open_shape(path), Workload(context_tokens=8192), None, model="m", header=header, read=read
    )
    assert found.basis == "exact"
    assert size > 100 * GIB
    assert asked < 8 * MIB


def test_a_split_file_is_asked_about_as_a_whole(tmp_path: Path):
    whole = MODELS["llama-3.2-3b"]()
    half = len(whole.tensors) // 2
    sources = []
    for number, tensors in enumerate((whole.tensors[:half], whole.tensors[half:])):
        part = MODELS["llama-3.2-3b"]()
        part.tensors = tensors
        part.keys.update({"split.no": Short(number), "split.count": Short(2),
                          "split.tensors.count": Signed(len(whole.tensors))})  # fmt: skip
        path = tmp_path / f"part-{number}"
        write(part, path)
        sources.append((path, path.stat().st_size))
    readers = [partial(_read, path) for path, _ in sources]
    headers = [parse_header(read, size) for read, (_, size) in zip(readers, sources, strict=True)]
    shape = from_gguf(merge_shards(headers))
    found = dry_run.exact(shape, Workload(context_tokens=4096), None, model="m",
                          shards=list(zip(headers, readers, strict=True)))  # fmt: skip
    assert found.basis == "exact"
    assert found.parts.kv_cache_bytes == 4096 * 28 * 2 * 8 * 128 * 2


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


LOADED = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], 0
p.n_ctx, p.n_parallel, p.n_gpu_layers, p.cpuparams.n_threads = 2048, 2, 0, 1
p.cache_ram_mib, p.verbosity, p.no_extra_bufts, p.fit_params = 0, 4, True, False
xllamacpp.Server(p)
"""


def test_the_bundled_models_real_buffers_are_what_was_estimated():
    model = REPOSITORY / "examples" / "demo-model.gguf"
    with subprocess.Popen([sys.executable, "-c", LOADED, str(model)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as child:  # fmt: skip
        assert child.stdout is not None
        log = "".join(iter(lambda: _line(child), ""))
        child.kill()
    real = measured(log)
    assert real is not None
    workload = Workload(context_tokens=1024, parallel=2)
    found = estimate(open_shape(model), workload, None, model="demo")
    assert abs(found.total_bytes / real["total_bytes"] - 1) < 0.02
    for part, size in real["parts"].items():
        assert abs(getattr(found.parts, part) - size) < 0.02 * MIB, part


def _line(child: subprocess.Popen[str]) -> str:
    """A log line; empty after the last buffer was reserved."""
    assert child.stdout is not None
    line = child.stdout.readline()
    return "" if "reserve took" in line else line


def test_a_tied_embedding_that_the_engine_counts_twice_is_mapped_once(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS["gemma-4-31b"](), path)
    shape = open_shape(path)
    found = dry_run.exact(shape, Workload(context_tokens=4096), None, model="m", path=path)
    assert found.parts.weights_bytes == shape.weights.total_bytes


def test_with_gpus_the_split_stays_computed(tmp_path: Path):
    path = tmp_path / "model.gguf"
    write(MODELS["llama-3.2-3b"](), path)
    card = Gpu(0, "card", "nvidia", 24 * GIB, 23 * GIB, "simulated")
    inventory = Inventory((card,), Host(8, 64 * GIB, 60 * GIB))
    found = dry_run.exact(
        open_shape(path), Workload(context_tokens=4096), inventory, model="m", path=path
    )
    assert found.basis == "computed"
    assert found.verdict == "fits"
    assert any("dry run" in note for note in found.assumptions)


def test_a_file_the_engine_cannot_load_is_a_named_error_with_its_reason(tmp_path: Path):
    sketch = MODELS["llama-3.2-3b"]()
    sketch.tensors = [item for item in sketch.tensors if "blk.7.attn_q" not in item[0]]
    path = tmp_path / "broken.gguf"
    write(sketch, path)
    with pytest.raises(DryRunError, match="attn_q"):
        dry_run.run(path, ("--ctx-size", "4096"))


def test_without_the_engine_the_hint_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(dry_run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DryRunError) as caught:
        dry_run.run(tmp_path / "any.gguf", ())
    assert "pip install" in (caught.value.hint or "")


@pytest.mark.shared
def test_the_recorded_rows(shared: Path):
    assert shared == SHARED
    rows = list(shared_rows())
    assert len(rows) == 349
    assert all(row.error("weights_bytes") == 0 for row in rows)
    for part in ("kv_cache_bytes", "recurrent_state_bytes", "output_bytes"):
        assert max(row.error(part) for row in rows) <= 0.001
    compute = sorted(row.error("compute_bytes") for row in rows)
    total = sorted(row.error("total") for row in rows)
    assert compute[len(rows) // 2] <= 0.001
    assert compute[int(len(rows) * 0.95)] <= 0.01
    assert total[len(rows) // 2] <= 0.00001
    assert total[int(len(rows) * 0.95)] <= 0.001
