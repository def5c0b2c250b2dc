"""The planner over the whole catalog x 40 GPUs: no plan violates the support matrix, and how fast.

    python -m benchmarks.bench_plan [--models N] [--gpus N]

Every model that the catalog has weights of is planned on every machine. Each plan is checked
against rules written down here once more, apart from the planner's own table, and a sample of
plans is estimated again from nothing but its launch flags. Aim: under 60 s of CPU time. The plans
are then compared with what practitioners start (``benchmarks.experts``).
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks import experts
from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.read import Index
from modelscan.catalog.search.lookup import load_model
from modelscan.catalog.search.query import search
from modelscan.catalog.search.types import Query
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.machine import simulated_machine
from modelscan.core.plan import Plan, ResolvedModel
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.flags import workload_of
from modelscan.formats.quantization import canonical
from modelscan.gpu.simulate import simulate
from modelscan.models.decide import decide_here
from modelscan.models.from_catalog import from_model
from modelscan.state.config import Config, load

GPUS = (
    "none", "GTX 1080 Ti", "Tesla P40", "Tesla V100 32GB", "2x Tesla V100 32GB", "T4",
    "RTX 2080 Ti", "RTX 3060 12GB", "RTX 3070", "RTX 3080", "RTX 3090", "2x RTX 3090",
    "4x RTX 3090", "RTX A6000", "A10", "A40", "A100 40GB", "A100 80GB", "8x A100 80GB",
    "RTX 4060", "RTX 4060 Ti 16GB", "RTX 4070", "RTX 4080", "RTX 4090", "4x RTX 4090", "L4",
    "L40S", "H100 80GB", "8x H100 80GB", "H200", "8x H200", "RTX 5080", "RTX 5090", "B200",
    "8x B200", "MI210", "MI300X", "8x MI300X", "RX 7900 XTX", "M4 Max 64GB",
)  # fmt: skip
HOST = Host(16, 64 * GIB, 58 * GIB, memory_bandwidth_bytes_per_s=70 * 10**9)
AIM_S = 60.0
SAMPLED = 97  # every 97th plan is estimated again


@dataclass
class Tally:
    """What was seen."""

    decisions: int = 0
    plans: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    estimated_again: int = 0


def violation(plan: Plan, gpus: tuple[Gpu, ...]) -> str | None:
    """What nobody may ever plan, from the issue's own list."""
    name = canonical(plan.quantization)
    if (plan.format == "gguf") != (plan.backend in ("llama.cpp", "ollama")):
        return f"{plan.format} on {plan.backend}"
    if plan.format not in ("gguf", "safetensors"):
        return f"a {plan.format} file"
    if plan.format == "safetensors" and not gpus:
        return "safetensors without a GPU"
    for gpu in gpus if plan.format == "safetensors" else ():
        broken = _nvidia(name, gpu) if gpu.vendor == "nvidia" else _other(name, gpu)
        if broken and not _emulated(plan):
            return f"{name}: {broken}"
    return None


def _emulated(plan: Plan) -> bool:
    """Whether the plan says that the format has no kernel, and is the last resort."""
    return any("is emulated on" in reason for reason in plan.reasons)


def _nvidia(name: str | None, gpu: Gpu) -> str | None:
    major, _, minor = (gpu.compute_capability or "0.0").partition(".")
    found = int(major) * 10 + int(minor)
    least = {"FP8": 75, "FP8-BLOCK": 80, "NVFP4": 75, "MXFP4": 80, "AWQ": 75, "INT8": 75,
             "MXFP8": 80}.get(str(name), 70)  # fmt: skip
    if found < least:
        return f"needs {least}, is {found}"
    return "INT8 on Blackwell" if name == "INT8" and found >= 100 else None


def _other(name: str | None, gpu: Gpu) -> str | None:
    if gpu.vendor != "amd":
        return f"vLLM on {gpu.vendor}"
    target = gpu.gfx_target or ""
    if name in ("NVFP4", "INT8", "BNB-4BIT", "BNB-8BIT", "MXFP8"):
        return "no ROCm kernel"
    fp8 = target.startswith(("gfx94", "gfx95", "gfx12"))
    return "FP8 arithmetic missing" if name == "FP8" and not fp8 else None


def subjects(index: Index, config: Config, count: int | None) -> Iterator[ResolvedModel]:
    """Every open model of the catalog, by popularity."""
    for row in search(index, Query(open_weights=True, limit=count)).rows:
        yield from_model(load_model(index, row.row), config, Workload())


def machines(count: int | None) -> list[Inventory]:
    """The machines, with a host of fixed size unless memory is unified."""
    found = []
    for spec in GPUS[:count]:
        inventory = simulate(spec)
        unified = any(gpu.unified_memory for gpu in inventory.gpus)
        found.append(inventory if unified else replace(inventory, host=HOST))
    return found


def check(subject: ResolvedModel, inventory: Inventory, tally: Tally) -> None:
    """One decision."""
    tally.decisions += 1
    decision = decide_here(simulated_machine(inventory), subject, Workload())
    plan = decision.plan
    if plan is None:
        tally.plans[decision.verdict.text] += 1
        return
    tally.plans[plan.backend] += 1
    gpus = tuple(gpu for gpu in inventory.gpus if gpu.index in plan.gpus)
    broken = violation(plan, gpus)
    if broken:
        tally.violations.append(f"{subject.id} on {[g.name for g in inventory.gpus]}: {broken}")
    if sum(tally.plans.values()) % SAMPLED == 0:
        tally.estimated_again += 1
        again = _again(subject, plan, inventory, gpus)
        if again:
            tally.violations.append(f"{subject.id}: {again}")


def _again(
    subject: ResolvedModel, plan: Plan, inventory: Inventory, gpus: tuple[Gpu, ...]
) -> str | None:
    shape = next(
        c.shape
        for c in subject.candidates
        if (c.variant.repo, c.variant.quantization) == (plan.repo, plan.quantization)
    )
    there = replace(inventory, gpus=gpus)
    found = estimate(shape, workload_of(plan), there, model=subject.id)
    if found.verdict == "does_not_fit" or found.total_bytes != plan.estimate.total_bytes:
        return f"flags mean something else: {plan.parameters}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=int, help="only the N most used models")
    parser.add_argument("--gpus", type=int, help="only the first N machines")
    chosen = parser.parse_args()
    config, tally = load(), Tally()
    started = time.process_time()
    index = open_index(config.paths)
    here = machines(chosen.gpus)
    models = 0
    gc.disable()  # nothing here is cyclic
    for subject in subjects(index, config, chosen.models):
        models += 1
        for inventory in here:
            check(subject, inventory, tally)
    used = time.process_time() - started
    index.close()
    report(models, len(here), tally, used)
    experts.print_agreement()
    return 1 if tally.violations or used > AIM_S else 0


def report(models: int, machines_count: int, tally: Tally, used: float) -> None:
    each = 1e3 * used / max(1, tally.decisions)
    print(f"models {models}  machines {machines_count}  decisions {tally.decisions}")
    print(f"CPU {used:.1f} s (aim {AIM_S:.0f} s), {each:.2f} ms each")
    for name, count in tally.plans.most_common():
        print(f"  {name:14} {count}")
    print(f"flags estimated again: {tally.estimated_again}")
    print(f"violations: {len(tally.violations)}")
    for line in tally.violations[:20]:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
