"""Decode and prefill speed: the model beside published runs, and on cards left out of its fit.

Rows: ../shared/data/speed.csv (llama-bench and Ollama runs), and by engine those of 2026
(``speed_rows``). ``--fit`` prints the coefficients of
``modelscan/memory/speed_table.py``; without it the shipped ones are compared, and for each class
the fit is repeated with one card after the other left out, so that every row is also predicted by
coefficients that never saw its card.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks import speed_rows
from benchmarks.causes import cause
from benchmarks.gpu_rows import SHARED
from modelscan.core.gpu import Gpu
from modelscan.gpu import facts
from modelscan.memory import speed_table
from modelscan.memory.speed_table import Coefficients

# Active bytes, layers, all and active parameters of Ollama's default tags (its library, GB = 1e9).
TAGS = {
    "Llama 3.2:3b": (2.02e9, 28, 3.2e9, 3.2e9), "DeepSeek R1 14b": (8.99e9, 48, 14.8e9, 14.8e9),
    "gpt-oss 20b": (13.8e9, 24, 20.9e9, 3.6e9), "Llama 3.1:70b": (42.5e9, 80, 70.6e9, 70.6e9),
    "Llama 3.1:405b": (243e9, 126, 405e9, 405e9), "DeepSeek R1 671b": (404e9, 61, 671e9, 37e9),
}  # fmt: skip
LAYERS = {"gemma4 26B": 30, "gemma4 31B": 60, "qwen35moe 35B": 40, "qwen35moe 122B": 48,
          "qwen35 27B": 64, "gpt-oss 20B": 24, "gpt-oss 120B": 36, "deepseek2 30B": 47,
          "minimax-m2": 62, "mistral3 14B": 40, "nemotron_h": 88, "70B": 80}  # fmt: skip
ACTIVE = {"gpt-oss 20B": 3.6e9, "gpt-oss 120B": 5.1e9}
SLOW_HOSTS = ("Pi", "HiFive", "Thelio", "MS-R1", "Radxa")  # one PCIe lane, other builds
CLASSES = {"GeForce and RTX": speed_table.NVIDIA, "A100, H100": speed_table.NVIDIA_HBM,
           "Radeon": speed_table.AMD, "Strix Halo": speed_table.AMD_UNIFIED,
         "Apple": speed_table.APPLE}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One published run on one card."""

    card: Gpu
    name: str
    model: str
    read_bytes: float
    layers: int
    parameters: float
    active: float
    wide: bool
    decode: float
    prefill: float | None

    @property
    def sparse(self) -> bool:
        return self.active < self.parameters

    @property
    def group(self) -> str:
        found = speed_table.for_gpu(self.card, "llama.cpp", batching=False)
        return next(name for name, entry in CLASSES.items() if entry == found)


def card_name(text: str) -> str:
    """The card a row names, as the facts table spells it."""
    inside = re.search(r"\(((?:Nvidia|AMD|Intel)[^[)]*)", text)
    name = inside.group(1).strip() if inside else text
    if "Strix Halo" in text or "395+" in text or "Framework Mainboard" in text:
        return "Radeon 8060S"
    apple = re.search(r"\bM(\d) ?(Max|Ultra)?", text)
    if apple and ("Core GPU" in text or "GPU Core" in text or "Mac" in text):
        return " ".join(filter(None, ("Apple", f"M{apple.group(1)}", apple.group(2))))
    name = re.sub(r"^Nvidia (?:RTX )?(\d)", r"GeForce RTX \1", name)
    name = re.sub(r"^(\d{4}(?: Ti)?) \d+GB$", r"GeForce RTX \1", name)
    name = (
        name.removeprefix("Nvidia ").replace("AMD ", "Radeon ").replace("Radeon Radeon", "Radeon")
    )
    name = re.sub(r" \d+GB$", "", name).replace("Radeon AI Pro", "Radeon AI PRO")
    for short, full in (("A100 PCIe", "A100 PCIe 80 GB"), ("A100 SXM", "A100 SXM4 80 GB"),
                        ("H100 PCIe", "H100 PCIe 80 GB"), ("Spark", "GB10")):  # fmt: skip
        name = full if name.startswith(short) else name
    return name


def card_of(text: str) -> Gpu | None:
    row = facts.lookup(card_name(text))
    if row is None or not row.memory_bandwidth_bytes_per_s:
        return None
    return Gpu(
        0, row.name, row.vendor, row.memory_bytes, row.memory_bytes, "simulated",
        compute_capability=row.compute_capability,
        memory_bandwidth_bytes_per_s=row.memory_bandwidth_bytes_per_s,
        fp16_tflops=row.fp16_tflops, unified_memory=row.unified_memory,
    )  # fmt: skip


