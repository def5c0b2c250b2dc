"""A share of a route's requests through a real gateway: counted, promoted, or rolled back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.patience import COMMAND_S
from support.promotions import registered, running, steps
from support.served import Served, serving, until

from modelscan.core.receipt import Receipt
from modelscan.core.workload import Workload
from modelscan.promotion import effects
from modelscan.promotion.canary import judge_canary
from modelscan.promotion.promote import promote, retire_due, rollback
from modelscan.promotion.run import Promoter
from modelscan.promotion.types import CanaryOptions, PromotionOptions, PromotionShown
from modelscan.routing.edits import add_role
from modelscan.targets.request import Request

pytest_plugins = ("support.engine_fixtures", "support.promotion_fixtures")
LONG_S = 3600.0


@dataclass
class Underway:
    """A promotion in a thread; its canary is over when the test says so."""

    promoter: Promoter
    answers: list[PromotionShown] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def now(self) -> float:
        return time.time() + (2 * LONG_S if self.over.is_set() else 0.0)


@contextlib.contextmanager
def promoting(promoter: Promoter, reference: str, route: str, share: float) -> Iterator[Underway]:
    started = Underway(promoter)
    promoter.clock = started.now
    promoter.pause = lambda _: started.over.wait(0.05) and None
    options = PromotionOptions(canary=CanaryOptions(share, LONG_S))
    thread = threading.Thread(
        target=lambda: started.answers.append(promote(promoter, reference, route, options))
    )
    thread.start()
    try:
        yield started
    finally:
        started.over.set()
        thread.join(COMMAND_S)


def said(gateway: Served, name: str) -> str:
    status, body = gateway.chat(name, max_tokens=8)
    return body["choices"][0]["message"]["content"] if status == 200 else f"status {status}"


def candidate_of(promoter: Promoter, route: str) -> str:
    promotion = promoter.store.last(route, "running")
    assert promotion is not None
    return promotion.candidate


def test_a_share_and_then_everything(promoter: Promoter, talking: Path) -> None:
    """The route answers yes; the candidate, which answers no, gets its share of the requests."""
    pytest.importorskip("xllamacpp")
    request = Request(str(talking / "base.gguf"), Workload(context_tokens=512), name="talk")
    promoter.deployments.deploy(request)
    registered(promoter, "other", talking / "bad-q8_0.gguf")
    before = promoter.config.routing_file.read_bytes()
    with serving() as gateway:
        assert said(gateway, "talk") == "yes"
        with promoting(promoter, "other@1", "talk", 0.25) as underway:
            until(lambda: said(gateway, "talk") == "no")
            counted = Counter(said(gateway, "talk") for _ in range(40))
            assert abs(counted["no"] - 10) <= 2, counted
            assert counted["yes"] == 40 - counted["no"]
            candidate = candidate_of(promoter, "talk")

            def own_receipts() -> bool:
                rows = effects.receipts_since(promoter.database, "talk", 0)
                return sum(one.backend == candidate for one in rows) >= 10

            until(own_receipts)
        (answer,) = underway.answers
        assert (answer.state, steps(answer)["canary"]) == ("promoted", "done")
        until(lambda: {said(gateway, "talk") for _ in range(8)} == {"no"})
        assert running(promoter) == {candidate}
        rollback(promoter, "talk")
        assert promoter.config.routing_file.read_bytes() == before
        until(lambda: {said(gateway, "talk") for _ in range(8)} == {"yes"})


def test_worse_receipts_end_it(promoter: Promoter, talking: Path) -> None:
    """The candidate's engine dies again and again: the route is what it was, to the byte."""
    pytest.importorskip("xllamacpp")
    request = Request(str(talking / "base.gguf"), Workload(context_tokens=512), name="talk")
    promoter.deployments.deploy(request)
    add_role(promoter.config.routing_file, {
        "role_id": "work", "routing_policy": {"providers": ["talk"]},
    })  # fmt: skip
    registered(promoter, "other", talking / "good-q8_0.gguf")
    before = promoter.config.routing_file.read_bytes()
    with serving() as gateway:
        assert said(gateway, "work") == "yes"
        with promoting(promoter, "other@1", "work", 0.5) as underway:
            until(lambda: b"weighted" in promoter.config.routing_file.read_bytes())
            candidate = candidate_of(promoter, "work")

            def gone_wrong() -> bool:
                row = effects.deployment_of(promoter.deployments, candidate)
                if row is not None and row.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(row.pid, signal.SIGKILL)
                return {said(gateway, "work") for _ in range(6)} != {"yes"} or bool(
                    underway.answers
                )

            until(lambda: gone_wrong() and underway.answers)
        (answer,) = underway.answers
        assert answer.state == "refused"
        assert steps(answer)["canary"] == "failed"
        assert promoter.config.routing_file.read_bytes() == before
        assert running(promoter) == {"talk"}
        until(lambda: {said(gateway, "work") for _ in range(6)} == {"yes"})


