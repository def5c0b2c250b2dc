"""What the shell offers for an argument or the value of an option; sends no request.

Every completer reads the local records only and offers nothing where they cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from modelscan.cli.help import command_words
from modelscan.core.errors import ModelscanError
from modelscan.engines import ollama

if TYPE_CHECKING:
    from modelscan.state.config import Config

_MODELS_SHOWN = 30
_COMMON_QUANTIZATIONS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "BF16", "FP8", "AWQ", "GPTQ-Int4")
_COMMON_CONTEXTS = ("8k", "16k", "32k", "64k", "128k")
_KV_TYPES = ("f16", "q8_0", "q4_0", "fp8")
Completer = Callable[[str], Iterable[str]]


def complete(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The items that begin with ``incomplete``; a file item makes the shell offer files."""
    words, name = command_words(ctx), str(parameter.name)
    files = name in _FILES or (name == "model" and words[:1] in _FROM_FILES)
    items = [CompletionItem("", type="file")] if files else []
    completer = _completer(words, name)
    if completer is None:
        return items
    try:
        return [*items, *(CompletionItem(text) for text in completer(incomplete))]
    except (ModelscanError, OSError):
        return items


def _completer(words: tuple[str, ...], name: str) -> Completer | None:
    if words[:1] == ("engine",) and name == "engine":
        return _engine_ids(words)
    by_group = _BY_GROUP.get((words[0] if words else "", name))
    return by_group or _BY_NAME.get(name)


def _beginning(texts: Iterable[str], incomplete: str) -> list[str]:
    return [text for text in texts if text.lower().startswith(incomplete.lower())]


def _config() -> Config:
    from modelscan.state.config import load

    return load({"offline": True}, tolerant=True)


def _pages(incomplete: str) -> list[str]:
    """Pages of the manual, by their last part as well."""
    from modelscan.manual.pages import manual_pages

    names = [page.name for page in manual_pages()]
    return _beginning([*(name.rpartition("/")[2] for name in names), *names], incomplete)


def _models(incomplete: str) -> list[str]:
    """Ids of the catalog by their beginning, then by the beginning of their own name."""
    from modelscan.catalog.index.current import open_index

    with open_index(_config().paths) as index:
        return index.beginning(incomplete.lower(), _MODELS_SHOWN)


def _deployments(incomplete: str) -> list[str]:
    from modelscan.state.store import Store

    file = _config().paths.store_file
    if not file.exists():
        return []
    with Store.look(file) as store:
        return _beginning(sorted(store.names()), incomplete)


def _routes(incomplete: str) -> list[str]:
    from modelscan.routing.file import load

    return _beginning((route.name for route in load(_config().routing_file).routes), incomplete)


def _nothing(_: str) -> list[str]:
    """Names of keys are in a database that is not opened for a completion."""
    return []


def _chat_partners(incomplete: str) -> list[str]:
    return list(dict.fromkeys((*_deployments(incomplete), *_routes(incomplete))))


def _nodes(incomplete: str) -> list[str]:
    from modelscan.state.server.database import has_records, open_server

    config = _config()
    if not has_records(config):
        return []
    from modelscan.gateway.control.nodes.answers import stored_hosts

    with open_server(config) as database:
        return _beginning((host.name for host in stored_hosts(database)), incomplete)


def _slugs(incomplete: str) -> list[str]:
    from modelscan.state.server.database import has_records, open_server

    config = _config()
    if not has_records(config):
        return []
    from modelscan.registry.search import slugs_beginning

    with open_server(config) as database, database.reading() as connection:
        return slugs_beginning(connection, incomplete.lower(), _MODELS_SHOWN)


def _targets(incomplete: str) -> list[str]:
    from modelscan.state.targets import load

    configured = [one.name for one in load(_config().paths).items]
    return _beginning(("local", ollama.NAME, "gpustack", "auto", *configured), incomplete)


def _settings(incomplete: str) -> list[str]:
    from modelscan.state.config import SETTINGS

    return _beginning((setting.key for setting in SETTINGS if not setting.testing), incomplete)


def _gpus(incomplete: str) -> list[str]:
    """Names of known GPUs, also after a count (``2x RTX``)."""
    from modelscan.gpu.facts import all_facts

    names = [row.name for row in all_facts()]
    count, separator, rest = incomplete.partition("x ")
    if separator and count.isdigit():
        return [f"{count}x {name}" for name in _beginning(names, rest)]
    return _beginning(names, incomplete)


def _sources(incomplete: str) -> list[str]:
    from modelscan.catalog.index.current import open_index

    with open_index(_config().paths) as index:
        return _beginning((state.name for state in index.sources()), incomplete)


def _installed_engines(incomplete: str) -> list[str]:
    from modelscan.supervisor.engines.manage import removable

    ids = [f"{folder.parent.name}@{folder.name}" for folder in removable(_config())]
    return _beginning([one for one in ids if "@." not in one], incomplete)


