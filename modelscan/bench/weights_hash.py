"""The SHA-256 of what a deployment on this machine serves, for the receipt of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.model import WeightFile
from modelscan.hub.checksums import Verified, sha256
from modelscan.targets.local.weights import expected

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.state.config import Config

_MOST_BYTES = 4 << 30  # a larger file is not read for a receipt; its pull has verified it


def weights_sha256(deployment: Deployment | None, config: Config) -> str | None:
    """The hash of the one file that is served; None for several files, or where it is not known.

    It is computed once for each file and stored with its size and time.
    """
    if deployment is None or deployment.plan is None or deployment.target != "local":
        return None
    try:
        path = expected(deployment.plan, config).model
        if not path.is_file() or len(deployment.plan.files) > 1:
            return None
        verified = Verified(config.paths)
        known = verified.hash_of(path)
        if known is None and path.stat().st_size <= _MOST_BYTES:
            known = sha256(path)
            verified.add(path, WeightFile(path.name, path.stat().st_size, known))
    except (ModelscanError, OSError):
        return None
    return known
