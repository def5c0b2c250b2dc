"""``modelscan engine install``: what it would do, the question, and doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli.deployment_view import confirm
from modelscan.cli.document import Document, Fields
from modelscan.cli.engine.view import engine_fields, offer_pairs
from modelscan.cli.interrupt import interruptible
from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.release_builds import ACCELERATORS
from modelscan.supervisor.engines.offer import InstallWishes

if TYPE_CHECKING:
    from modelscan.cli.context import Context
    from modelscan.core.plan import ResolvedModel
    from modelscan.supervisor.engines.offer import EngineOffer


def wishes_of(
    version: str | None,
    build: str | None,
    sha256: tuple[str, ...],
    model: str | None,
    quantization: str | None,
) -> InstallWishes:
    """The options as values. Raises UsageError for an unknown build or a wrong checksum."""
    accelerator = next((one for one in ACCELERATORS if one == build), None)
    if build is not None and accelerator is None:
        raise UsageError(f"there is no build '{build}'", hint="--build " + "|".join(ACCELERATORS))
    for text in sha256:
        if len(text) != 64 or set(text.lower()) - set("0123456789abcdef"):
            raise UsageError(
                f"--sha256 '{text[:80]}' is not a SHA-256", hint="sha256sum FILE   (64 digits)"
            )
    return InstallWishes(version, accelerator, sha256, model, quantization)


def install_document(
    context: Context, engine: str, wishes: InstallWishes, *, dry_run: bool, yes: bool
) -> Document[Any]:
    """The installed engine, or the offer with ``--dry-run``."""
    from modelscan.supervisor.engines.answers import EngineInstalled
    from modelscan.supervisor.engines.install import is_installed, prepare

    config, output = context.config, context.output
    with output.status("choosing the version for this machine"):
        hardware = context.workspace.hardware(None)
        model = _model(context, wishes)
        offer = prepare(engine.lower(), config, hardware, wishes, model)
    if dry_run:
        body = EngineInstalled(False, None, offer)
        return Document("engine.install", body, [Fields(offer_pairs(offer))], [offer.id])
    if not is_installed(offer):
        output.note("\n".join(f"{name:10}{value}" for name, value in offer_pairs(offer)))
        confirm(f"installing {offer.id}", yes, _again(offer, wishes))
    return _installed(context, offer)


def _again(offer: EngineOffer, wishes: InstallWishes) -> str:
    """The command that installs exactly what was shown."""
    build = f" --build {wishes.build}" if wishes.build else ""
    sha256 = "".join(f" --sha256 {one}" for one in wishes.sha256)
    return f"modelscan engine install {offer.engine} --version {offer.version}{build}{sha256}"


def _installed(context: Context, offer: EngineOffer) -> Document[Any]:
    from modelscan.cli.pull import reporter
    from modelscan.supervisor.engines.answers import EngineInstalled
    from modelscan.supervisor.engines.install import carry_out
    from modelscan.supervisor.engines.sources import engines_of

    with context.output.status(f"installing {offer.id}") as status, interruptible():
        record, now = carry_out(
            offer, context.config, reporter(status.update, stream=False), status.update
        )
    row = next(one for one in engines_of(context.config) if one.id == record.id)
    if not row.selected:
        context.output.warn(
            f"the setting of {row.name} has precedence, so deployments do not use it"
        )
    hint = "modelscan plan MODEL" if now else None
    body = EngineInstalled(now, row, offer)
    return Document("engine.install", body, [engine_fields(row)], [row.id], hint=hint)


def _model(context: Context, wishes: InstallWishes) -> ResolvedModel | None:
    if wishes.model is None:
        return None
    from modelscan.core.workload import Workload
    from modelscan.models.resolve import load_subject

    workload = Workload(quantization=wishes.quantization)
    return load_subject(wishes.model, context.config, workload)
