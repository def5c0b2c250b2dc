"""Estimates beside what engines really take: ``make bench-memory``.

    python -m benchmarks.bench_memory [--rows] [--live-only] [--no-gpu-engines]

llama.cpp: every part against the engine's own dry run, over ``../shared`` rows where they are
there and over our own sparse files asked live. vLLM and SGLang: ``bench_memory_gpu``. Then the
caches other estimators claim for the same models. Exits 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable

from benchmarks import bench_memory_gpu, peers_memory
from benchmarks.llamacpp_rows import PARTS, Row, live_rows, shared_rows

# part -> (median, p95) allowed, relative.
TARGETS = {
    "weights_bytes": (0.0, 0.0),
    "kv_cache_bytes": (0.001, 0.001),
    "recurrent_state_bytes": (0.001, 0.001),
    "output_bytes": (0.001, 0.001),
    "compute_bytes": (0.01, 0.10),
    "total": (0.001, 0.01),
}


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(title: str, rows: list[Row]) -> bool:
    """Print the table of one source; True when every target is met."""
    print(f"\nllama.cpp, {title}: {len(rows)} rows, {len({r.model for r in rows})} models, "
          f"{len({r.architecture for r in rows})} architectures")  # fmt: skip
    print(f"{'part':24}{'median':>12}{'p95':>12}{'worst':>12}")
    good = True
    for part, (middle, tail) in TARGETS.items():
        errors = [row.error(part) for row in rows]
        found = statistics.median(errors), percentile(errors, 0.95)
        met = found[0] <= middle and found[1] <= tail
        good = good and met
        print(f"{part:24}{found[0]:12.6%}{found[1]:12.6%}{max(errors):12.4%}"
              f"{'' if met else '   target missed'}")  # fmt: skip
    return good


def worst_by_architecture(rows: Iterable[Row]) -> None:
    """Worst total and compute error of each architecture."""
    table: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        table[row.architecture].append(row)
    print(f"\n{'architecture':20}{'rows':>6}{'total worst':>14}{'compute worst':>16}")
    for name, mine in sorted(table.items()):
        total = max(row.error("total") for row in mine)
        print(f"{name:20}{len(mine):6}{total:14.4%}"
              f"{max(row.error('compute_bytes') for row in mine):16.3%}")  # fmt: skip


def residuals(rows: list[Row]) -> None:
    """What ``engines/llamacpp/engine.py`` holds for llama.cpp: p99 of the compute part's error."""
    errors = [row.error("compute_bytes") for row in rows]
    total = percentile([row.error("total") for row in rows], 0.99)
    low, high = percentile(errors, 0.95), percentile(errors, 0.99)
    print(f"\nresiduals: compute p95 {low:.4%} p99 {high:.4%}, total p99 {total:.4%}")


def show(rows: Iterable[Row]) -> None:
    for row in rows:
        errors = "  ".join(f"{part.removesuffix('_bytes')} {row.error(part):.3%}"
                           for part in (*PARTS, "total"))  # fmt: skip
        print(f"{row.model:24} {row.setting:60} {errors}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", action="store_true", help="print every row")
    parser.add_argument("--live-only", action="store_true", help="leave ../shared aside")
    parser.add_argument("--no-gpu-engines", action="store_true", help="llama.cpp only")
    options = parser.parse_args()
    shared = [] if options.live_only else list(shared_rows())
    live = list(live_rows())
    good = True
    for title, rows in (("recorded dry runs", shared), ("dry runs made now", live)):
        if rows:
            good = summary(title, rows) and good
    everything = shared + live
    worst_by_architecture(everything)
    residuals(everything)
    if options.rows:
        show(everything)
    good = peers_memory.compare() and good
    if not options.no_gpu_engines and shared:
        sys.argv = sys.argv[:1]
        good = bench_memory_gpu.main() == 0 and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
