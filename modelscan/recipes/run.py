"""Runs a rendered recipe: verified first, with a clean environment, its output passed on."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import (
    ModelscanError,
    NotDeployableError,
    OfflineError,
    UsageError,
)
from modelscan.core.jsonform import to_json
from modelscan.hub.checksums import sha256
from modelscan.recipes.bases import changed_files
from modelscan.recipes.child import ended, start, variables
from modelscan.recipes.environment import require_environment
from modelscan.recipes.fitting import fit, room_of
from modelscan.recipes.manifest import (
    RUN,
    RecipeManifest,
    changed_rendered,
    read_manifest,
    read_run,
)
from modelscan.recipes.registry import find_recipe
from modelscan.recipes.shown import UPLOAD, absolute, command_of, script_command, shown
from modelscan.recipes.staging import stage
from modelscan.recipes.types import RecipeFile, RecipeRun
from modelscan.state.clock import now_text
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold
from modelscan.state.secrets import redact

if TYPE_CHECKING:
    from modelscan.core.machine import Machine
    from modelscan.recipes.types import RenderedRecipe
    from modelscan.state.config import Config

LOG, LOCK = "run.log", ".lock"
_LOCK_S = 0.5


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``python``: the interpreter with the requirements; ``force``: although it does not fit;
    ``confirmed``: a job may be started.
    """

    python: str | None = None
    force: bool = False
    confirmed: bool = False


def run_recipe(
    folder: Path,
    options: RunOptions,
    config: Config,
    machine: Callable[[], Machine],
    on_line: Callable[[str], None],
) -> RenderedRecipe:
    """Verify the folder and its inputs, run the script or start the job, record the results.

    ``on_line`` receives each line of output. Raises UsageError (exit 2) for changed files and an
    unconfirmed job, NotDeployableError (exit 3) where it does not fit or packages are missing,
    OfflineError for what needs the network, ModelscanError (exit 1) where the script fails.
    KeyboardInterrupt ends the script and is passed on.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    with hold(folder / LOCK, timeout_s=_LOCK_S, what=f"the recipe {manifest.artifact_name}"):
        _verify(folder, manifest)
        _check_offline(manifest, config)
        command = _command(folder, manifest, options, machine)
        began = time.monotonic()
        code = _stream(command, folder, manifest, on_line)
        _record(folder, manifest, code, time.monotonic() - began)
    return shown(folder)


def _verify(folder: Path, manifest: RecipeManifest) -> None:
    """Raises UsageError with the name of every file that differs from what was rendered."""
    changed = [str(folder / name) for name in changed_rendered(folder)]
    for model in (manifest.base, *manifest.others):
        changed += changed_files(model)
    if manifest.dataset is not None:
        path = Path(manifest.dataset.path)
        if not path.is_file() or sha256(path) != manifest.dataset.sha256:
            changed.append(str(path))
    if changed:
        raise UsageError(
            f"{len(changed)} file{'s' if len(changed) > 1 else ''} changed after the recipe was "
            f"rendered, or are gone: {', '.join(changed[:5])}",
            hint=f"render it again: modelscan recipe render {manifest.recipe} MODEL",
            code="changed_files",
            details={"files": changed},
        )


def _check_offline(manifest: RecipeManifest, config: Config) -> None:
    if config.offline and manifest.leaves_machine:
        raise OfflineError(
            f"it would send: {'; '.join(manifest.leaves_machine)}", hint=config.online_hint()
        )


def _command(
    folder: Path,
    manifest: RecipeManifest,
    options: RunOptions,
    machine: Callable[[], Machine],
) -> tuple[str, ...]:
    """The command, after its conditions hold."""
    if manifest.job is not None:
        _check_job(folder, manifest, options)
        stage(folder / UPLOAD, folder, manifest)
        return command_of(manifest, folder)
    if not options.force:
        _check_fit(folder, manifest, machine())
    python = require_environment(folder, manifest, options.python)
    return script_command(python, folder)


def _check_job(folder: Path, manifest: RecipeManifest, options: RunOptions) -> None:
    assert manifest.job is not None
    if not options.confirmed:
        command = shlex.join(command_of(manifest, folder))
        raise UsageError(
            f"a job costs money and sends files. Cost class {manifest.cost['class']} "
            f"({manifest.job.hardware}), price: hf jobs hardware. It sends: "
            f"{'; '.join(manifest.leaves_machine)}. It runs: {command}",
            hint=f"modelscan recipe run {shlex.quote(str(folder))} --yes",
            code="not_confirmed",
        )
    started = read_run(folder)
    if started is not None and not options.force:
        raise UsageError(
            f"a job of this recipe was started at {started.finished_at}: another one costs again",
            hint=f"hf jobs ps; modelscan recipe run {shlex.quote(str(folder))} --yes --force",
            code="already_started",
        )
    if shutil.which("hf") is None:
        raise NotDeployableError(
            "the program hf, which starts jobs, is not installed",
            hint="pip install huggingface_hub",
            code="missing_tool",
        )


def _check_fit(folder: Path, manifest: RecipeManifest, machine: Machine) -> None:
    kind = find_recipe(manifest.recipe)
    room = room_of(machine, kind.gpu, shutil.disk_usage(folder).free)
    verdict = fit(manifest.needs, room, kind.gpu)
    if verdict.verdict != "does_not_fit":
        return
    would = manifest.fit.would_fit or verdict.would_fit
    text = f"; what would fit: {', '.join(would)}" if would else ""
    raise NotDeployableError(
        f"{manifest.artifact_name} does not fit {room.where}: {'; '.join(verdict.reasons)}{text}",
        hint=f"modelscan recipe run {shlex.quote(str(folder))} --force",
        code="does_not_fit",
    )


def _stream(
    command: tuple[str, ...],
    folder: Path,
    manifest: RecipeManifest,
    on_line: Callable[[str], None],
) -> int:
    """Run it; every line goes to ``on_line`` and to the log. Returns its exit code."""
    process = start(command, folder, variables(manifest))
    try:
        with open(folder / LOG, "w", 1, encoding="utf-8", opener=_private) as log:
            for line in _lines(process):
                text = redact(line)
                log.write(text + "\n")
                on_line(text)
            return process.wait()
    finally:
        ended(process)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        # A progress bar overwrites its line: what is left at the end counts.
        yield line.decode("utf-8", "replace").rstrip("\n").rsplit("\r", 1)[-1]


def _ending(code: int) -> str:
    """How a program ended: by itself, or by a signal (a negative code)."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by the signal {signal.Signals(-code).name}"
    return f"was ended by the signal {-code}"


