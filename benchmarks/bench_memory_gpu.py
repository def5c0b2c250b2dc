"""vLLM and SGLang: estimates beside the measured rows, part by part, with the targets.

``python -m benchmarks.bench_memory_gpu [--rows] [--all]``: ``--rows`` prints every row, ``--all``
counts rows of medium confidence too, ``--margins`` prints p95 residuals for the engines' folders.
Then the coverage of the margins, by leaving models out too, and the ten worst rows.
Exits 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import gpu_rows
from benchmarks.causes import cause
from benchmarks.gpu_rows import Row
from modelscan.core.estimate import Estimate
from modelscan.core.units import GIB


@dataclass(frozen=True, slots=True)
class Measure:
    """One comparison: ``target`` is the median allowed, relative or in GiB."""

    name: str
    relative: bool
    target: float


MEASURES = {
    "vllm": (
        Measure("weights", True, 0.005),
        Measure("KV bytes/token", True, 0.005),
        Measure("activation", False, 0.25),
        Measure("non-torch", False, 0.25),
        Measure("graphs", False, 0.25),
        Measure("KV pool", True, 0.01),
        Measure("KV tokens", True, 0.01),
        Measure("concurrency", True, 0.01),
    ),
    "sglang": (
        Measure("weights", True, 0.005),
        Measure("KV bytes/token", True, 0.005),
        Measure("KV pool", True, 0.01),
        Measure("KV tokens", True, 0.01),
        Measure("state", True, 0.05),
        Measure("graphs", False, 0.25),
    ),
}


_PARTS = ("weights", "activation", "non-torch", "graphs")


def pairs(row: Row, found: Estimate) -> dict[str, tuple[float, float]]:
    """name -> (estimated, measured) for what the row measured."""
    first = found.per_gpu[0]
    parts = first.parts
    gib = {
        "weights": (parts.weights_bytes, "weights_gib"),
        "activation": (parts.compute_bytes, "activation_gib"),
        "non-torch": (parts.non_torch_bytes, "non_torch_gib"),
        "graphs": (parts.cuda_graph_bytes, "cuda_graph_gib"),
    }
    result: dict[str, tuple[float, float]] = {}
    for name, (estimated, column) in gib.items():
        measured = row.value(column)
        if measured is not None and (name != "weights" or row.weights_listed):
            result[name] = (estimated / GIB, measured)
    result.update(_capacity(row, found))
    return result


def _capacity(row: Row, found: Estimate) -> dict[str, tuple[float, float]]:
    result: dict[str, tuple[float, float]] = {}
    pool, tokens = row.value("kv_gib"), row.value("kv_tokens")
    if pool and tokens and pool > 0.5 and row.value("pp") in (None, 1.0) and _plain_tokens(row):
        result["KV bytes/token"] = (found.kv_bytes_per_token, pool * GIB / tokens)
    if not row.memory_bytes or row.failed or not row.pool_comparable:
        return result
    estimated = found.per_gpu[0].kv_pool_bytes
    if estimated is not None and not gpu_rows.graphs_charged(row):
        estimated += found.per_gpu[0].parts.cuda_graph_bytes
    if pool and estimated is not None:
        result["KV pool"] = (estimated / GIB, pool)
    if tokens and found.kv_capacity_tokens is not None:
        result["KV tokens"] = (found.kv_capacity_tokens, tokens)
    times = row.value("max_concurrency")
    if times and found.max_concurrency is not None:
        result["concurrency"] = (found.max_concurrency, times)
    return result


def _plain_tokens(row: Row) -> bool:
    """False where a log's token count is concurrency x length: hybrids and windows of vLLM 0.20."""
    layers = row.shape.architecture.layer_counts if row.shape else ()
    kinds = {(layer.attention, layer.window_tokens) for layer, _ in layers}
    return row.engine == "sglang" or len(kinds) == 1 or row.version < "0.20"


def error(measure: Measure, pair: tuple[float, float]) -> float:
    estimated, measured = pair
    off = estimated - measured
    return off / measured if measure.relative else off


def _cell(measure: Measure, value: float) -> str:
    return f"{100 * value:7.2f}%" if measure.relative else f"{value:6.2f} G"


def summary(engine: str, table: dict[str, list[tuple[float, str]]]) -> bool:
    """Print a line per measure; whether all targets are met."""
    met = True
    print(f"\n{engine}: {'':14} rows   median      p95    worst  target")
    for measure in MEASURES[engine]:
        found = table.get(measure.name)
        if not found:
            continue
        sizes = sorted(abs(value) for value, _ in found)
        median = statistics.median(sizes)
        p95 = sizes[min(len(sizes) - 1, round(0.95 * (len(sizes) - 1)))]
        worst = max(found, key=lambda pair: abs(pair[0]))
        ok = median <= measure.target
        met = met and ok
        print(
            f"  {measure.name:16} {len(sizes):5} {_cell(measure, median)} {_cell(measure, p95)} "
            f"{_cell(measure, sizes[-1])} "
            f" {_cell(measure, measure.target)} {'ok' if ok else 'MISSED'}   worst: {worst[1]}"
        )
    return met


