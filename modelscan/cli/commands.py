"""The table of commands with modules and help lines; ``--help`` imports no command."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """``target`` is ``module:attribute``: a Typer app (a group) or a command function's app."""

    name: str
    target: str
    help: str
    section: str
    aliases: tuple[str, ...] = ()
    hidden: bool = False  # an old name that still works


_FIND, _RUN, _ROUTE, _SELF = "Find and size", "Run", "Route", "This installation"

COMMANDS: tuple[Entry, ...] = (
    Entry("catalog", "modelscan.cli.catalog.app:app", "Search models and their facts.", _FIND),
    Entry("gpu", "modelscan.cli.gpu.app:app", "Show the GPUs here, or facts about any GPU.", _FIND),
    Entry(
        "estimate", "modelscan.cli.estimate:app", "Estimate the memory that a model needs.", _FIND
    ),
    Entry(
        "plan",
        "modelscan.cli.plan:app",
        "Find the best way to run a model on this hardware.",
        _FIND,
    ),
    Entry("pull", "modelscan.cli.pull:app", "Download a model's weights.", _RUN),
    Entry("deploy", "modelscan.cli.deploy:app", "Run a model, verify it and route to it.", _RUN),
    Entry(
        "list",
        "modelscan.cli.list:app",
        "List every deployment with its state.",
        _RUN,
        ("ls", "ps"),
    ),
    Entry(
        "show",
        "modelscan.cli.show:app",
        "Show one deployment: plan, estimate, measured memory.",
        _RUN,
    ),
    Entry("set", "modelscan.cli.set:app", "Change a deployment: context, port, replicas, …", _RUN),
    Entry("upgrade", "modelscan.cli.upgrade:app", "Restart with newer weights, verified.", _RUN),
    Entry("chat", "modelscan.cli.chat:app", "Talk to a deployment in the terminal.", _RUN),
    Entry("logs", "modelscan.cli.logs:app", "Print an engine's log.", _RUN),
    Entry("explain", "modelscan.cli.explain:app", "Explain an engine's log: why it failed.", _RUN),
    Entry("start", "modelscan.cli.start:app", "Start a stopped deployment.", _RUN),
    Entry("stop", "modelscan.cli.stop:app", "Stop deployments.", _RUN),
    Entry("remove", "modelscan.cli.remove:app", "Stop and delete deployments.", _RUN, ("rm",)),
    Entry("restart", "modelscan.cli.restart:app", "Stop and start deployments.", _RUN),
    Entry(
        "update",
        "modelscan.cli.update:app",
        "Change replicas or options of a cluster deployment.",
        _RUN,
        hidden=True,
    ),
    Entry(
        "adopt",
        "modelscan.cli.adopt:app",
        "Manage a model that a cluster runs already.",
        _RUN,
        hidden=True,
    ),
    Entry(
        "discover",
        "modelscan.cli.discover:app",
        "Find model servers that run on this machine.",
        _RUN,
    ),
    Entry(
        "route", "modelscan.cli.route.app:app", "Show, check and change the routing file.", _ROUTE
    ),
    Entry("serve", "modelscan.cli.serve:app", "Serve every model at one address.", _ROUTE),
    Entry("node", "modelscan.cli.node.app:app", "Machines that report to a control plane.", _ROUTE),
    Entry("open", "modelscan.cli.open:app", "Open the pages in a browser.", _ROUTE),
    Entry("top", "modelscan.cli.top:app", "Show what runs: requests, tokens, memory.", _ROUTE),
    Entry("trace", "modelscan.cli.trace.app:app", "List the endpoint's requests, costs.", _ROUTE),
    Entry("bench", "modelscan.cli.bench.app:app", "Measure speed and answers of a route.", _ROUTE),
    Entry("eval", "modelscan.cli.eval.app:app", "Measure how good answers are.", _ROUTE),
    Entry("registry", "modelscan.cli.registry.app:app", "Models that are trusted here.", _ROUTE),
    Entry("recipe", "modelscan.cli.recipe.app:app", "Quantize, fine-tune and merge.", _RUN),
    Entry(
        "connect",
        "modelscan.cli.connect:app",
        "Configure an assistant or an editor to use the endpoint.",
        _ROUTE,
    ),
    Entry("mcp", "modelscan.cli.mcp:app", "Offer tools to an assistant (stdio).", _ROUTE),
    Entry("docs", "modelscan.cli.docs:app", "Read the manual.", _SELF),
    Entry("skill", "modelscan.cli.skill:app", "Print a SKILL.md for an assistant.", _ROUTE),
    Entry("key", "modelscan.cli.key:app", "Create, list and revoke keys of the endpoint.", _ROUTE),
    Entry(
        "server",
        "modelscan.cli.server:app",
        "Show, back up and restore the endpoint's database.",
        _ROUTE,
    ),
    Entry("cache", "modelscan.cli.cache:app", "List, verify and delete pulled weights.", _RUN),
    Entry(
        "updates",
        "modelscan.cli.cache:updates_app",
        "List pulled weights that changed on the hub.",
        _RUN,
        hidden=True,
    ),
    Entry("engine", "modelscan.cli.engine.app:app", "List, install and select engines.", _RUN),
    Entry("target", "modelscan.cli.target:app", "Configure GPUStack servers to deploy to.", _ROUTE),
    Entry("service", "modelscan.cli.service:app", "Start everything after a reboot.", _SELF),
    Entry("doctor", "modelscan.cli.doctor:app", "Check this machine and this installation.", _SELF),
    Entry("config", "modelscan.cli.config:app", "Show and change settings.", _SELF),
    Entry("completion", "modelscan.cli.completion:app", "Print a shell completion script.", _SELF),
    Entry("uninstall", "modelscan.cli.uninstall:app", "Remove everything modelscan wrote.", _SELF),
)


