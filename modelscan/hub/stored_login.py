"""The command with which a user consents to a token that is on this machine already.

modelscan reads neither HF_TOKEN nor the login of ``hf auth login`` unasked: the setting
``hf_token`` must refer to it. Only the existence of the file is looked at, never its content.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

_SET = "modelscan config set hf_token"


def consent_command(environment: Mapping[str, str] | None = None) -> str:
    """``modelscan config set hf_token REFERENCE`` for HF_TOKEN or the stored login; where there is
    neither, for the variable that would have to be set first.
    """
    env = os.environ if environment is None else environment
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if env.get(name):
            return f"{_SET} env:{name}"
    file = login_file(env)
    if file.is_file():
        return f"{_SET} {shlex.quote(f'file:{file}')}"
    return f"{_SET} env:HF_TOKEN   (after: export HF_TOKEN=…)"


def login_file(environment: Mapping[str, str]) -> Path:
    """The file in which ``hf auth login`` stores its token (huggingface_hub's documentation)."""
    if environment.get("HF_TOKEN_PATH"):
        return Path(environment["HF_TOKEN_PATH"]).expanduser()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{base}/huggingface"
    return Path(home).expanduser() / "token"
