"""Rows of llama.cpp's own dry run to compare estimates with: shared ones, and live ones.

Shared rows come from ``../shared`` where it is there; live ones are made here and now over the
sparse files of ``scripts/sparse_models.py``.
"""

from __future__ import annotations

import csv
import importlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import ModelscanError
from modelscan.core.estimate import Estimate
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.llamacpp.dry_run import arguments
from modelscan.engines.llamacpp.settings import from_workload
from modelscan.formats.gguf import parse_header
from modelscan.memory.shape import from_gguf
from modelscan.supervisor.dry_run import run as llamacpp_dry_run
from scripts.sparse_gguf import write
from scripts.sparse_models import MODELS

SHARED = Path(__file__).resolve().parents[2] / "shared"
PARTS = ("weights_bytes", "kv_cache_bytes", "recurrent_state_bytes", "output_bytes",
         "compute_bytes")  # fmt: skip

# One per effect: slots, unified, batch, no flash attention, cache types, rounding, long, window.
SETTINGS: tuple[Mapping[str, str | None], ...] = (
    {"ctx-size": "8192"},
    {"ctx-size": "32768", "parallel": "4"},
    {"ctx-size": "32768", "parallel": "4", "kv-unified": None},
    {"ctx-size": "8192", "ubatch-size": "2048"},
    {"ctx-size": "16384", "flash-attn": "off"},
    {"ctx-size": "16384", "cache-type-k": "q8_0", "cache-type-v": "q8_0"},
    {"ctx-size": "8192", "cache-type-k": "q8_0", "flash-attn": "off"},
    {"ctx-size": "10000", "parallel": "3"},
    {"ctx-size": "131072"},
    {"ctx-size": "4096", "flash-attn": "off", "parallel": "4"},
    {"ctx-size": "32768", "swa-full": None},
)


@dataclass(frozen=True, slots=True)
class Row:
    """One model under one setting: what llama.cpp said and what we say, by part."""

    model: str
    architecture: str
    setting: str
    measured: Mapping[str, int]
    found: Estimate

    def error(self, part: str) -> float:
        """Relative error of a part or of ``total``; 0 where both are nothing."""
        if part == "total":
            measured, ours = sum(self.measured.values()), sum(self._ours(p) for p in PARTS)
        else:
            measured, ours = self.measured[part], self._ours(part)
        slack = 5300 if part != "weights_bytes" else 0  # the log has hundredths of a MiB
        difference = max(0, abs(ours - measured) - slack)
        return difference / measured if measured else float(difference > 0)

    def _ours(self, part: str) -> int:
        return int(getattr(self.found.parts, part))


def open_shape(path: Path) -> ModelShape:
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return from_gguf(parse_header(read, path.stat().st_size), path=str(path))


def shared_rows() -> Iterator[Row]:
    """``../shared/data/truth/llamacpp_fit.csv``; nothing where it is not there."""
    table = SHARED / "data" / "truth" / "llamacpp_fit.csv"
    if not table.is_file():
        return
    sys.path.insert(0, str(SHARED / "tools" / "sparse_gguf"))
    maker, shapes = importlib.import_module("make_gguf"), importlib.import_module("shapes")
    known: dict[str, ModelShape] = {}
    with tempfile.TemporaryDirectory() as folder, table.open(newline="") as file:
        for raw in csv.DictReader(file):
            name = raw["model"]
            if name not in known:
                path = Path(folder) / f"{name}.gguf"
                maker.write(shapes.build(name), str(path), raw["file_type"], False)
                known[name] = open_shape(path)
            yield _shared_row(raw, known[name])


def _shared_row(raw: Mapping[str, str], shape: ModelShape) -> Row:
    parameters: dict[str, str | None] = {
        "ctx-size": raw["n_ctx"], "parallel": raw["n_parallel"], "batch-size": raw["n_batch"],
        "ubatch-size": raw["n_ubatch"], "cache-type-k": raw["cache_type_k"],
        "cache-type-v": raw["cache_type_v"], "flash-attn": raw["flash_attn"],
    }  # fmt: skip
    for column, option in (("kv_unified", "kv-unified"), ("swa_full", "swa-full"),
                           ("embedding", "embeddings")):  # fmt: skip
        if raw[column] == "True":
            parameters[option] = None
    measured = {
        "weights_bytes": int(raw["weights_bytes"]), "kv_cache_bytes": int(raw["kv_bytes"]),
        "recurrent_state_bytes": int(raw["recurrent_bytes"]),
        "output_bytes": int(raw["output_bytes"]), "compute_bytes": int(raw["compute_bytes"]),
    }  # fmt: skip
    return _row(raw["model"], shape, parameters, measured)


def live_rows(names: tuple[str, ...] = tuple(MODELS)) -> Iterator[Row]:
    """The engine asked now, for each of our own shapes and settings."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / "model.gguf"
            write(MODELS[name](), path)
            shape = open_shape(path)
            for parameters in SETTINGS:
                row = live_row(name, path, shape, dict(parameters))
                if row:
                    yield row


def live_row(
    name: str, path: Path, shape: ModelShape, parameters: dict[str, str | None]
) -> Row | None:
    """None where llama.cpp refuses the setting (MLA with two cache types)."""
    if shape.architecture.encoder_only:
        parameters["embeddings"] = None
    workload = Workload(parameters=tuple(parameters.items()))
    try:
        settings = from_workload(workload, shape.architecture)
        ran = llamacpp_dry_run.run(path, arguments(settings))
    except ModelscanError:
        return None
    measured: dict[str, Any] = {
        "weights_bytes": shape.weights.total_bytes, "kv_cache_bytes": ran.kv_cache_bytes,
        "recurrent_state_bytes": ran.recurrent_state_bytes,
        "output_bytes": ran.output_bytes, "compute_bytes": ran.compute_bytes,
    }  # fmt: skip
    return _row(name, shape, parameters, measured)


def _row(
    model: str, shape: ModelShape, parameters: Mapping[str, str | None], measured: dict[str, int]
) -> Row:
    workload = Workload(parameters=tuple(parameters.items()))
    found = estimate(shape, workload, None, model=model, backend="llama.cpp")
    setting = " ".join(f"{k}={v}" if v else k for k, v in parameters.items())
    return Row(model, shape.architecture.name, setting, measured, found)
