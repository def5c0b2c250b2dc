"""The sampling values that a deployed model's makers recommend, from its own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.sampling import Sampling
    from modelscan.state.config import Config


def recommended_sampling(deployment: Deployment, config: Config) -> Sampling | None:
    """From generation_config.json or the GGUF header of a chat model on this machine.

    None: the files state none, cannot be read, or are on another machine.
    """
    plan = deployment.plan
    if plan is None or deployment.target != "local" or deployment.task != "chat":
        return None
    from modelscan.catalog.passport.from_local import local_passport
    from modelscan.targets.local.weights import expected

    try:
        return local_passport(expected(plan, config).model).sampling
    except ModelscanError:
        return None
