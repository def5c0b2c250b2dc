"""The environment of an engine: the user's, without credentials, and its own variables."""

from __future__ import annotations

import os
from collections.abc import Mapping

from modelscan.supervisor.rundir import RUN_MARK, ProcessSpec

PATH_MARK = "MODELSCAN_ENGINE_PYTHONPATH"


def engine_environment(
    spec: ProcessSpec,
    environ: Mapping[str, str] | None = None,
    secrets_from: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The engine's environment: the user's without credentials and without what would change its
    address or model, plus its own variables.

    ``secrets_from``: where references are resolved, if not in ``environ``. Raises AuthError if a
    referenced secret is missing.
    """
    from modelscan.engines.owned_options import owned_variables
    from modelscan.state.secrets import resolve

    inherited = dict(os.environ if environ is None else environ)
    own_path = inherited.pop(PATH_MARK, None)
    if own_path is not None:
        inherited["PYTHONPATH"] = own_path
        if not own_path:
            del inherited["PYTHONPATH"]
    known = inherited if secrets_from is None else secrets_from
    secrets = {name: resolve(reference, known) for name, reference in spec.secrets.items()}
    dropped = owned_variables()
    environment = {
        name: value for name, value in inherited.items()
        if not looks_secret(name) and name not in dropped
    }  # fmt: skip
    return {**environment, **spec.env, **secrets, RUN_MARK: spec.mark}


def looks_secret(name: str) -> bool:
    """Whether a variable's name suggests a credential."""
    words = name.upper().split("_")
    return bool({"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"} & set(words))