def run_of(raw: dict[str, str]) -> Run | None:
    """A row of one card, wholly on it, not over Vulkan; None for the others."""
    several = re.search(r"\* \d+$", raw["gpu"]) or "Cluster" in raw["gpu"]
    slow = any(word in raw["gpu"] for word in SLOW_HOSTS)
    if several or slow or "offload" in raw["notes"] or "ulkan" in raw["engine"] + raw["gpu"]:
        return None
    card = card_of(raw["gpu"])
    if card is None or not raw["tg_tok_s"]:
        return None
    size, layers, parameters, active = _model(raw)
    bits = 8 * size / parameters
    return Run(
        card, card.name, f"{raw['model']} {raw['quant'][:8]}", size * active / parameters, layers,
        parameters, active, bits >= 8, float(raw["tg_tok_s"]),
        float(raw["pp_tok_s"]) if raw["pp_tok_s"] else None,
    )  # fmt: skip


def _model(raw: dict[str, str]) -> tuple[float, int, float, float]:
    name = raw["model"]
    if not raw["weights_gib"]:
        return TAGS[name]
    written = re.search(r"params ([\d.]+) B", raw["notes"])
    sparse = re.search(r"\.A(\d+)B", name)
    parameters = float(written.group(1)) * 1e9 if written else 70.6e9 if "70B" in name else 8.03e9
    active = float(sparse.group(1)) * 1e9 if sparse else parameters
    active = next((value for key, value in ACTIVE.items() if key in name), active)
    layers = next((count for key, count in LAYERS.items() if key in name), 32)
    return float(raw["weights_gib"]) * 2**30, layers, parameters, active


def seconds(run: Run, entry: Coefficients) -> float:
    inverse = entry.wide if run.wide else entry.packed
    bandwidth = run.card.memory_bandwidth_bytes_per_s or 1
    launching = run.layers * (entry.layer_s + run.sparse * entry.expert_layer_s)
    return run.read_bytes * inverse / bandwidth + launching


def fit(runs: Sequence[Run]) -> tuple[float, ...]:
    """(wide, packed, seconds per layer, more per layer with experts): least squares of the
    relative error, no coefficient below zero.
    """
    rows = []
    for run in runs:
        streaming = run.read_bytes / (run.card.memory_bandwidth_bytes_per_s or 1) * run.decode
        launch = run.layers * run.decode
        rows.append((streaming * run.wide, streaming * (not run.wide), launch, launch * run.sparse))
    kept = [column for column in range(4) if any(row[column] for row in rows)]
    solved = _solve(rows, kept)
    while min(solved) < 0:
        kept.remove(solved.index(min(solved)))
        solved = _solve(rows, kept)
    wide, packed, layer, expert = solved
    return wide or packed, packed or wide, layer, expert


def _solve(rows: Sequence[tuple[float, ...]], kept: list[int]) -> list[float]:
    """Normal equations of ``rows . x = 1`` by Gauss elimination over the kept columns."""
    size = len(kept)
    matrix = [
        [sum(row[a] * row[b] for row in rows) for b in kept] + [sum(row[a] for row in rows)]
        for a in kept
    ]
    for pivot in range(size):
        best = max(range(pivot, size), key=lambda line: abs(matrix[line][pivot]))
        matrix[pivot], matrix[best] = matrix[best], matrix[pivot]
        for line in range(size):
            if line != pivot:
                factor = matrix[line][pivot] / matrix[pivot][pivot]
                matrix[line] = [a - factor * b for a, b in zip(matrix[line], matrix[pivot],
                                                               strict=True)]  # fmt: skip
    solved = [0.0, 0.0, 0.0, 0.0]
    for index, column in enumerate(kept):
        solved[column] = matrix[index][size] / matrix[index][index]
    return solved


def spread(errors: Sequence[float]) -> str:
    if not errors:
        return f"{'one card':>26}"
    sizes = sorted(abs(value) for value in errors)
    p90 = sizes[min(len(sizes) - 1, round(0.9 * (len(sizes) - 1)))]
    return f"{100 * statistics.median(sizes):6.1f} %{100 * p90:8.1f} %{100 * sizes[-1]:8.1f} %"


def held_out(runs: Sequence[Run]) -> list[float]:
    """Errors of every run, predicted by a fit that never saw its card."""
    errors: list[float] = []
    for name in sorted({run.name for run in runs}):
        rest = [run for run in runs if run.name != name]
        if not rest:
            continue
        wide, packed, layer, expert = fit(rest)
        entry = replace(
            speed_table.OTHER, wide=wide, packed=packed, layer_s=layer, expert_layer_s=expert
        )
        errors += [run.decode * seconds(run, entry) - 1 for run in runs if run.name == name]
    return [1 / (1 + error) - 1 for error in errors]


