"""Two weight formats of a model side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Table
from modelscan.cli.eval.view import VERDICTS, interval_text
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.evals.quantization.measure import QuantMeasured, QuantSide


def quant_document(answer: QuantMeasured) -> Document[Any]:
    """Agreement, divergence, the suites; and whether plans use it."""
    tokens = answer.tokens
    pairs: list[tuple[str, object]] = [
        ("id", answer.eval_id),
        ("model", answer.model),
        ("A (reference)", _side(answer.a)),
        ("B", _side(answer.b)),
        ("positions", f"{tokens.positions}, {tokens.top_k} probabilities each"),
        (
            "same next token",
            f"{tokens.agreement:.3f} (95 %: {interval_text(tokens.agreement_interval)})",
        ),
        (
            "divergence of B",
            f"{tokens.kl:.4f} nats per token (95 %: {interval_text(tokens.kl_interval)})",
        ),
        ("largest", f"{tokens.kl_max:.3f} nats"),
        *_perplexities(answer),
        ("used by plan", answer.recorded),
    ]
    blocks: list[Block] = [Fields(pairs)]
    if answer.suites:
        rows = [
            (one.suite, len(one.per_task), f"{one.a_score:.3f}", f"{one.b_score:.3f}",
             interval_text(one.interval), VERDICTS[one.verdict])
            for one in answer.suites
        ]  # fmt: skip
        columns = ("SUITE", "TASKS", "A", "B", "A - B", "VERDICT")
        blocks.append(Table(columns, rows, numeric=("TASKS", "A", "B"), below=("VERDICT",)))
    return Document("eval.quant", answer, blocks, [answer.eval_id])


def _perplexities(answer: QuantMeasured) -> list[tuple[str, object]]:
    """Only where llama-perplexity is installed."""
    a, b = answer.a.perplexity, answer.b.perplexity
    return [("perplexity", f"A {a:.3f}, B {b:.3f}")] if a is not None and b is not None else []


def _side(side: QuantSide) -> str:
    parts = [side.quantization or "format unknown", side.engine, format_bytes(side.memory_bytes)]
    return ", ".join(part for part in parts if part and part != "-")
