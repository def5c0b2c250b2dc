"""``route import --bundle``: the same body on this machine, with what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.promotion import effects
from modelscan.promotion.bundle import BundledDeployment, RouteBundle
from modelscan.promotion.bundle_files import BundleOptions, bundled_request
from modelscan.routing.edits import Edits, edit
from modelscan.routing.file import load
from modelscan.routing.imports import placed_items

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.plan import Plan
    from modelscan.deploy.deployments import Deployments
    from modelscan.state.config import Config
    from modelscan.targets.request import Request

_COMPARED = ("backend", "backend_version", "quantization", "context_tokens", "parallel")


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
    _check_versions(bundle, config)
    requests = {
        one.name: bundled_request(one, bundle.places, options, config)
        for one in bundle.body.deployments
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


def _check_versions(bundle: RouteBundle, config: Config) -> None:
    """Raises UsageError where an entry's model is a name that the registry here has for something
    else: the entry would have the tags that were given to that.
    """
    import importlib.util

    if not bundle.versions or importlib.util.find_spec("sqlalchemy") is None:
        return
    from modelscan.promotion.candidate import find_version
    from modelscan.registry.refused import RegistryRefused
    from modelscan.state.server.database import has_records, open_server

    if not has_records(config):
        return
    with open_server(config) as database:
        for one in bundle.versions.values():
            try:
                here = find_version(database, one.version).version
            except RegistryRefused:
                continue
            if here.digest != one.digest:
                raise UsageError(
                    f"the registry here has other weights as {one.version}: sha256:"
                    f"{here.digest[:12]}…, and not {one.digest[:12]}…",
                    hint=f"modelscan registry show {one.version}",
                    code="other_version",
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
