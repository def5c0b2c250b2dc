"""JSON Schemas of the documents that the commands print, made from the types of their bodies, and
of the files that people write (``files/``), for their editors.

``python -m scripts.build_schemas`` (``make schemas``) writes modelscan/schemas; a test fails where
they are stale. To add a document, add its type to ``BODIES``; a file, to ``FILES``.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import typing
from pathlib import Path
from typing import Any

import msgspec

from modelscan.core.envelope import schema_id
from modelscan.core.jsonform import json_schema

FOLDER = Path(__file__).resolve().parent.parent / "modelscan" / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
# The document's name -> the type of its body. A failure has no warnings.
BODIES = {
    "adopt": "modelscan.deploy.answers:Adopted",
    "deploy": "modelscan.deploy.answers:Deployed",
    "list": "modelscan.deploy.rows:DeploymentList",
    "connect": "modelscan.routing.clients.connect:ConnectAnswer",
    "key.create": "modelscan.state.server.key_answers:KeyCreated",
    "key.list": "modelscan.state.server.key_answers:KeyList",
    "key.revoke": "modelscan.state.server.key_answers:KeyRevoked",
    "node.cert.init": "modelscan.gateway.node.certificates:CertificatesShown",
    "node.cert.issue": "modelscan.gateway.node.certificates:CertificateShown",
    "node.cert.renew": "modelscan.gateway.node.certificates:CertificatesRenewed",
    "node.cert.show": "modelscan.gateway.node.certificates:CertificatesShown",
    "node.leave": "modelscan.gateway.node.answers:NodeLeft",
    "node.status": "modelscan.gateway.node.answers:NodeStatus",
    "node.drain": "modelscan.gateway.control.nodes.answers:NodesChanged",
    "node.list": "modelscan.gateway.control.nodes.answers:NodeList",
    "node.remove": "modelscan.gateway.control.nodes.answers:NodesRemoved",
    "node.show": "modelscan.gateway.control.nodes.answers:NodeShown",
    "node.undrain": "modelscan.gateway.control.nodes.answers:NodesChanged",
    "registry.curation": "modelscan.registry.curation:Curation",
    "registry.curations": "modelscan.registry.curation:CurationList",
    "registry.evals": "modelscan.registry.results:ModelResults",
    "registry.export": "modelscan.registry.answers:RegistryTransferred",
    "registry.history": "modelscan.registry.answers:RegistryHistory",
    "registry.import": "modelscan.registry.answers:RegistryTransferred",
    "registry.list": "modelscan.registry.answers:RegistryModelList",
    "registry.model": "modelscan.registry.answers:RegistryModelShown",
    "registry.remove": "modelscan.registry.answers:RegistryRemoved",
    "registry.check_adapter": "modelscan.deploy.adapters:AdapterChecked",
    "registry.promote": "modelscan.promotion.types:PromotionShown",
    "route.bundle": "modelscan.cli.route.bundles:BundleWritten",
    "route.bundle.import": "modelscan.promotion.bundle_import:BundleImported",
    "registry.resolve": "modelscan.registry.answers:RegistryResolved",
    "registry.version": "modelscan.registry.types:ModelVersion",
    "logs": "modelscan.deploy.answers:Log",
    "remove": "modelscan.deploy.answers:Removed",
    "restart": "modelscan.deploy.rows:DeploymentList",
    "chat": "modelscan.routing.chat:ChatAnswer",
    "uninstall": "modelscan.deploy.uninstall:Uninstalled",
    "upgrade": "modelscan.deploy.rows:DeploymentList",
    "show": "modelscan.deploy.answers:DeploymentShown",
    "start": "modelscan.deploy.rows:DeploymentList",
    "stop": "modelscan.deploy.rows:DeploymentList",
    "top": "modelscan.gateway.top.overview:Overview",
    "sizes": "modelscan.core.plan:ModelSizes",
    "docs": "modelscan.cli.docs:ManualAnswer",
    "skill": "modelscan.cli.skill:Skill",
    "server.audit": "modelscan.state.server.audit:AuditList",
    "server.backup": "modelscan.state.server.backup:BackupWritten",
    "server.restore": "modelscan.state.server.backup:BackupRestored",
    "server.status": "modelscan.state.server.status:ServerStatus",
    "trace.cost": "modelscan.traces.cost:TraceCost",
    "trace.dataset": "modelscan.traces.dataset:TraceDataset",
    "trace.export": "modelscan.traces.export:TraceExported",
    "trace.prune": "modelscan.traces.answers:TracePruned",
    "trace.status": "modelscan.traces.answers:TraceStatus",
    "trace.list": "modelscan.traces.answers:SpanList",
    "trace.show": "modelscan.traces.answers:SpanShown",
    "update": "modelscan.deploy.answers:Updated",
    "bench.compare": "modelscan.bench.compare:BenchCompared",
    "bench.export": "modelscan.bench.stored:BenchExported",
    "bench.ingest": "modelscan.bench.samples:BenchIngested",
    "bench.list": "modelscan.bench.samples:BenchList",
    "bench.run": "modelscan.bench.report:BenchReport",
    "cache.list": "modelscan.deploy.cache_answers:CacheList",
    "cache.neighbours": "modelscan.hub.neighbours.types:NeighbourList",
    "cache.prune": "modelscan.deploy.cache_answers:CachePruned",
    "cache.updates": "modelscan.deploy.cache_answers:CacheUpdates",
    "cache.verify": "modelscan.deploy.cache_answers:CacheVerified",
    "catalog.compare": "modelscan.models.info:Comparison",
    "catalog.info": "modelscan.models.info:ModelInfo",
    "catalog.offers": "modelscan.models.offers:ModelOffers",
    "catalog.runnable": "modelscan.models.runnable:RunnableModels",
    "catalog.list": "modelscan.models.pages:ModelPage",
    "catalog.passport": "modelscan.catalog.find_passport:PassportAnswer",
    "catalog.search": "modelscan.models.pages:ModelPage",
    "catalog.sources": "modelscan.catalog.source_states:SourcesAnswer",
    "catalog.sync": "modelscan.catalog.refresh:SyncAnswer",
    "completion": "modelscan.cli.completion:Completion",
    "config.get": "modelscan.state.settings:SettingRow",
    "config.path": "modelscan.state.settings:PathsShown",
    "config.set": "modelscan.state.settings:SettingWritten",
    "config.show": "modelscan.state.settings:SettingsShown",
    "discover": "modelscan.deploy.answers:Discovered",
    "doctor": "modelscan.deploy.doctor:Diagnosis",
    "engine.install": "modelscan.supervisor.engines.answers:EngineInstalled",
    "engine.list": "modelscan.supervisor.engines.answers:EngineList",
    "engine.remove": "modelscan.supervisor.engines.manage:EngineRemoved",
    "engine.use": "modelscan.supervisor.engines.answers:EngineSelected",
    "recipe": "modelscan.recipes.types:RenderedRecipe",
    "recipe.list": "modelscan.recipes.types:RecipeList",
    "eval.suites": "modelscan.evals.suite_list:SuiteRows",
    "eval.run": "modelscan.evals.report:EvalReport",
    "eval.list": "modelscan.evals.board:EvalList",
    "eval.board": "modelscan.evals.board:EvalBoard",
    "eval.compare": "modelscan.evals.compare:EvalComparison",
    "eval.quant": "modelscan.evals.quantization.measure:QuantMeasured",
    "eval.export": "modelscan.evals.storage:EvalsExported",
    "eval.verify": "modelscan.evals.verify:EvalProofs",
    "explain": "modelscan.engines.explain:LogExplained",
    "error": "modelscan.core.envelope:FailureBody",
    "estimate": "modelscan.core.estimate:Estimate",
    "estimate.contexts": "modelscan.models.plan_answer:ContextCurves",
    "estimate.history": "modelscan.deploy.history:History",
    "gpu": "modelscan.core.gpu:Inventory",
    "gpu.facts": "modelscan.gpu.known:GpuFactsAnswer",
    "plan": "modelscan.models.plan_answer:PlanAnswer",
    "plan.machines": "modelscan.models.plan_answer:PlannedMachines",
    "plan.export": "modelscan.deploy.exports.answers:ExportedPlan",
    "plan.body": "modelscan.deploy.plan_body:ModelBody",
    "pull": "modelscan.hub.downloads.answers:PullAnswer",
    "route.health": "modelscan.gateway.route_health:RouteHealth",
    "route.add": "modelscan.routing.edits:RoutingFileEdited",
    "route.alias": "modelscan.routing.answers:RouteAliases",
    "route.alias.set": "modelscan.routing.edits:RoutingFileEdited",
    "route.edit": "modelscan.routing.edits:RoutingFileEdited",
    "route.explain": "modelscan.routing.explain:RouteExplained",
    "route.export": "modelscan.routing.answers:RoutesExported",
    "route.history": "modelscan.routing.answers:RouteRevisions",
    "route.import": "modelscan.routing.edits:RoutingFileEdited",
    "route.match": "modelscan.routing.match:RouteMatched",
    "route.mode": "modelscan.routing.modes:RoutingModeShown",
    "route.mode.set": "modelscan.routing.edits:RoutingFileEdited",
    "route.models": "modelscan.routing.listing:RoutedNames",
    "route.hosts": "modelscan.gateway.control.nodes.answers:NodeList",
    "route.services": "modelscan.routing.listing:RoutedServices",
    "route.preset.add": "modelscan.routing.edits:RoutingFileEdited",
    "route.preset.list": "modelscan.routing.answers:RoutePresets",
    "route.provider.add": "modelscan.routing.edits:RoutingFileEdited",
    "route.remove": "modelscan.routing.edits:RoutingFileEdited",
    "route.role.add": "modelscan.routing.edits:RoutingFileEdited",
    "route.role.edit": "modelscan.routing.edits:RoutingFileEdited",
    "route.role.list": "modelscan.routing.role_answers:RoleList",
    "route.role.remove": "modelscan.routing.edits:RoutingFileEdited",
    "route.role.show": "modelscan.routing.role_answers:RoleShown",
    "route.undo": "modelscan.routing.answers:RouteUndone",
    "route.list": "modelscan.routing.answers:RouteList",
    "route.resolve": "modelscan.routing.answers:RouteResolved",
    "route.show": "modelscan.routing.answers:RouteShown",
    "route.test": "modelscan.routing.answers:RouteTested",
    "route.validate": "modelscan.routing.answers:RoutingFileChecked",
    "service.install": "modelscan.deploy.boot:ServiceUnit",
    "service.run": "modelscan.deploy.rows:DeploymentList",
    "service.uninstall": "modelscan.deploy.boot:ServiceUnit",
    "target.add": "modelscan.targets.answers:TargetAdded",
    "target.list": "modelscan.targets.answers:TargetList",
    "target.remove": "modelscan.targets.answers:TargetRemoved",
    "target.test": "modelscan.targets.answers:TargetTested",
    "target.use": "modelscan.targets.answers:DefaultTarget",
}

FILES = {
    "deployment": "modelscan.deploy.manifest_format:DeploymentDocument",
    "curation": "modelscan.registry.policy_format:PolicyDocument",
    "routing": "modelscan.routing.format:RoutingDocument",
}


def body_type(name: str) -> type[Any]:
    """The type of a document's body."""
    module, _, attribute = BODIES[name].partition(":")
    kind: type[Any] = getattr(importlib.import_module(module), attribute)
    return kind


