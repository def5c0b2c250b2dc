"""What tests of promotions need: a workload, registered versions, what runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.promotion.fine_tune import facts_from
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import PromotionGate, PromotionOptions
from modelscan.registry.models import create_model
from modelscan.registry.stored import find_model
from modelscan.registry.types import ModelVersion, RegistryModelFacts
from modelscan.registry.versions import add_version

SAYS_YES = "name: says-yes\nversion: 1\ncases:\n" + "".join(
    f"  - {{id: q{n}, prompt: 'Question {n}?', max_tokens: 8, "
    "checks: [{kind: contains, text: 'yes'}]}\n"
    for n in range(32)
)


def registered(promoter: Promoter, slug: str, path: Path, base: str | None = None) -> ModelVersion:
    """A version of a model, which is made where there is none."""
    facts = facts_from(path, base, promoter.config, promoter.database)
    with promoter.database.writing() as connection:
        try:
            find_model(connection, slug)
        except ModelscanError:
            create_model(connection, promoter.who, RegistryModelFacts(slug=slug))
        return add_version(connection, promoter.who, slug, facts)[0]


def aliases(promoter: Promoter, slug: str) -> dict[str, str]:
    with promoter.database.reading() as connection:
        return dict(find_model(connection, slug).aliases)


def running(promoter: Promoter) -> set[str]:
    return {one.name for one in promoter.deployments.list() if one.state.value == "running"}


def gate_of(talking: Path) -> str:
    return f"{talking / 'says-yes.yaml'}>=0.8"


def gated(talking: Path, **values: Any) -> PromotionOptions:
    gate = PromotionGate(str(talking / "says-yes.yaml"), 0.8)
    return PromotionOptions(gates=(gate,), **values)


def steps(answer: Any) -> dict[str, str]:
    return {one.step: one.state for one in answer.steps}
