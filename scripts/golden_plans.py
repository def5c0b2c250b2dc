"""The golden table: 30 models x 12 machines -> what the planner chooses, to be read by a person.

    python -m scripts.golden_plans            # show what changed
    python -m scripts.golden_plans --write    # rewrite tests/planner/golden.tsv
    python -m scripts.golden_plans --models   # take the models' facts anew from the catalog

The models' facts (config, variants) are frozen in tests/planner/golden_models.json, so that a new
catalog changes nothing here; the machines are simulated with a host of fixed size.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelscan.catalog.search.lookup import find_model
from modelscan.core.gpu import Host, Inventory
from modelscan.core.jsonform import to_json
from modelscan.core.machine import simulated_machine
from modelscan.core.model import Model, Spec, TokenLimits, Variant
from modelscan.core.plan import Decision, ResolvedModel
from modelscan.core.units import GIB, format_bytes, format_tokens
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.gpu.simulate import simulate
from modelscan.models.decide import decide_here
from modelscan.models.from_catalog import from_model, own_config
from modelscan.state.config import load

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "planner"
MODELS_FILE, TABLE_FILE = FOLDER / "golden_models.json", FOLDER / "golden.tsv"
HOST = Host(16, 64 * GIB, 58 * GIB, memory_bandwidth_bytes_per_s=70 * 10**9)
COLUMNS = ("model", "machine", "quantization", "backend", "gpus", "context", "memory", "why")

MODELS = (
    "alibaba/qwen3-0.6b", "alibaba/qwen3-1.7b", "alibaba/qwen3-8b", "alibaba/qwen3-32b",
    "alibaba/qwen3-30b-a3b", "alibaba/qwen3-235b-a22b", "alibaba/qwen3.5-27b",
    "alibaba/qwen3.5-35b-a3b", "alibaba/qwen3.5-122b-a10b", "alibaba/qwen3-vl-8b-instruct",
    "alibaba/qwen3-coder-480b-a35b-instruct", "google/gemma-4-31b-it", "google/gemma-4-26b-a4b",
    "google/gemma-3-27b-it", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "deepseek/deepseek-r1",
    "deepseek/deepseek-v3.2", "deepseek/deepseek-v4-flash", "moonshotai/kimi-k2-instruct",
    "moonshotai/kimi-k2.6", "zhipuai/glm-5.2", "minimax/minimax-m2.5", "minimax/minimax-m3",
    "meta/llama-4-scout-17b-instruct", "meta/meta-llama-3.1-8b", "meta/meta-llama-3.1-70b",
    "mistral/mixtral-8x7b-v0.1", "nvidia/nemotron-3-nano-30b-a3b", "xiaomi/mimo-v2-flash",
)  # fmt: skip
MACHINES = (
    "none", "RTX 3060 12GB", "T4", "RTX 4090", "2x RTX 3090", "RTX 5090", "M4 Max 64GB",
    "V100 32GB", "H100 80GB", "8x H200", "B200", "MI300X",
)  # fmt: skip


def freeze() -> None:
    """The models' facts, from the bundled catalog."""
    config = load()
    rows = []
    for name in MODELS:
        model = find_model(name, config.paths)
        specs = [{"repo": s.repo, "backend": s.backend, "mode": s.mode} for s in model.specs]
        variants = [
            {"repo": v.repo, "format": v.format, "quantization": v.quantization,
             "parameters": v.parameters, "weight_bytes": v.weight_bytes}
            for v in model.variants if v.source == "huggingface"
        ]  # fmt: skip
        rows.append({
            "id": model.id, "task": model.task, "parameters": model.parameters,
            "active_parameters": model.active_parameters, "specs": specs, "variants": variants,
            "context_tokens": model.limits.context_tokens,
            "architecture": _without_noise(own_config(model)) or None,
        })  # fmt: skip
    text = json.dumps(to_json(rows), indent=1, sort_keys=True)
    MODELS_FILE.write_text(text + "\n", encoding="utf-8")