def document_schema(name: str) -> dict[str, Any]:
    """The schema of the document ``name``: its frame around the fields of its body."""
    kind = body_type(name)
    _, definitions = json_schema([kind])
    body = definitions[kind.__name__]
    texts = {"type": "array", "items": {"type": "string"}}
    warnings = {} if name == "error" else {"warnings": texts}
    fields = {key: value for key, value in body["properties"].items() if key != "warnings"}
    properties = {"schema": {"const": schema_id(name)}, **fields, **warnings}
    # A TypedDict is another program's document: a field without a value is absent, not null.
    absent: frozenset[str] = getattr(kind, "__optional_keys__", frozenset())
    return {
        "$schema": DRAFT,
        "title": f"modelscan {name.replace('.', ' ')}",
        "description": " ".join(str(body.get("description", "")).split()),
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in absent],
        "additionalProperties": False,
        "$defs": {key: value for key, value in definitions.items() if key != kind.__name__},
    }


def text_of(name: str) -> str:
    """The file's content."""
    return json.dumps(document_schema(name), indent=1, ensure_ascii=False) + "\n"


def file_schema(name: str) -> dict[str, Any]:
    """The schema of a file that people write: unknown keys are errors, defaults may be left out."""
    module, _, attribute = FILES[name].partition(":")
    room = importlib.import_module(module)
    _, definitions = msgspec.json.schema_components([getattr(room, attribute)])
    kinds = _kinds(getattr(room, attribute))
    for kind, schema in definitions.items():
        schema.pop("title", None)
        schema["description"] = " ".join(str(schema.get("description", "")).split())
        schema["additionalProperties"] = False
        for one in dataclasses.fields(kinds[kind]):
            texts = schema["properties"][one.name]
            extra = {key: value for key, value in one.metadata.items() if key != "help"}
            described = {"description": one.metadata["help"], **texts, **extra}
            schema["properties"][one.name] = described
    return {"$schema": DRAFT, **definitions.pop(attribute), "$defs": definitions}


def _kinds(kind: Any) -> dict[str, type[Any]]:
    """The dataclasses that one contains, by their names, itself included."""
    found: dict[str, type[Any]] = {}
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        waiting += typing.get_args(one)
        if isinstance(one, type) and dataclasses.is_dataclass(one) and one.__name__ not in found:
            found[one.__name__] = one
            waiting += typing.get_type_hints(one).values()
    return found


def file_text(name: str) -> str:
    """The content of a file's schema."""
    return json.dumps(file_schema(name), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every generated schema."""
    for name in FILES:
        (FOLDER / "files").mkdir(exist_ok=True)
        (FOLDER / "files" / f"{name}.json").write_text(file_text(name), encoding="utf-8")
    for name in BODIES:
        (FOLDER / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
