"""``route import --bundle``: the same body on this machine, with what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import from_json, to_json
from modelscan.core.workload import Workload
from modelscan.promotion import effects
from modelscan.promotion.bundle import BundledDeployment, BundledFile, RouteBundle
from modelscan.promotion.bundle_export import LOCAL, file_digest
from modelscan.routing.edits import Edits, edit
from modelscan.routing.file import load
from modelscan.routing.imports import placed_items
from modelscan.state.paths import expand
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.plan import Plan
    from modelscan.deploy.deployments import Deployments
    from modelscan.state.config import Config

_COMPARED = ("backend", "backend_version", "quantization", "context_tokens", "parallel")
_HUBS = {"huggingface": "hf:", "modelscope": "ms:"}


@dataclass(frozen=True, slots=True)
class BundleDifference:
    """A field that is another one here than where the bundle was written."""

    deployment: str
    field: str
    bundle: Any
    here: Any


@dataclass(frozen=True, slots=True)
class BundleImported:
    """What was deployed and routed, and what differs. ``applied`` is False for a dry run."""

    bundle: str
    body_sha256: str
    deployments: tuple[str, ...]
    entries: tuple[str, ...]
    differences: tuple[BundleDifference, ...]
    applied: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """``folders``: where files are looked for; ``replace``: entries of the same name give way."""

    folders: tuple[Path, ...] = ()
    replace: bool = False
    dry_run: bool = False
    timeout_s: float = 600.0


def import_bundle(
    bundle: RouteBundle, name: str, options: BundleOptions, config: Config,
    deployments: Deployments, say: Callable[[str], None],
) -> BundleImported:  # fmt: skip
    """Deploy a bundle's deployments, then add its entries, roles and aliases in one change.

    Every file's checksum is compared first, and every deployment is planned for this machine: where
    one of them cannot run, nothing is started and nothing is changed. Raises UsageError for missing
    files and names that are taken, ModelscanError for files of another content,
    NotDeployableError where something does not fit.
    """
    _check_free(bundle, options, config)
    requests = {
        one.name: _request(one, bundle.places, options, config) for one in bundle.body.deployments
    }
    differences: list[BundleDifference] = []
    for one in bundle.body.deployments:
        say(f"planning {one.name}")
        preview = deployments.preview(replace(requests[one.name], dry_run=True))
        differences += _differences(one, preview)
    if not options.dry_run:
        rows = _deployed(bundle, requests, deployments, say)
        _route(bundle, rows, options, config, deployments)
    return BundleImported(
        bundle=name,
        body_sha256=bundle.body_sha256,
        deployments=tuple(requests),
        entries=tuple(str(one.get("name")) for one in _entries(bundle)),
        differences=tuple(differences),
        applied=not options.dry_run,
        warnings=tuple(_warnings(bundle)),
    )


def _warnings(bundle: RouteBundle) -> Iterator[str]:
    for one in bundle.body.deployments:
        if any(file.sha256 is None for file in one.files):
            yield f"{one.name}: the bundle states no checksum of some files: they are not compared"


def _entries(bundle: RouteBundle) -> list[Mapping[str, Any]]:
    return list((bundle.body.routing.get("direct") or {}).get("providers") or ())


def _check_free(bundle: RouteBundle, options: BundleOptions, config: Config) -> None:
    """Raises UsageError for an entry whose name belongs to another one here."""
    if options.replace:
        return
    file = load(config.routing_file)
    for entry in _entries(bundle):
        present = file.route(str(entry.get("name")))
        if present is not None and present.deployment != entry.get("deployment"):
            raise UsageError(
                f"the routing file has an entry '{present.name}' already",
                hint="modelscan route import --bundle FILE --replace",
                code="route_exists",
            )


def _request(
    one: BundledDeployment, places: Mapping[str, str], options: BundleOptions, config: Config
) -> Request:
    """The request that runs the same: what was chosen there is asked for here."""
    wishes = from_json(Workload, {**to_json(Workload()), **one.wishes})
    adapters = tuple(_adapter(one, at, places, options, config) for at in range(len(one.adapters)))
    workload = replace(
        wishes,
        backend=one.backend,  # type: ignore[arg-type]
        context_tokens=one.context_tokens,
        parallel=one.parallel,
        quantization=None if one.source == LOCAL else one.quantization,
        adapters=adapters,
    )
    model = _model(one, places, options, config)
    return Request(
        model=model, workload=workload, name=one.name, route=False, timeout_s=options.timeout_s,
    )  # fmt: skip


def _model(
    one: BundledDeployment, places: Mapping[str, str], options: BundleOptions, config: Config
) -> str:
    if one.source in _HUBS:
        revision = f"@{one.revision}" if one.revision else ""
        return f"{_HUBS[one.source]}{one.repo}{revision}"
    found = [_found(one.name, file, places, options, config) for file in one.files]
    if not found:
        raise UsageError(f"the bundle names no file of {one.name}", code="bad_bundle")
    whole = one.format != "gguf"
    return str(found[0].parent if whole else found[0])


def _adapter(
    one: BundledDeployment, at: int, places: Mapping[str, str], options: BundleOptions,
    config: Config,
) -> str:  # fmt: skip
    adapter = one.adapters[at]
    if not adapter.files:
        return adapter.name  # of a hub
    single = len(adapter.files) == 1 and adapter.files[0].name == adapter.name
    base = places.get(f"{one.name}/{adapter.name}")
    inner = {} if base is None or single else {
        f"{one.name}/{file.name}": str(expand(base) / file.name) for file in adapter.files
    }  # fmt: skip
    within = replace(options, folders=(
        *options.folders, *(folder / adapter.name for folder in options.folders)
    ))  # fmt: skip
    found = [_found(one.name, file, {**places, **inner}, within, config) for file in adapter.files]
    return str(found[0] if single else found[0].parent)


def _found(
    deployment: str, file: BundledFile, places: Mapping[str, str], options: BundleOptions,
    config: Config,
) -> Path:  # fmt: skip
    """The file on this machine with that content: in the folders, else where it was."""
    hint = places.get(f"{deployment}/{file.name}")
    candidates = [folder / Path(file.name).name for folder in options.folders]
    candidates += [expand(hint)] if hint else []
    present = [path for path in candidates if path.is_file()]
    for path in present:
        if file.sha256 is None or file_digest(path, config) == file.sha256:
            return path
    if present:
        raise ModelscanError(
            f"{present[0]} is another file than the one that {deployment} serves: its SHA-256 is "
            f"{file_digest(present[0], config)[:12]}…, not {str(file.sha256)[:12]}…",
            hint="modelscan route import --bundle FILE --files FOLDER",
            code="hash_mismatch",
            details={"file": str(present[0]), "sha256": file.sha256},
        )
    raise UsageError(
        f"{file.name} of {deployment} is not on this machine",
        hint="modelscan route import --bundle FILE --files FOLDER   (where the file is)",
        code="no_such_file",
        details={"file": file.name, "sha256": file.sha256},
    )


def _differences(one: BundledDeployment, preview: Deployment) -> Iterator[BundleDifference]:
    plan = preview.plan
    if plan is None:
        return
    for name in _COMPARED:
        there, here = getattr(one, name), getattr(plan, name)
        if there != here:
            yield BundleDifference(one.name, name, there, here)
    here_words = _words(one, plan)
    if tuple(one.parameters) != here_words:
        yield BundleDifference(one.name, "parameters", list(one.parameters), list(here_words))


def _words(one: BundledDeployment, plan: Plan) -> tuple[str, ...]:
    names = {Path(text.rpartition("=")[2]).name: text.rpartition("=")[2] for text in plan.adapters}
    words = {path: f"adapter:{name}" for name, path in names.items()}
    return tuple(words.get(word, word) for word in plan.parameters)


def _deployed(
    bundle: RouteBundle, requests: Mapping[str, Request], deployments: Deployments,
    say: Callable[[str], None],
) -> dict[str, Deployment]:  # fmt: skip
    """Every deployment, running; where one fails, those that were started are removed again."""
    rows: dict[str, Deployment] = {}
    made: list[str] = []
    try:
        for name, request in requests.items():
            say(f"starting {name}")
            before = effects.deployment_of(deployments, name)
            rows[name] = deployments.deploy(request).deployment
            made += [name] if before is None else []
    except (ModelscanError, KeyboardInterrupt):
        for name in made:
            effects.take_away(deployments, name, keep=False)
        raise
    return rows


def _route(
    bundle: RouteBundle, rows: Mapping[str, Deployment], options: BundleOptions, config: Config,
    deployments: Deployments,
) -> None:  # fmt: skip
    """Entries, roles and aliases in one change of the routing file; then the rows."""
    entries = [_entry(one, rows, deployments) for one in _entries(bundle)]
    routing = bundle.body.routing
    roles = routing.get("roles") or ()
    owned = {one.entry for one in bundle.body.deployments}
    file = load(config.routing_file)

    def edits(data: Any) -> Edits:
        known = file.routes if not options.replace else ()
        kept = {one.name for one in known} - owned
        new = [entry for entry in entries if entry["name"] not in kept]
        yield from placed_items(data, ("routing", "direct", "providers"), "name", new, True)
        yield from placed_items(data, ("routing", "roles"), "role_id", roles, options.replace)
        written = (data.get("routing") or {}).get("aliases") or {}
        for alias, target in (routing.get("aliases") or {}).items():
            if options.replace or alias not in written:
                yield ("routing", "aliases", alias), target
        default = (routing.get("direct") or {}).get("default_provider")
        if default and not ((data.get("routing") or {}).get("direct") or {}).get(
            "default_provider"
        ):
            yield ("routing", "direct", "default_provider"), default

    edit(config.routing_file, "import a bundle", edits)
    for one in bundle.body.deployments:
        effects.set_route(deployments, one.name, one.entry)


def _entry(
    entry: Mapping[str, Any], rows: Mapping[str, Deployment], deployments: Deployments
) -> dict[str, Any]:
    """An entry with the address that its deployment has here."""
    row = rows.get(str(entry.get("deployment")))
    if row is None:
        return dict(entry)
    route = effects.entry_of(deployments, row, str(entry["name"]))
    own = {
        "base_url": route.base_url, "served_model": route.served_model,
        "context_tokens": route.context_tokens,
    }  # fmt: skip
    return {**entry, **{key: value for key, value in own.items() if value is not None}}
