"""The aliases of a model that several routes serve: a rollback of one does not move another's."""

from __future__ import annotations

import pytest
from support.promotions import aliases

from modelscan.promotion.aliases import move_aliases
from modelscan.promotion.promote import _aliases_swapped
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import (
    Promotion,
    PromotionOptions,
    PromotionStep,
    ServedBefore,
)
from modelscan.registry.models import create_model
from modelscan.registry.types import RegistryModelFacts, RegistryVersionFacts
from modelscan.registry.versions import add_version

pytest.importorskip("sqlalchemy")
pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")


def promoted(promoter: Promoter, route: str, number: int, before: str | None) -> Promotion:
    """A promotion that is over, as its row and its aliases."""
    at = f"2026-11-30T10:00:0{number}Z"
    step = PromotionStep("aliases", "done", at, None, {"before": {"champion": before}})
    promotion = Promotion(
        id=f"p-{route}-{number}", route=route, slug="m", version=str(number),
        options=PromotionOptions(), candidate=f"{route}-{number}", before=ServedBefore("new"),
        state="promoted", steps=(step,), started_at=at,
    )  # fmt: skip
    promoter.store.begin(promotion)
    with promoter.database.writing() as connection:
        wanted = {"champion": str(number), "previous": before}
        move_aliases(connection, promoter.who, "m", wanted)
    return promotion


@pytest.fixture
def model(promoter: Promoter) -> Promoter:
    with promoter.database.writing() as connection:
        create_model(connection, promoter.who, RegistryModelFacts(slug="m"))
        for number in (1, 2, 3):
            facts = RegistryVersionFacts(weights_url=f"https://host/m/{number}")
            add_version(connection, promoter.who, "m", facts)
    return promoter


def test_one_route_goes_back(model: Promoter) -> None:
    promoted(model, "a", 1, None)
    _aliases_swapped(model, promoted(model, "a", 2, "1"))
    assert aliases(model, "m") == {"champion": "1", "previous": "2"}


def test_another_route_moved_the_champion_since(model: Promoter) -> None:
    first = promoted(model, "a", 1, None)
    promoted(model, "b", 2, "1")
    _aliases_swapped(model, first)
    assert aliases(model, "m") == {"champion": "2", "previous": "1"}


def test_another_route_serves_the_same_version(model: Promoter) -> None:
    promoted(model, "a", 2, None)
    last = promoted(model, "b", 2, "1")
    _aliases_swapped(model, last)
    assert aliases(model, "m")["champion"] == "2"
    promoted(model, "a", 3, "2")  # not any more
    with model.database.writing() as connection:
        move_aliases(connection, model.who, "m", {"champion": "2"})
    _aliases_swapped(model, last)
    assert aliases(model, "m")["champion"] == "1"