def report(name: str, runs: Sequence[Run], show_fit: bool) -> None:
    entry = CLASSES[name]
    shipped = [1 / seconds(run, entry) / run.decode - 1 for run in runs]
    cards = len({run.name for run in runs})
    print(f"  {name:17}{len(runs):5}{cards:7} {spread(shipped)}   {spread(held_out(runs))}")
    inside = sum(abs(error) <= entry.spread for error in shipped) / len(shipped)
    print(f"  {'':17} within the stated range of {entry.spread:.0%}: {inside:.0%}")
    if show_fit:
        wide, packed, layer, expert = fit(runs)
        print(f"  {'':17} fit: wide {wide:.3f} packed {packed:.3f} layer {layer * 1e6:.0f} us")
        print(f"  {'':17} experts: {expert * 1e6:.0f} us more a layer")


def prefill(runs: Sequence[Run]) -> list[float]:
    errors = []
    for run in runs:
        dense = speed_table.prefill_tflops(run.card, batching=False)
        if run.prefill and dense:
            rate = dense * 1e12
            rate *= speed_table.EXPERTS_PREFILL if run.active < run.parameters else 1
            errors.append(rate / (2 * run.active) / run.prefill - 1)
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    path = SHARED / "speed.csv"
    if not path.exists():
        print("../shared/data is not here: nothing to compare with")
        return 0
    with path.open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    runs = [run for run in map(run_of, table) if run]
    print(f"decode, {len(runs)} runs on one card of {len(table)} rows: |error| median, p90, worst")
    print(f"  {'':17} rows  cards {'shipped coefficients':>25}   {'card left out of the fit':>26}")
    for name in CLASSES:
        group = [run for run in runs if run.group == name]
        if group:
            report(name, group, options.fit)
    print(f"prefill, {len(prefill(runs))} runs:{'':7}{spread(prefill(runs))}")
    by_engine()
    return 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A published run of 2026 and what the estimate says of it."""

    row: speed_rows.Row
    decode: float
    low: float
    high: float
    prefill: float | None

    @property
    def inside(self) -> bool:
        return self.low <= self.row.decode <= self.high

    @property
    def error(self) -> float:
        return self.decode / self.row.decode - 1

    @property
    def stretch(self) -> float:
        """How often the range's own length, on the side of the run, the run is away."""
        bound = self.high if self.row.decode > self.decode else self.low
        return abs(math.log(self.row.decode / self.decode) / math.log(bound / self.decode))


def held_out_share(found: Sequence[Answer]) -> float:
    """The share inside where a model's ranges are stretched to what contains 90 % of the others'.

    Measures whether the stated ranges are as long as runs of unseen models need.
    """
    inside = 0
    for model in {one.row.raw["model"] for one in found}:
        rest = sorted(one.stretch for one in found if one.row.raw["model"] != model)
        scale = rest[min(len(rest) - 1, math.ceil(0.9 * len(rest)) - 1)] if rest else 1.0
        inside += sum(
            one.stretch <= max(1.0, scale) for one in found if one.row.raw["model"] == model
        )
    return inside / len(found)


def answers() -> list[Answer]:
    found = []
    for row in speed_rows.rows():
        speed = row.speed()
        if speed and speed.decode_tokens_per_s and speed.low and speed.high:
            prefill = speed.prefill_tokens_per_s
            found.append(Answer(row, speed.decode_tokens_per_s, speed.low, speed.high, prefill))
    return found


def by_engine() -> None:
    """The runs of 2026, through the whole estimate: by engine, build and depth, and the worst."""
    found = answers()
    print(f"\ndecode and prefill of 2026, {len(found)} runs: |error| median, p90; in low to high,")
    print("  and with ranges stretched for the other models")
    for name in sorted({one.row.build for one in found}):
        mine = [one for one in found if one.row.build == name]
        _group(name, "all", mine)
        _group(name, "at 8k and deeper", [one for one in mine if one.row.deep])
        clear = [one for one in mine if one.row.trusted]
        if len(clear) < len(mine):
            _group(name, "not in doubt", clear)
    print("  worst ten:")
    found.sort(key=lambda one: -abs(math.log(one.decode / one.row.decode)))
    for one in found[:10]:
        words = "" if one.row.trusted else "  (not in a fit)"
        print(f"    {one.error:+8.0%}  {one.row.label}{words}{cause(one.row.label)}")


def _group(name: str, words: str, found: Sequence[Answer]) -> None:
    if not found:
        return
    filled = [one.prefill / one.row.prefill - 1 for one in found if one.prefill and one.row.prefill]
    inside = sum(one.inside for one in found) / len(found)
    prompt = f"prefill {_two(filled)}" if filled else ""
    decode = _two([one.error for one in found])
    held = held_out_share(found)
    print(f"  {name:17}{words:18}{len(found):4} {decode} {inside:5.0%} {held:5.0%}   {prompt}")


def _two(errors: Sequence[float]) -> str:
    sizes = sorted(abs(value) for value in errors)
    p90 = sizes[min(len(sizes) - 1, round(0.9 * (len(sizes) - 1)))]
    return f"{statistics.median(sizes):6.1%} {p90:7.1%}"


if __name__ == "__main__":
    sys.exit(main())