def _without_noise(config: Any) -> Any:
    """The config without what no estimate reads (token ids, labels, module lists)."""
    if not isinstance(config, dict):
        return config
    drop = ("id2label", "label2id", "auto_map", "transformers_version", "_name_or_path")
    return {
        key: _without_noise(value)
        for key, value in config.items()
        if key not in drop and not key.endswith("token_id")
    }


def model_of(row: dict[str, Any]) -> Model:
    """A frozen row as the catalog would give it."""
    variants = tuple(Variant(**item) for item in row["variants"])
    specs = tuple(
        Spec("huggingface", s["repo"], s["backend"], None, mode=s["mode"]) for s in row["specs"]
    )
    return Model(
        id=row["id"], name=row["id"], task=row["task"], parameters=row["parameters"],
        active_parameters=row["active_parameters"], open_weights=True,
        limits=TokenLimits(context_tokens=row["context_tokens"]), variants=variants, specs=specs,
        architecture=row["architecture"],
    )  # fmt: skip


def machine(spec: str) -> Inventory:
    """A simulated machine; only unified memory changes the host."""
    found = simulate(spec)
    unified = any(gpu.unified_memory for gpu in found.gpus)
    host = replace(found.host, cpus=HOST.cpus) if unified else HOST
    return replace(found, host=host)


def subjects() -> list[ResolvedModel]:
    """The frozen models, ready for the planner."""
    config = load()
    rows = json.loads(MODELS_FILE.read_text(encoding="utf-8"))
    return [from_model(model_of(row), config, Workload()) for row in rows]


def table(*, explain: bool = True) -> str:
    """The whole table as text, one row per model and machine; the choice does not depend on
    ``explain``, which only the column ``why`` needs."""
    lines = ["\t".join(COLUMNS)]
    machines = [(spec, machine(spec)) for spec in MACHINES]
    for subject in subjects():
        for spec, inventory in machines:
            decision = decide_here(
                simulated_machine(inventory), subject, Workload(), explain=explain
            )
            lines.append("\t".join((subject.id, spec, *row(decision))))
    return "\n".join(lines) + "\n"


def row(decision: Decision) -> tuple[str, ...]:
    """quantization, backend, gpus, context, memory, why."""
    plan, refusal = decision.plan, decision.refusal
    if plan is None:
        assert refusal is not None
        needs = "; ".join(f"{r.count} x {r.name}" for r in refusal.required) or "no usual hardware"
        reason = refusal.reasons[0] if refusal.reasons else ""
        tail = f"; would do: {needs}" if refusal.verdict is Verdict.DOES_NOT_FIT else ""
        return ("-", "-", "-", "-", "-", f"{refusal.verdict.text}: {reason}{tail}")
    parts = str(len(plan.gpus)) if plan.gpus else "CPU"
    if plan.tensor_parallel > 1:
        parts += f" (tp {plan.tensor_parallel})"
    extra = [word for word in ("--n-cpu-moe", "--n-gpu-layers") if word in plan.parameters]
    moved = [f"{w} {plan.parameters[plan.parameters.index(w) + 1]}" for w in extra]
    why = [*plan.reasons[:1], *(m for m in moved if not m.endswith((" all", " 0")))]
    why += [text for text in plan.reasons if text.startswith(("not ", "context reduced"))][:2]
    return (
        str(plan.quantization), plan.backend, parts, format_tokens(plan.context_tokens),
        format_bytes(plan.estimate.total_bytes), "; ".join(why),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="rewrite the table")
    parser.add_argument("--models", action="store_true", help="take the models' facts anew")
    chosen = parser.parse_args()
    if chosen.models:
        freeze()
    text = table()
    if chosen.write:
        TABLE_FILE.write_text(text, encoding="utf-8")
        return 0
    old = TABLE_FILE.read_text(encoding="utf-8") if TABLE_FILE.is_file() else ""
    changes = list(difflib.unified_diff(old.splitlines(), text.splitlines(), lineterm="", n=0))
    sys.stdout.write("\n".join(changes) + "\n" if changes else "no change\n")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
