"""modelscan beside its peers over the same measured rows, in one run.

Peers that install (llmfit, hf-mem) run here, in .cache/peers; hf-mem's network is answered from
the rows' configs, llmfit asks its own catalogue. GPUStack's rule is computed as its source says
(2.3.0: weights x 1.2 + 2 GiB). Published numbers (llm-d planner) and values read
off other tools before (``peers_memory``) are printed as recorded. ``python -m benchmarks.peers``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import gpu_rows, peers_memory
from benchmarks.bench_cli import install_peers
from benchmarks.gpu_rows import Row
from modelscan.core.units import GIB

DRIVER = Path(__file__).resolve().parent / "peer_hf_mem.py"
_QUANTIZATIONS = {None: "F16", "fp8": "Q8_0", "w8a8": "Q8_0", "w4a16": "Q4_K_M", "awq": "Q4_K_M",
                  "mxfp4": "Q4_K_M", "nvfp4": "Q4_K_M"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """GiB on one GPU: weights, KV of one request, and everything; None = the tool has no such."""

    weights: float | None
    cache: float | None
    total: float | None


def measured(row: Row) -> Answer | None:
    """What the engine logged, with the KV of one request of full length; None where incomplete.

    SGLang's logs name no activation: everything is weights and KV there.
    """
    names: tuple[str, ...] = ("weights_gib",)
    if row.engine == "vllm":
        names = ("weights_gib", "activation_gib", "non_torch_gib")
    parts = [row.value(name) for name in names]
    pool, tokens, length = row.value("kv_gib"), row.value("kv_tokens"), row.value("max_ctx")
    length = length or 8192.0
    if None in parts or not pool or not tokens:
        return None
    weights = parts[0] or 0.0
    times = row.value("max_concurrency")
    cache = pool / times if times else pool / tokens * length
    return Answer(weights, cache, sum(part or 0.0 for part in parts) + cache)


def ours(row: Row) -> Answer | None:
    found = gpu_rows.estimate(row)
    if found is None:
        return None
    parts = found.per_gpu[0].parts
    cache = parts.kv_cache_bytes
    total = parts.weights_bytes + cache
    if row.engine == "vllm":  # SGLang keeps states apart from its KV pool
        cache += parts.recurrent_state_bytes
        total += parts.recurrent_state_bytes + parts.compute_bytes + parts.non_torch_bytes
    return Answer(parts.weights_bytes / GIB, cache / GIB, total / GIB)


def gpustack(row: Row) -> Answer | None:
    """GPUStack 2.3.0: (weights x 1.2 + 2 GiB), no context term."""
    if row.shape is None:
        return None
    weights = row.shape.weights.total_bytes / GIB
    return Answer(weights, None, weights * 1.2 + 2)


def llmfit(row: Row, tool: Path) -> Answer | None:
    """``llmfit plan``: its least VRAM, decimal GB; weights are its disk size."""
    quantization = row.shape.architecture.quantization if row.shape else None
    command = [
        str(tool), "plan", row.raw["model"], "--context", str(int(row.value("max_ctx") or 8192)),
        "--quant", _QUANTIZATIONS.get(quantization, "F16"), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    try:
        plan = json.loads(done.stdout)
    except json.JSONDecodeError:
        return None
    if "disk_size_gb" not in plan:
        return None
    weights = plan["disk_size_gb"] * 1e9 / GIB
    total = plan["minimum"]["vram_gb"] * 1e9 / GIB
    return Answer(weights, None, total)


class HfMem:
    """hf-mem in its own interpreter, one job a line."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(DRIVER)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, row: Row) -> Answer | None:
        found = gpu_rows.config_of(gpu_rows.MODELS.get(row.raw["model"], row.raw["model"]))
        if row.shape is None or found is None:
            return None
        answer = self.ask(found[0],
                          int(row.value("max_ctx") or 8192), row.raw["kv_dtype"],
                          row.shape.weights.total_bytes)  # fmt: skip
        if answer is None:
            return None
        memory, cache = answer
        return Answer(memory, cache, memory + (cache or 0))

    def ask(
        self, config: dict[str, Any], context: int, kv_dtype: str, file_bytes: int
    ) -> tuple[float, float | None] | None:
        """(weights, KV) in GiB of a checkpoint of ``file_bytes``."""
        classed = {"architectures": ["LlamaForCausalLM"], **config}
        job = {
            "model": "bench/model", "config": classed, "context": context,
            "kv_dtype": "fp8" if kv_dtype == "fp8" else "bfloat16",
            "header": header(file_bytes),
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            return None
        cache = answer["kv_cache"]
        return answer["memory"] / GIB, None if cache is None else cache / GIB

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def header(file_bytes: int) -> dict[str, Any]:
    """A safetensors header of that many bytes."""
    return {"weight": {"dtype": "I8", "shape": [file_bytes], "data_offsets": [0, file_bytes]}}


def errors(truth: Sequence[tuple[Row, Answer]], tool: Any) -> dict[str, list[tuple[float, str]]]:
    """Relative errors by part of every row the tool answers."""
    table: dict[str, list[tuple[float, str]]] = {"weights": [], "cache": [], "total": []}
    for row, real in truth:
        answer = tool(row)
        if answer is None:
            continue
        for part, found in table.items():
            value, wanted = getattr(answer, part), getattr(real, part)
            if value is not None and wanted:
                found.append((value / wanted - 1, row.label))
    return table


def line(name: str, table: dict[str, list[tuple[float, str]]]) -> str:
    cells = []
    for part in ("weights", "cache", "total"):
        sizes = [abs(value) for value, _ in table[part]]
        if sizes:
            cells.append(
                f"{len(sizes):3} {100 * statistics.median(sizes):6.2f} {100 * max(sizes):8.2f}"
            )
        else:
            cells.append(f"{'-':>3} {'-':>6} {'-':>8}")
    return f"  {name:28}" + "   ".join(cells)


def pool_table(engine: str, peers: Path | None) -> bool:
    """Errors of every tool on an engine's rows of one GPU; whether modelscan leads in total."""
    truth = [
        (row, real)
        for row in gpu_rows.rows((engine,))
        if (row.trusted or engine == "sglang")
        and row.value("tp") == 1.0 and row.value("pp") in (None, 1.0)
        and row.shape is not None and (real := measured(row)) is not None
    ]  # fmt: skip
    print(f"\n{engine}, one GPU, {len(truth)} rows: |error| in %, (rows median worst) each")
    print(f"  {'':28}{'weights':>20}   {'KV of one request':>20}   {'everything':>20}")
    tools: dict[str, Any] = {"modelscan": ours, "GPUStack's rule": gpustack}
    mem = HfMem(peers / "python") if peers else None
    if peers and mem:
        tools["hf-mem"] = mem
        tools["llmfit"] = lambda row: llmfit(row, peers / "llmfit")
    medians: dict[str, float] = {}
    for name, tool in tools.items():
        table = errors(truth, tool)
        print(line(name, table))
        if table["total"]:
            medians[name] = statistics.median(abs(value) for value, _ in table["total"])
    if mem:
        mem.close()
    return all(
        medians["modelscan"] < value for name, value in medians.items() if name != "modelscan"
    )


def main(arguments: Iterable[str] = ()) -> int:
    del arguments
    if not gpu_rows.SHARED.is_dir():
        print("../shared/data is not here: nothing to compare with")
        return 0
    peers = install_peers()
    ahead = [pool_table("vllm", peers)]
    print("  llm-d planner, published, 39 runs of its own: weights 0.24 %, KV 4.2 % (worst 62),")
    print("  tokens 5.1 % (worst 287), everything else 3.45 GiB off on average")
    ahead += [pool_table("sglang", peers), peers_memory.compare()]
    print(f"\nmodelscan ahead of every tool: {'yes' if all(ahead) else 'NO'}")
    return 0 if all(ahead) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
