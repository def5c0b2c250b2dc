"""``catalog info MODEL MODEL``: models side by side, one row per fact, one column per model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from modelscan.cli.catalog.info import facts
from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table

if TYPE_CHECKING:
    from modelscan.core.here import ModelHere, RouteHere
    from modelscan.core.model import Model
    from modelscan.models.info import Comparison


def compare_document(
    context: Context, texts: Sequence[str], gpu: str | None
) -> Document[Comparison]:
    """The facts of each model, its lowest price and its fit on this machine."""
    from modelscan.models.info import find_comparison
    from modelscan.traces.here import comparison_here

    models, answer = find_comparison(texts, context.workspace.machine(gpu), context.config)
    columns = [{str(row[0]): row[1] for row in facts(model)} for model in models]
    labels = dict.fromkeys(label for column in columns for label in column if label != "id")
    rows = [(label, *(column.get(label) for column in columns)) for label in labels]
    rows.append(("cheapest USD/M", *(_cheapest(model) for model in models)))
    rows.append(("fits here", *(one.fit.text for one in answer.models)))
    answer = comparison_here(answer, context.config)
    for label, show in _HERE:
        rows.append((label, *(_joined(one, show) for one in answer.here)))
    ids = [model.id for model in models]
    return Document("catalog.compare", answer, [Table(("FACT", *ids), rows, folded=ids)], ids)


_HERE: tuple[tuple[str, Callable[[RouteHere], object]], ...] = (
    ("routed by", lambda one: one.name),
    ("privacy", lambda one: one.privacy.replace("_", " ")),
    ("first token here, s", lambda one: one.measured and _short(one.measured.ttft_s)),
    ("tokens/s here", lambda one: one.measured and _short(one.measured.tokens_per_s)),
)


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _joined(model: ModelHere, show: Callable[[RouteHere], object]) -> str | None:
    """One value per entry of the routing file; None: there is none, or none is known."""
    values = dict.fromkeys(str(value) for one in model.routes if (value := show(one)))
    return ", ".join(values) or None


def _cheapest(model: Model) -> float | None:
    from modelscan.catalog.offers import blended_price

    prices = [p for o in model.offerings if (p := blended_price(o)) is not None]
    return min(prices, default=None)