def margins(rows: Iterable[Row]) -> None:
    """p95 of the residuals, which the margins in ``engines/<name>/versions.py`` combine."""
    shares: dict[str, list[float]] = {"weights": [], "activation": [], "KV bytes/token": []}
    rest: list[float] = []
    for row in rows:
        found = gpu_rows.estimate(row)
        measured = pairs(row, found) if found else {}
        for name, values in shares.items():
            if name in measured:
                values.append(abs(measured[name][0] / measured[name][1] - 1))
        gaps = [abs(a - b) for name, (a, b) in measured.items() if name in ("non-torch", "graphs")]
        rest += [sum(gaps)] if gaps else []
    for name, values in {**shares, "non-torch + graphs, GiB": rest}.items():
        if values:
            print(f"    margin p95 {name}: {sorted(values)[round(0.95 * (len(values) - 1))]:.4f}")


@dataclass(frozen=True, slots=True)
class Gap:
    """How far a row's sum of parts, or its pool, is off: GiB on one GPU beside the margin."""

    model: str
    what: str  # parts | KV pool
    off: float
    margin: float
    label: str

    @property
    def ratio(self) -> float:
        return abs(self.off) / self.margin


def gaps(rows: Iterable[Row]) -> list[Gap]:
    """Every comparison that a margin should cover."""
    found: list[Gap] = []
    for row in rows:
        estimate = gpu_rows.estimate(row)
        if estimate is None:
            continue
        measured = pairs(row, estimate)
        margin = estimate.margin_bytes / len(estimate.per_gpu) / GIB
        named = [pair for name, pair in measured.items() if name in _PARTS]
        off = {"parts": sum(a - b for a, b in named)} if named else {}
        if "KV pool" in measured:
            off["KV pool"] = measured["KV pool"][0] - measured["KV pool"][1]
        label = f"{row.label} {row.raw['gpu'][:16]}"
        found += [Gap(row.raw["model"], name, gap, margin, label) for name, gap in off.items()]
    return found


def covered(found: Sequence[Gap]) -> dict[str, tuple[int, int]]:
    """How many comparisons the margin of their estimate covers: what -> (covered, of)."""
    return {
        what: (sum(gap.ratio <= 1 for gap in mine), len(mine))
        for what in ("parts", "KV pool")
        if (mine := [gap for gap in found if gap.what == what])
    }


def held_out(found: Sequence[Gap]) -> float:
    """The share covered when every model's margin is scaled by what covers 95 % of the others."""
    inside = 0
    for model in {gap.model for gap in found}:
        rest = sorted(gap.ratio for gap in found if gap.model != model)
        scale = rest[min(len(rest) - 1, round(0.95 * (len(rest) - 1)))] if rest else 1.0
        inside += sum(gap.ratio <= max(1.0, scale) for gap in found if gap.model == model)
    return inside / len(found)


def coverage(found: Sequence[Gap], worst: int) -> None:
    """Print what the margins cover, and the comparisons farthest outside of theirs."""
    inside = ", ".join(f"{name} {n} of {total}" for name, (n, total) in covered(found).items())
    share = sum(gap.ratio <= 1 for gap in found) / len(found)
    print(f"  within the stated margin: {inside}: {share:.1%}; held out by model "
          f"{held_out(found):.1%}")  # fmt: skip
    for gap in sorted(found, key=lambda gap: -gap.ratio)[:worst]:
        words = f"{gap.what:8} {gap.label}{cause(gap.label)}"
        print(f"    {gap.off:+7.2f} GiB (margin {gap.margin:5.2f}) {words}")


def compare(
    rows: Iterable[Row], show: bool
) -> tuple[dict[str, list[tuple[float, str]]], list[tuple[str, bool]], int]:
    """Errors per measure, (label, predicted) of failed starts, and how many rows had no shape."""
    table: dict[str, list[tuple[float, str]]] = {}
    starts: list[tuple[str, bool]] = []
    unknown = 0
    for row in rows:
        found = gpu_rows.estimate(row)
        if found is None:
            unknown += 1
            continue
        if found.verdict is not None:
            starts.append((row.label, starts_up(row, found) != row.failed))
        measured = pairs(row, found)
        for measure in MEASURES[row.engine]:
            if measure.name in measured:
                table.setdefault(measure.name, []).append(
                    (error(measure, measured[measure.name]), row.label)
                )
        if show:
            _show(row, found, measured)
    return table, starts, unknown


def starts_up(row: Row, found: Estimate) -> bool:
    """SGLang starts with less room than the context asks for; vLLM does not."""
    if row.engine == "sglang":
        return bool(found.kv_capacity_tokens)
    return found.verdict != "does_not_fit"


def _show(row: Row, found: Estimate, measured: dict[str, tuple[float, float]]) -> None:
    cells = " ".join(f"{name} {a:.6g}/{b:.6g}" for name, (a, b) in measured.items())
    print(f"{row.number:4} {row.label:62} {found.verdict or '-':12} {cells}")


def main(arguments: Sequence[str] = ()) -> int:
    """1 where a target is missed; ``arguments`` as on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--margins", action="store_true")
    options = parser.parse_args(list(arguments))
    if not gpu_rows.SHARED.is_dir():
        print("../shared/data is not here: nothing to compare with")
        return 0
    met = True
    for engine in ("vllm", "sglang"):
        chosen = [row for row in gpu_rows.rows((engine,)) if options.all or row.trusted]
        table, starts, unknown = compare(chosen, options.rows)
        met = summary(engine, table) and met
        right = sum(correct for _, correct in starts)
        print(f"  starts predicted: {right} of {len(starts)}; no known shape: {unknown} rows")
        coverage(gaps(chosen), 10)
        if options.margins:
            margins(chosen)
        for label, correct in starts:
            if not correct:
                print(f"    wrong: {label}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