def test_a_role_is_a_route(promoter: Promoter, talking: Path) -> None:
    """The role's providers change; the entry of the deployment before stays."""
    pytest.importorskip("xllamacpp")
    promoter.deployments.deploy(
        Request(str(talking / "base.gguf"), Workload(context_tokens=512), name="talk")
    )
    file = promoter.config.routing_file
    add_role(file, {"role_id": "work", "routing_policy": {"providers": ["talk"]}})
    before = file.read_bytes()
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    answer = promote(promoter, "talker@1", "work", PromotionOptions(keep_s=LONG_S))
    assert (answer.state, answer.previous) == ("promoted", "talk")
    assert running(promoter) == {"talk", answer.candidate}
    back = rollback(promoter, "work")
    assert (back.state, back.current) == ("rolled_back", "talk")
    assert file.read_bytes() == before


def test_what_was_kept_is_stopped(promoter: Promoter, talking: Path) -> None:
    """By the gateway or the next command, once ``--keep-previous`` is over; never what serves."""
    pytest.importorskip("xllamacpp")
    registered(promoter, "talker", talking / "good-q8_0.gguf")
    registered(promoter, "talker", talking / "good-q4_0.gguf")
    first = promote(promoter, "talker@1", "talk", PromotionOptions()).candidate
    second = promote(promoter, "talker@2", "talk", PromotionOptions(keep_s=LONG_S)).candidate
    assert retire_due(promoter) == ()
    assert running(promoter) == {first, second}
    promoter.clock = lambda: time.time() + 2 * LONG_S
    assert retire_due(promoter) == (first,)
    assert retire_due(promoter) == ()
    assert running(promoter) == {second}
    assert rollback(promoter, "talk").current == "talker@1"
    assert running(promoter) == {first}


def receipts(backend: str, count: int, **fields: Any) -> list[Receipt]:
    values: dict[str, Any] = {"status": 200, "duration_s": 1.0, "ttft_s": 0.2, **fields}
    return [Receipt("t", 0.0, "chat", "talk", "talk", backend=backend, **values)
            for _ in range(count)]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([], "unknown"),
        (receipts("old", 50), "unknown"),
        (receipts("new", 1), "not_worse"),
        (receipts("new", 1, status=502), "worse"),
        (receipts("old", 20) + receipts("new", 20), "not_worse"),
        (receipts("old", 20) + receipts("new", 19) + receipts("new", 1, status=500), "not_worse"),
        (receipts("old", 20) + receipts("new", 15) + receipts("new", 5, status=500), "worse"),
        (receipts("old", 10, status=500) + receipts("new", 5) + receipts("new", 5, status=500),
         "not_worse"),
        (receipts("old", 20) + receipts("new", 20, duration_s=3.0), "worse"),
        (receipts("old", 20) + receipts("new", 4, duration_s=3.0), "not_worse"),
        (receipts("old", 20) + receipts("new", 20, ttft_s=0.9), "worse"),
        (receipts("new", 20, status=404), "not_worse"),  # the caller's own error
        (receipts("new", 20, status=499), "not_worse"),  # the caller left
        (receipts("old", 20) + receipts("new", 15) + receipts("new", 5, status=400), "worse"),
        (receipts("old", 20) + receipts("old", 5, status=400) + receipts("new", 16)
         + receipts("new", 4, status=400), "not_worse"),  # both refuse what is wrong
        (receipts("old", 20) + receipts("new", 20, status=429), "not_worse"),  # a limit of the key
        (receipts("new", 5) + receipts("old", 5, reasons=("new: connection refused",)), "worse"),
    ],
)  # fmt: skip
def test_what_receipts_say(rows: list[Receipt], verdict: str) -> None:
    assert judge_canary(rows, "new").verdict == verdict
