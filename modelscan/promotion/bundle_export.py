"""``route export --bundle``: the routes of this machine as a bundle."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.model import WeightFile
from modelscan.core.nearest import nearest
from modelscan.core.workload import Workload
from modelscan.hub.checksums import Verified, sha256
from modelscan.models.adapters import on_hub
from modelscan.promotion.bundle import (
    BundleBody,
    BundledAdapter,
    BundledDeployment,
    BundledFile,
    BundledReceipts,
    BundledVersion,
    RouteBundle,
    digest_of,
)
from modelscan.routing.edit import load_plain
from modelscan.routing.file import read_text
from modelscan.state.paths import expand
from modelscan.targets.local.weights import expected

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.plan import Plan
    from modelscan.state.config import Config

LOCAL = "local_path"
# Wishes that the plan states, as they were chosen.
_CHOSEN = ("backend", "context_tokens", "parallel", "quantization")
# Of an entry that belongs to a deployment: the machine's, or the deployment's own.
_OF_THE_MACHINE = ("base_url", "unix_socket", "served_model", "enabled", "canary", "context_tokens")


def bundle_of(
    config: Config, deployments: Sequence[Deployment], names: Sequence[str] = ()
) -> RouteBundle:
    """The bundle of the named entries and roles, or of the whole file.

    Raises UsageError for an unknown name, and for an entry whose deployment has no plan.
    """
    data = load_plain(read_text(config.routing_file) or "") or {}
    routing = _restricted(data.get("routing") or {}, names)
    rows = {one.name: one for one in deployments}
    bundled, places, entries = [], dict[str, str](), []
    versions: dict[str, BundledVersion] = {}
    for entry in _providers(routing):
        row = rows.get(entry.get("deployment") or "")
        if row is None:
            entries.append(dict(entry))
            continue
        one, own = _deployment(row, str(entry["name"]), config)
        bundled.append(one)
        places |= {f"{row.name}/{name}": path for name, path in own.items()}
        entries.append({k: v for k, v in entry.items() if k not in _OF_THE_MACHINE})
        if (version := _version(str(entry["name"]), row, config)) is not None:
            versions[row.name] = version
    routing = {**routing, "direct": {**(routing.get("direct") or {}), "providers": entries}}
    body = BundleBody(to_json(routing), tuple(sorted(bundled, key=lambda one: one.name)))
    served = [str(one.get("name")) for one in entries]
    return RouteBundle(body, digest_of(body), _receipts(config, served), places, versions)


def _restricted(routing: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Without the entries, roles and aliases that the named routes do not need."""
    if not names:
        return dict(routing)
    roles = {str(one.get("role_id")): one for one in routing.get("roles") or ()}
    entries = {str(one.get("name")): one for one in _providers(routing)}
    for name in names:
        if name not in roles and name not in entries:
            near = nearest(name, [*entries, *roles], limit=1)
            raise UsageError(
                f"the routing file has no entry and no role '{name}'",
                hint=f"did you mean {near[0]}?" if near else "modelscan route list",
                code="unknown_route",
            )
    kept_roles = {name: roles[name] for name in names if name in roles}
    kept = {name for name in names if name in entries}
    for role in kept_roles.values():
        policy = role.get("routing_policy") or {}
        kept |= set(policy.get("providers") or entries)
    direct = dict(routing.get("direct") or {})
    direct["providers"] = [one for name, one in entries.items() if name in kept]
    if direct.get("default_provider") not in kept:
        direct.pop("default_provider", None)
    known = {*kept, *kept_roles}
    aliases = {k: v for k, v in (routing.get("aliases") or {}).items() if v in known}
    parts = {"mode": routing.get("mode"), "direct": direct, "aliases": aliases,
             "roles": list(kept_roles.values())}  # fmt: skip
    return {key: value for key, value in parts.items() if value}


