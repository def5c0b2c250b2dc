"""A promotion that is killed: python tests/support/promotion_child.py SLUG@V ROUTE STEP WHERE …

WHERE is ``begun`` (before the step does anything) or ``done`` (it did everything, and that is not
recorded yet). Further arguments are gates and, as ``canary=SHARE:SECONDS``, a canary. With a STEP
that never comes it runs to the end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

from modelscan.deploy.deployments import Deployments  # noqa: E402
from modelscan.promotion.gates import parse_gate  # noqa: E402
from modelscan.promotion.promote import promote  # noqa: E402
from modelscan.promotion.run import Promoter  # noqa: E402
from modelscan.promotion.types import CanaryOptions, Promotion, PromotionOptions  # noqa: E402
from modelscan.state.config import load  # noqa: E402
from modelscan.state.server.audit import local_user  # noqa: E402
from modelscan.state.server.database import open_server  # noqa: E402


class KilledPromoter(Promoter):
    """Ends itself like kill -9 does, at one step."""

    def _begin(self, promotion: Promotion, name: Any) -> Promotion:
        promotion = super()._begin(promotion, name)
        _kill_at(name, "begun")
        return promotion

    def _after(self, promotion: Promotion, name: Any, done: Any) -> Promotion:
        _kill_at(name, "done")
        return super()._after(promotion, name, done)


def _kill_at(name: str, where: str) -> None:
    if sys.argv[3:5] == [name, where]:
        os.kill(os.getpid(), signal.SIGKILL)


def options_of(words: list[str]) -> PromotionOptions:
    """The options that the words state; the test itself uses the same."""
    canaries = [word.removeprefix("canary=") for word in words if word.startswith("canary=")]
    gates = [word for word in words if not word.startswith("canary=")]
    canary = None
    if canaries:
        share, seconds = canaries[0].split(":")
        canary = CanaryOptions(float(share), float(seconds))
    return PromotionOptions(gates=tuple(map(parse_gate, gates)), canary=canary)


def main() -> None:
    config = load({})
    with open_server(config) as database:
        promoter = KilledPromoter(
            config, database, Deployments(config), local_user(), lambda _: None
        )
        answer = promote(promoter, sys.argv[1], sys.argv[2], options_of(sys.argv[5:]))
    print(answer.state)


if __name__ == "__main__":
    main()
