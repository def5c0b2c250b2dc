"""Promotions on the real embedded engine, with models whose answers are known in advance."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.promotions import aliases, gated, registered, running, steps
from support.talking_gguf import write_talking_adapter, write_talking_gguf

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.workload import Workload
from modelscan.promotion.promote import promote, rollback
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import PromotionGate, PromotionOptions
from modelscan.registry.events import history
from modelscan.routing.file import load
from modelscan.targets.request import Request

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")


def test_from_the_first_version_to_a_rollback(promoter: Promoter, talking: Path) -> None:
    """A new route, a better quantization, a worse model that is refused, and the way back."""
    first = registered(promoter, "talker", talking / "good-q8_0.gguf")
    options = gated(talking)
    answer = promote(promoter, first.name, "talk", options)
    assert (answer.state, answer.current, answer.previous) == ("promoted", "talker@1", None)
    assert steps(answer) == {
        "check": "done", "deploy": "done", "verify": "done", "bench": "done", "evaluate": "done",
        "canary": "skipped", "switch": "done", "aliases": "done", "retire": "skipped",
    }  # fmt: skip
    assert answer.eval_id
    assert aliases(promoter, "talker") == {"champion": "1"}
    file = promoter.config.routing_file
    entry = load(file).route("talk")
    assert entry is not None and entry.deployment == answer.candidate
    assert promote(promoter, first.name, "talk", options).changed is False

    second = registered(promoter, "talker", talking / "good-q4_0.gguf")
    before = file.read_bytes()
    answer = promote(promoter, "talker@2", "talk", options)
    assert (answer.state, answer.current, answer.previous) == ("promoted", "talker@2", "talker@1")
    assert aliases(promoter, "talker") == {"champion": "2", "previous": "1"}
    assert running(promoter) == {answer.candidate}
    after = file.read_bytes()

    worse = registered(promoter, "talker", talking / "bad-q8_0.gguf")
    refused = promote(promoter, worse.name, "talk", options)
    assert refused.state == "refused"
    assert steps(refused)["evaluate"] == "failed"
    assert "switch" not in steps(refused)
    assert "0.000" in (refused.reason or "")
    assert file.read_bytes() == after
    assert aliases(promoter, "talker") == {"champion": "2", "previous": "1"}
    assert running(promoter) == {answer.candidate}

    back = rollback(promoter, "talk")
    assert (back.state, back.current) == ("rolled_back", "talker@1")
    assert file.read_bytes() == before
    assert aliases(promoter, "talker") == {"champion": "1", "previous": "2"}
    assert second.version == "2"
    with promoter.database.reading() as connection:
        events = [one.event for one in history(connection, "talker", limit=200)]
    assert {"promotion.started", "promotion.step", "promotion.promoted", "promotion.refused",
            "promotion.rolled_back", "alias.set"} <= set(events)  # fmt: skip


def test_adapters_on_a_route_of_a_deployment(promoter: Promoter, talking: Path) -> None:
    """The route of an ordinary deployment: a harmless adapter is promoted, a harmful one is not."""
    base = talking / "base.gguf"
    request = Request(str(base), Workload(context_tokens=512), name="talk")
    promoter.deployments.deploy(request)
    file = promoter.config.routing_file
    before = file.read_bytes()
    worse = registered(promoter, "tuned", talking / "worse.gguf", str(base))
    assert worse.lineage is not None and worse.lineage.adapter
    refused = promote(promoter, worse.name, "talk", gated(talking))
    assert refused.state == "refused"
    assert file.read_bytes() == before
    assert running(promoter) == {"talk"}
    same = registered(promoter, "tuned", talking / "same.gguf", str(base))
    answer = promote(promoter, same.name, "talk", gated(talking))
    assert (answer.state, answer.previous) == ("promoted", "talk")
    assert running(promoter) == {answer.candidate}
    row = next(one for one in promoter.deployments.list() if one.name == answer.candidate)
    assert row.context_tokens == 512  # as the deployment before it
    back = rollback(promoter, "talk")
    assert back.current == "talk"
    assert file.read_bytes() == before
    assert running(promoter) == {"talk"}


def test_what_cannot_be_promoted(promoter: Promoter, talking: Path, tmp_path: Path) -> None:
    """Another architecture's adapter, changed files, an unknown gate: nothing starts."""
    other = write_talking_adapter(tmp_path / "other.gguf", "yes", "no", architecture="qwen3")
    version = registered(promoter, "wrong", other, str(talking / "base.gguf"))
    with pytest.raises(NotDeployableError, match="the adapter is for qwen3, the base is llama"):
        promote(promoter, version.name, "talk", PromotionOptions())
    own = write_talking_gguf(tmp_path / "own.gguf", "yes")
    changed = registered(promoter, "changed", own)
    write_talking_gguf(own, "no")
    with pytest.raises(NotDeployableError, match="not those that were registered"):
        promote(promoter, changed.name, "talk", PromotionOptions())
    gate = PromotionGate("codin", 0.8)
    with pytest.raises(UsageError, match="codin"):
        promote(promoter, changed.name, "talk", PromotionOptions(gates=(gate,)))
    assert running(promoter) == set()
    assert not promoter.config.routing_file.exists()