def _providers(routing: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((routing.get("direct") or {}).get("providers") or ())


def _deployment(
    row: Deployment, entry: str, config: Config
) -> tuple[BundledDeployment, dict[str, str]]:
    """What a deployment runs, and where its files are here."""
    plan = row.plan
    if plan is None or row.request is None:
        raise UsageError(
            f"{row.name} was not planned by modelscan: the same cannot be deployed elsewhere",
            hint=f"modelscan deploy {row.model} --name {row.name} --replace",
            code="not_planned",
        )
    files, places = _weights(plan, config)
    adapters, own = _adapters(plan, config)
    words = {path: f"adapter:{name}" for name, path in own.items()}
    wishes = to_json(replace(row.request.workload, adapters=(), gpus=None, force=False))
    unset = to_json(Workload())
    bundled = BundledDeployment(
        name=row.name,
        entry=entry,
        source=plan.source,
        repo=Path(plan.repo).name if plan.source == LOCAL else plan.repo,
        revision=plan.revision,
        format=plan.format,
        quantization=plan.quantization,
        files=files,
        adapters=adapters,
        backend=plan.backend,
        backend_version=plan.backend_version,
        context_tokens=plan.context_tokens,
        parallel=plan.parallel,
        parameters=tuple(words.get(word, word) for word in plan.parameters),
        wishes={k: v for k, v in wishes.items() if v != unset[k] and k not in _CHOSEN},
    )
    return bundled, places | own


def _weights(plan: Plan, config: Config) -> tuple[tuple[BundledFile, ...], dict[str, str]]:
    """The files with their checksums; of a hub, as far as they are on this machine."""
    root = expected(plan, config).model
    if plan.source == LOCAL:
        listed = [Path(name) for name in plan.files] or [root]
        paths = {path.name: path for path in listed}
    else:
        folder = root if root.is_dir() else root.parent
        paths = {name: folder / Path(name).name for name in plan.files}
    files = tuple(_file(name, path, config) for name, path in sorted(paths.items()))
    local = plan.source == LOCAL
    return files, {name: str(path) for name, path in paths.items()} if local else {}


def _adapters(plan: Plan, config: Config) -> tuple[tuple[BundledAdapter, ...], dict[str, str]]:
    adapters, places = [], {}
    for text in plan.adapters:
        place = text.rpartition("=")[2]
        if on_hub(text) is not None:
            adapters.append(BundledAdapter(place, ()))
            continue
        path = expand(place)
        inner = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
        adapters.append(BundledAdapter(path.name, tuple(_file(p.name, p, config) for p in inner)))
        places[path.name] = place
    return tuple(adapters), places


def _file(name: str, path: Path, config: Config) -> BundledFile:
    if not path.is_file():
        return BundledFile(name, None, None)
    return BundledFile(name, path.stat().st_size, file_digest(path, config))


def file_digest(path: Path, config: Config) -> str:
    """The SHA-256 of a file, computed once as long as it does not change."""
    verified = Verified(config.paths)
    known = verified.hash_of(path)
    if known is None:
        known = sha256(path)
        with suppress(OSError, ModelscanError):
            verified.add(path, WeightFile(path.name, path.stat().st_size, known))
    return known


def _has_database(config: Config) -> bool:
    if importlib.util.find_spec("sqlalchemy") is None:
        return False
    from modelscan.state.server.database import has_records

    return has_records(config)


def _version(route: str, row: Deployment, config: Config) -> BundledVersion | None:
    """The version of the registry that was promoted or deployed, and its digest."""
    if not _has_database(config):
        return None
    from modelscan.models.from_registry import is_registered
    from modelscan.promotion.candidate import find_version
    from modelscan.promotion.store import PromotionStore
    from modelscan.registry.refused import RegistryRefused
    from modelscan.state.server.audit import local_user
    from modelscan.state.server.database import open_server

    with open_server(config) as database:
        promotion = PromotionStore(database, local_user()).of_deployment(route, row.name)
        name = promotion.name if promotion is not None else row.model
        if not is_registered(name):
            return None
        with suppress(RegistryRefused):
            version = find_version(database, name).version
            return BundledVersion(version.name, version.digest)
    return None


def _receipts(config: Config, entries: Iterable[str]) -> BundledReceipts:
    """The digest of the receipts of these entries, the oldest first."""
    if not _has_database(config):
        return BundledReceipts(0, None)
    import msgspec

    from modelscan.state.server.database import open_server
    from modelscan.traces.store import ReceiptStore

    served, digest, count = set(entries), hashlib.sha256(), 0
    with open_server(config) as database:
        for receipt in ReceiptStore(database).each():
            if receipt.backend in served:
                digest.update(msgspec.json.encode(receipt) + b"\n")
                count += 1
    return BundledReceipts(count, digest.hexdigest() if count else None)
