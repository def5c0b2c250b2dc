"""``catalog info MODEL MODEL``: models side by side, one row per fact, one column per model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.cli.catalog.info import facts
from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table

if TYPE_CHECKING:
    from modelscan.core.model import Model
    from modelscan.models.info import Comparison


def compare_document(
    context: Context, texts: Sequence[str], gpu: str | None
) -> Document[Comparison]:
    """The facts of each model, its lowest price and its fit on this machine."""
    from modelscan.models.info import find_comparison

    models, answer = find_comparison(texts, context.workspace.machine(gpu), context.config)
    columns = [{str(row[0]): row[1] for row in facts(model)} for model in models]
    labels = dict.fromkeys(label for column in columns for label in column if label != "id")
    rows = [(label, *(column.get(label) for column in columns)) for label in labels]
    rows.append(("cheapest USD/M", *(_cheapest(model) for model in models)))
    rows.append(("fits here", *(one.fit.text for one in answer.models)))
    ids = [model.id for model in models]
    return Document("catalog.compare", answer, [Table(("FACT", *ids), rows, folded=ids)], ids)


def _cheapest(model: Model) -> float | None:
    from modelscan.catalog.offers import blended_price

    prices = [p for o in model.offerings if (p := blended_price(o)) is not None]
    return min(prices, default=None)