def find(name: str) -> Entry | None:
    """The entry of that name or alias."""
    return next((e for e in COMMANDS if e.name == name or name in e.aliases), None)


def shown() -> tuple[Entry, ...]:
    """The commands of the help and of completion, without old names."""
    return tuple(entry for entry in COMMANDS if not entry.hidden)


# Commands that start nothing and decide nothing run with settings that cannot be read: such a line
# is a warning, and its setting has its default.
TOLERANT = frozenset({
    "list", "show", "logs", "stop", "remove", "discover", "doctor", "uninstall", "gpu", "gpu facts",
    "config path", "cache list", "cache verify", "updates",
    "cache updates", "route list", "route show", "route resolve", "route validate", "route test",
    "target list", "target remove", "target test", "service run", "service uninstall",
    "route health", "route explain", "route match", "route history", "route export",
    "route role list", "route role show", "route preset list", "engine list", "key list",
    "trace list", "trace show", "trace status", "trace cost",
    "bench list", "bench show", "bench compare",
    "registry list", "registry show", "registry history", "registry resolve", "registry export",
    "eval list", "eval show", "eval board", "eval suites", "recipe list", "recipe show",
    "server status", "server audit", "server backup",
    "node list", "node show", "node status", "node leave", "node cert show",
    "catalog search", "catalog list", "catalog info", "catalog sources", "catalog passport",
})  # fmt: skip


# Words of other tools -> the command that does it here.
ELSEWHERE = {
    "run": "deploy MODEL",
    "launch": "deploy MODEL",
    "up": "start --all",
    "down": "stop --all",
    "kill": "stop NAME",
    "delete": "remove NAME",
    "status": "list",
    "download": "pull MODEL",
    "get": "pull MODEL",
    "find": "catalog search TEXT",
    "search": "catalog search TEXT",
    "recommend": "catalog runnable",
    "fit": "plan MODEL",
    "inspect": "show NAME",
    "change": "set NAME --context 16k",
    "edit": "set NAME --context 16k",
    "version": "--version",
    "config unset": "config set KEY --unset",
    "config list": "config show",
    "service status": "list",
    "cache clean": "cache prune",
    "cache clear": "cache prune",
}
