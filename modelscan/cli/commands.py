"""Every command, its module and its help line, so that ``--help`` imports none of them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """``target`` is ``module:attribute``: a Typer app (a group) or a command function's app."""

    name: str
    target: str
    help: str
    section: str
    aliases: tuple[str, ...] = ()


_FIND, _RUN, _ROUTE, _SELF = "Find and size", "Run", "Route", "This tool"

COMMANDS: tuple[Entry, ...] = (
    Entry("catalog", "modelscan.cli.catalog.app:app", "Search models and their facts.", _FIND),
    Entry("gpu", "modelscan.cli.gpu.app:app", "Show the GPUs here, or facts about any GPU.", _FIND),
    Entry("estimate", "modelscan.cli.estimate:app", "How much memory a model takes.", _FIND),
    Entry("plan", "modelscan.cli.plan:app", "The best way to run a model on this hardware.", _FIND),
    Entry("pull", "modelscan.cli.pull:app", "Fetch a model's weights.", _RUN),
    Entry("deploy", "modelscan.cli.deploy:app", "Run a model, verify it and route to it.", _RUN),
    Entry("list", "modelscan.cli.list:app", "Every deployment and its state.", _RUN, ("ls", "ps")),
    Entry(
        "show", "modelscan.cli.show:app", "One deployment: plan, estimate, measured memory.", _RUN
    ),
    Entry("logs", "modelscan.cli.logs:app", "An engine's log.", _RUN),
    Entry("start", "modelscan.cli.start:app", "Start a stopped deployment.", _RUN),
    Entry("stop", "modelscan.cli.stop:app", "Stop deployments.", _RUN),
    Entry("remove", "modelscan.cli.remove:app", "Stop deployments and forget them.", _RUN, ("rm",)),
    Entry("restart", "modelscan.cli.restart:app", "Stop and start deployments.", _RUN),
    Entry("update", "modelscan.cli.update:app", "Scale or change one on a cluster.", _RUN),
    Entry("adopt", "modelscan.cli.adopt:app", "Take over a model of a cluster.", _RUN),
    Entry("discover", "modelscan.cli.discover:app", "Engines that already run here.", _RUN),
    Entry("route", "modelscan.cli.route.app:app", "The routing file: where requests go.", _ROUTE),
    Entry("cache", "modelscan.cli.cache:app", "The weights that were pulled.", _RUN),
    Entry("updates", "modelscan.cli.cache:updates_app", "Which pulled weights have changed.", _RUN),
    Entry("target", "modelscan.cli.target:app", "GPUStack servers to deploy to.", _ROUTE),
    Entry("service", "modelscan.cli.service:app", "Start deployments after a reboot.", _SELF),
    Entry("doctor", "modelscan.cli.doctor:app", "Check this machine and this installation.", _SELF),
    Entry("config", "modelscan.cli.config:app", "Settings and where they come from.", _SELF),
    Entry("completion", "modelscan.cli.completion:app", "Shell completion script.", _SELF),
)


def find(name: str) -> Entry | None:
    """The entry of that name or alias."""
    return next((e for e in COMMANDS if e.name == name or name in e.aliases), None)