def _record(folder: Path, manifest: RecipeManifest, code: int, seconds: float) -> None:
    """Write ``run.json``, or raise ModelscanError for a script that failed."""
    if code != 0:
        raise ModelscanError(
            f"the recipe's {'job' if manifest.job else 'script'} {_ending(code)}{_tail(folder)}",
            hint=f"cat {shlex.quote(str(folder / LOG))}",
            code="recipe_failed",
            details={"exit_code": code},
        )
    paths = absolute(manifest, folder)
    results = [Path(path) for path in (paths.adapter, paths.output) if path is not None]
    if manifest.produces == "model" and paths.output is None and paths.checkpoint is not None:
        results = [Path(paths.checkpoint)]
    outputs = tuple(RecipeFile(str(file), sha256(file)) for file in _files(results))
    if not outputs and manifest.job is None:
        raise ModelscanError(
            "the script ended without a result", hint=f"cat {shlex.quote(str(folder / LOG))}",
            code="no_result",
        )  # fmt: skip
    run = RecipeRun(now_text(), code, round(seconds, 3), outputs, paths.adapter, str(folder / LOG))
    write_atomic(folder / RUN, json.dumps(_receipt(manifest, run), indent=1) + "\n")


def _files(places: list[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(file for file in place.rglob("*") if file.is_file())


def _receipt(manifest: RecipeManifest, run: RecipeRun) -> dict[str, object]:
    """``run.json``: what was made from what, for ``registry version add --from``."""
    base, dataset = manifest.base, manifest.dataset
    return {
        "schema": "modelscan.recipe.run/1",
        "run_id": manifest.artifact_name,
        "method": f"{manifest.recipe} {manifest.method}",
        "produces": manifest.produces,
        "output": manifest.paths.adapter or manifest.paths.output or manifest.paths.checkpoint,
        "base": base.path or base.repository,
        "base_revision": base.revision,
        "models": [to_json(base), *map(to_json, manifest.others)],
        "dataset": None if dataset is None else dataset.path,
        "dataset_digest": None if dataset is None else dataset.sha256,
        "parameters": manifest.parameters,
        "requirements": list(manifest.requirements),
        "result": to_json(run),
    }


def _tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        lines = (folder / LOG).read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return f": {lines[-1][:300]}"
    return ""
