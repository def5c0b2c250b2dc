"""The process of a recipe: started with few variables, ended with its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.evals.process import end_group

if TYPE_CHECKING:
    from modelscan.recipes.manifest import RecipeManifest

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "SSL_CERT_FILE", "LD_LIBRARY_PATH",
         "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
         "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # fmt: skip
_OF_THE_HUB = ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT",
               "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy",
               "no_proxy")  # fmt: skip
# No telemetry, no reports, no search for newer versions; nothing is built or installed on the way.
_FIXED = {
    "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled", "WANDB_DISABLED": "true", "UNSLOTH_DISABLE_STATISTICS": "1",
    "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
    "NO_COLOR": "1",
}  # fmt: skip
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def variables(manifest: RecipeManifest, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment: credentials of the hub only where a repository is downloaded or a job is
    started; else the libraries may send nothing.
    """
    env = os.environ if environ is None else environ
    remote = manifest.job is not None or bool(manifest.leaves_machine)
    names = (*_KEPT, *(_OF_THE_HUB if remote else ()))
    kept = {name: env[name] for name in names if name in env}
    return {**kept, **_FIXED, **({} if remote else _OFFLINE)}


def start(
    command: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own; its output and errors are one stream."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C comes from this process, once
    )


def ended(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it where it still runs, so that it can save; after a while end all of its group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
    end_group(process)
    if process.stdout is not None:
        process.stdout.close()