def _usable_engines(incomplete: str) -> list[str]:
    """Installed and bundled ones; no program is started for a completion."""
    from modelscan.supervisor.engines.program import BUNDLED

    return [*_beginning([BUNDLED], incomplete), *_installed_engines(incomplete)]


def _installable(incomplete: str) -> list[str]:
    from modelscan.engines.registry import engines

    return _beginning([one.name for one in engines() if not one.own_server], incomplete)


def _engine_ids(words: tuple[str, ...]) -> Completer:
    by_command = {"install": _installable, "remove": _installed_engines}
    return by_command.get(words[1] if len(words) > 1 else "", _usable_engines)


def _bench_reports(incomplete: str) -> list[str]:
    from modelscan.bench.samples import report_ids
    from modelscan.bench.stored import server_database

    with server_database(_config()) as database:
        return _beginning(report_ids(database), incomplete)


def _workloads(incomplete: str) -> list[str]:
    from modelscan.bench.workload_file import BUNDLED

    return _beginning(("shape", *BUNDLED), incomplete)


def _of(*texts: str) -> Completer:
    return lambda incomplete: _beginning(texts, incomplete)


def _cached(incomplete: str) -> Iterator[str]:
    from modelscan.hub import checksums

    repositories = {record.repo for record in checksums.pulls(_config().paths)}
    yield from _beginning(sorted(repositories), incomplete)


def _suites(incomplete: str) -> list[str]:
    from modelscan.evals.suites.registry import SUITES

    return _beginning(SUITES, incomplete)


def _evals(incomplete: str) -> list[str]:
    from modelscan.evals.storage import report_ids

    return _beginning(report_ids(_config().paths), incomplete)


def _recipes(incomplete: str) -> list[str]:
    from modelscan.recipes.registry import RECIPES

    return _beginning((kind.name for kind in RECIPES), incomplete)


def _recipe_methods(incomplete: str) -> list[str]:
    from modelscan.recipes.registry import RECIPES

    names = dict.fromkeys(method.name for kind in RECIPES for method in kind.methods)
    return _beginning(names, incomplete)


def _flavors(incomplete: str) -> list[str]:
    from modelscan.recipes.flavors import FLAVORS

    return _beginning((flavor.name for flavor in FLAVORS), incomplete)


_FILES = ("file", "files", "save", "export", "log", "dataset", "output", "folder", "out")
_FROM_FILES = (("deploy",), ("plan",), ("estimate",), ("pull",), ("catalog",))
# By the first word of the command and the parameter, then by the parameter alone.
_BY_GROUP: dict[tuple[str, str], Completer] = {
    ("chat", "name"): _chat_partners,
    ("docs", "page"): _pages,
    ("bench", "route"): _chat_partners,
    ("bench", "report"): _bench_reports,
    ("bench", "a"): _bench_reports,
    ("bench", "b"): _bench_reports,
    ("bench", "workload"): _workloads,
    ("route", "name"): _routes,
    ("trace", "route"): _routes,
    ("trace", "key"): _nothing,
    ("target", "name"): _targets,
    ("node", "name"): _nodes,
    ("node", "names"): _nodes,
    ("registry", "slug"): _slugs,
    ("registry", "reference"): _slugs,
    ("registry", "references"): _slugs,
    ("registry", "version"): _slugs,
    ("registry", "tag"): _of("curated"),
    ("registry", "alias"): _of("champion", "challenger", "previous"),
    ("registry", "source"): _models,
    ("registry", "visibility"): _of("private", "public"),
    ("gpu", "name"): _gpus,
    ("deploy", "name"): _deployments,
    ("catalog", "source"): _sources,
    ("cache", "names"): _cached,
    ("eval", "suite"): _suites,
    ("eval", "suites"): _suites,
    ("eval", "names"): _suites,
    ("eval", "route"): _chat_partners,
    ("eval", "report"): _evals,
    ("eval", "a"): _evals,
    ("eval", "b"): _evals,
    ("recipe", "recipe"): _recipes,
    ("recipe", "models"): _models,
    ("recipe", "method"): _recipe_methods,
    ("recipe", "flavor"): _flavors,
}
_BY_NAME: dict[str, Completer] = {
    "model": _models,
    "name": _deployments,
    "names": _deployments,
    "target": _targets,
    "key": _settings,
    "gpu": _gpus,
    "gpus": _gpus,
    "spec": _gpus,
    "build": _of("cuda", "rocm", "vulkan", "sycl", "metal", "cpu"),
    "shell": _of("bash", "zsh", "fish", "powershell"),
    "quantization": _of(*_COMMON_QUANTIZATIONS),
    "context": _of(*_COMMON_CONTEXTS),
    "kv_cache": _of(*_KV_TYPES),
}
